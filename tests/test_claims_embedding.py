"""Identities of frozen embeddings, their linear heads, and distillation (float64)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from kshot.errors import UserError
from kshot.functional.distillation import softened_kl
from kshot.functional.heads import HEADS, centroid_head, ridge_head
from kshot.functional.logistic import logistic
from kshot.functional.prototypes import class_means
from kshot.methods import Distilled, Embedding
from support import image_tasks, noise, outputs, small_method

T, N, K, Q = 2, 3, 2, 4
S = N * K
FEW, MANY = 4, 9  # features: fewer and more than the S = 6 examples


def support(D: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features [T, S, D], and labels [T, S] in mixed order."""
    ys = torch.stack([torch.randperm(S, generator=torch.Generator().manual_seed(t)) % N for t in range(T)])
    return noise(seed, T, S, D), ys


def embedding(**options: object) -> Embedding:
    """On features as inputs."""
    backbone = torch.nn.Flatten()
    backbone.out_features = MANY
    return Embedding(backbone, input_shape=(MANY,), num_classes=20, **options).double().eval()


def objective(v: np.ndarray, x: Tensor, ys: Tensor, lam: float) -> float:
    """sum CE + lambda / 2 ||W||^2, in plain loops."""
    D = x.shape[1]
    w, b = v[: D * N].reshape(D, N), v[D * N :]
    total = lam / 2 * sum(float(a) ** 2 for a in w.flatten())
    for s in range(len(x)):
        z = [sum(float(x[s, d]) * w[d, n] for d in range(D)) + b[n] for n in range(N)]
        total += math.log(sum(math.exp(a) for a in z)) - z[int(ys[s])]
    return total


@pytest.mark.parametrize("D", [FEW, MANY])
def test_the_logistic_head_is_where_scipy_ends(D: int) -> None:
    (x, ys), lam = support(D), 0.5
    weight, bias = logistic(x, ys, N, lam)
    best = minimize(objective, np.zeros((D + 1) * N), (x[0], ys[0], lam), tol=1e-10)
    mine = torch.cat([weight[0].flatten(), bias[0]]).numpy()
    assert objective(mine, x[0], ys[0], lam) <= best.fun + 1e-9
    np.testing.assert_allclose(mine[:-N], best.x[:-N], atol=2e-4)


@pytest.mark.parametrize("D", [FEW, MANY])
def test_at_the_optimum_the_gradient_is_zero(D: int) -> None:
    """x' (p - y) + lambda W = 0 and sum_s (p - y) = 0, to rounding."""
    x, ys = support(D)
    weight, bias = logistic(x, ys, N, 0.5)
    error = (x @ weight + bias[:, None]).softmax(-1) - F.one_hot(ys, N)
    assert float((x.transpose(-1, -2) @ error + 0.5 * weight).abs().max()) < 1e-12
    assert float(error.sum(1).abs().max()) < 1e-12


def test_the_centroid_head_is_the_nearest_mean() -> None:
    """2 z.c - ||c||^2 and -||z - c||^2 differ by ||z||^2, which ranks nothing; with unit means by the cosine's rank."""
    x, ys = support(MANY)
    q = noise(3, T, Q, MANY)
    weight, bias = centroid_head(x, ys, N)
    c = class_means(x, ys, N)
    for t in range(T):
        for i in range(Q):
            for n in range(N):
                distance = sum(float(q[t, i, d] - c[t, n, d]) ** 2 for d in range(MANY))
                score = float(q[t, i] @ weight[t, :, n] + bias[t, n])
                assert score == pytest.approx(float(q[t, i].square().sum()) - distance, rel=1e-9)


def test_cl2n_is_centring_then_unit_length_then_the_nearest_mean() -> None:
    x, ys = support(MANY)
    q, mean = noise(3, T, Q, MANY), noise(4, MANY)
    model = embedding(head="centroid", centre=True, unit=True)
    model.mean.copy_(mean)
    model.embed = lambda x: x
    out = model.predict(model.adapt(x, ys, N), q)
    unit = lambda z: (z - mean) / (z - mean).norm(dim=-1, keepdim=True)  # noqa: E731
    c = torch.stack([torch.stack([unit(x[t][ys[t] == n]).mean(0) for n in range(N)]) for t in range(T)])
    torch.testing.assert_close(out, 2 * unit(q) @ c.transpose(-1, -2) - c.square().sum(-1)[:, None])


@pytest.mark.parametrize("head", sorted(HEADS))
def test_centring_undoes_any_shift_and_unit_length_any_scale(head: str) -> None:
    """Features 3 f + 5 with their own mean give what f gives with its own."""
    x, ys = support(MANY)
    q, found = noise(3, T, Q, MANY), []
    for scale, shift in ((1.0, 0.0), (3.0, 5.0)):
        model = embedding(head=head, centre=True)
        model.mean.copy_(scale * noise(4, MANY) + shift)
        model.embed = lambda x: x
        found.append(model.predict(model.adapt(scale * x + shift, ys, N), scale * q + shift))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("head", sorted(HEADS))
def test_turning_the_features_changes_nothing(head: str) -> None:
    x, ys = support(MANY)
    q, turn = noise(3, T, Q, MANY), torch.linalg.qr(noise(9, MANY, MANY)).Q
    logits = []
    for r in (torch.eye(MANY, dtype=torch.float64), turn):
        weight, bias = HEADS[head](x @ r, ys, N, 0.5)
        logits.append(q @ r @ weight + bias[:, None])
    torch.testing.assert_close(logits[0], logits[1])


def test_the_ridge_head_without_regularisation_fits_the_labels() -> None:
    x, ys = support(MANY)
    weight, bias = ridge_head(x, ys, N, 1e-12)
    torch.testing.assert_close(x @ weight + bias[:, None], F.one_hot(ys, N).double(), rtol=1e-6, atol=1e-6)


def test_a_batch_of_tasks_is_one_supervised_batch() -> None:
    """The mean over all examples of -log p of their class in the data, here one by one."""
    tasks, model = image_tasks(0, T=3), small_method("embedding")
    loss, _ = model.meta_loss(tasks)
    total = []
    for t in range(3):
        for x, y in ((tasks.xs, tasks.ys), (tasks.xq, tasks.yq)):
            for picture, label in zip(x[t], y[t]):
                logits = model.classifier(model.backbone(picture[None]))[0]
                total.append(-logits.log_softmax(-1)[tasks.classes[t, label]])
    torch.testing.assert_close(loss, torch.stack(total).mean())


def test_the_cosine_classifier_does_not_see_lengths() -> None:
    model, f = embedding(classifier="cosine"), noise(0, 5, MANY)
    torch.testing.assert_close(model.class_logits(7 * f), model.class_logits(f))
    assert float(model.class_logits(f).detach().abs().max()) <= model.scale


def test_the_mean_feature_follows_the_training_batches_alone() -> None:
    tasks, model = image_tasks(0), small_method("embedding")
    outputs(model, tasks)
    assert not model.mean.any()
    model.train().meta_step(tasks)
    x = torch.cat([tasks.xs, tasks.xq], 1)
    with torch.no_grad():
        torch.testing.assert_close(model.mean, 0.01 * model.embed(x).flatten(0, 1).mean(0))


def test_endless_classes_cannot_be_learned() -> None:
    with pytest.raises(UserError, match="finite number of classes"):
        Embedding(torch.nn.Flatten(), input_shape=(MANY,), num_classes=None)


def distilled(**options: object) -> Distilled:
    method = small_method("distilled", **options)
    assert isinstance(method, Distilled)
    return method


def test_distillation_in_plain_loops() -> None:
    teacher, student, tau = noise(0, 3, 5), noise(1, 3, 5), 4.0
    total = 0.0
    for b in range(3):
        p, q = ([math.exp(float(z) / tau) for z in logits[b]] for logits in (teacher, student))
        total += sum(a / sum(p) * math.log(a / sum(p) * sum(q) / c) for a, c in zip(p, q))
    assert float(softened_kl(teacher, student, tau)) == pytest.approx(tau**2 * total / 3, rel=1e-10)


def test_a_hot_teacher_is_matched_in_squared_logits() -> None:
    """tau -> infinity: KL tau^2 -> half the mean over classes of the squared difference of centred logits."""
    teacher, student = noise(0, 3, 5), noise(1, 3, 5)
    difference = (teacher - teacher.mean(-1, keepdim=True)) - (student - student.mean(-1, keepdim=True))
    limit = difference.square().mean(-1).mean() / 2
    torch.testing.assert_close(softened_kl(teacher, student, 1e4), limit, rtol=1e-3, atol=0)


def test_without_the_teachers_part_the_student_is_an_embedding() -> None:
    tasks = image_tasks(0)
    student, plain = distilled(alpha=1.0, beta=0.0), small_method("embedding")
    for method in (student, plain):
        method.meta_step(tasks)
    for a, b in zip(student.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_a_student_that_is_its_teacher_has_nothing_to_learn_from_it() -> None:
    student = distilled(alpha=0.0, beta=1.0)
    student.equip(lambda run: small_method("embedding"))
    assert float(student.meta_loss(image_tasks(0))[0].detach()) == pytest.approx(0, abs=1e-12)


def test_the_teacher_is_no_part_of_the_student() -> None:
    student = distilled()
    assert len(list(student.parameters())) == len(list(small_method("embedding").parameters()))
    teacher = student._teacher[0]
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    student.train().meta_step(image_tasks(0))
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())


def test_a_teacher_must_fit() -> None:
    student = distilled()
    with pytest.raises(UserError, match="runs/teacher is one of prototypical network"):
        student.equip(lambda run: small_method("protonet"))
    with pytest.raises(UserError, match="knows 7 classes, and the training data have 20"):
        student.equip(lambda run: Embedding(torch.nn.Flatten(), input_shape=(MANY,), num_classes=7))
    with pytest.raises(UserError, match="train one first"):
        Distilled(student.backbone, input_shape=(1, 16, 16), num_classes=20).equip(lambda run: student)


def test_teacher_and_student_from_the_command_line(tmp_path: Path) -> None:
    from cli_support import document, mistake, trained

    pictures = np.random.default_rng(0).integers(0, 256, (80, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", x=pictures, y=np.arange(80) % 20)
    data = ["--data", tmp_path / "set.npz", "--no-validation"]
    teacher = trained(tmp_path / "teacher", *data, method="embedding")
    student = trained(tmp_path / "student", *data, "--teacher", teacher, method="distilled")
    found = document("compare", teacher, student, "--split", "all", "--episodes", "4")
    assert [r["method"] for r in found["reports"]] == [str(teacher), str(student)]
    none = ["--steps", "1", "--query", "2", "--teacher", tmp_path / "none", "--out", tmp_path / "x"]
    assert "is not a run folder" in mistake("train", "distilled", *data, *none)
    assert not (tmp_path / "x").exists()
