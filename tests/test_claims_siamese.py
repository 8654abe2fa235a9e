"""Claims about Siamese networks (Koch et al. 2015): verification pairs, symmetry, and the choice of a class."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kshot.backbones import Koch
from kshot.errors import UserError
from kshot.evaluation import evaluate
from kshot.functional import random
from kshot.functional.pairs import draw_pairs, mean_of
from kshot.methods import Siamese
from kshot.methods.metric import Embedded
from kshot.tasks import Tasks
from support import image_tasks, noise, outputs, small_method
from training_support import Blobs

T, N, K, Q, D = 2, 3, 2, 4, 6


def siamese(**options: object) -> Siamese:
    """On features that are their own embedding, with weights of both signs."""
    model = Siamese(torch.nn.Flatten(), input_shape=(D,), **options).double()
    with torch.no_grad():
        model.head.weight.copy_(noise(7, *model.head.weight.shape))
        model.head.bias.fill_(0.3)
    return model


def by_hand(model: Siamese, a: Tensor, b: Tensor) -> float:
    """The logit of p(a, b), number by number."""
    w, beta = model.head.weight[0].tolist(), model.head.bias.item()
    if model.distance == "cosine":
        return w[0] * float(a @ b) / math.sqrt(float(a @ a) * float(b @ b)) + beta
    power = 1 if model.distance == "l1" else 2
    return sum(w[j] * abs(float(a[j] - b[j])) ** power for j in range(len(w))) + beta


@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_a_query_has_the_class_of_its_most_probable_partner_in_plain_loops(distance: str) -> None:
    model = siamese(distance=distance)
    f, q, ys = noise(0, T, N * K, D), noise(1, T, Q, D), torch.tensor([[0, 1, 2, 2, 0, 1], [2, 1, 0, 0, 1, 2]])
    out = model.score(Embedded(f, ys, N), q)
    for t in range(T):
        for i in range(Q):
            for n in range(N):
                best = max(by_hand(model, q[t, i], f[t, s]) for s in range(N * K) if ys[t, s] == n)
                assert float(out[t, i, n].detach()) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_p_is_symmetric(distance: str) -> None:
    model, a, b = siamese(distance=distance), noise(0, 5, D), noise(1, 5, D)
    assert torch.equal(model.compare(a, b), model.compare(b, a))


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_a_picture_beside_itself_says_nothing(distance: str) -> None:
    """p(a, a) = sigmoid(beta), and no gradient reaches the encoder: why no picture is paired with itself."""
    model, a = siamese(distance=distance), noise(0, 5, D).requires_grad_()
    p = model.compare(a, a).sigmoid()
    torch.testing.assert_close(p, model.head.bias.sigmoid().expand(5))
    p.sum().backward()
    assert torch.equal(a.grad, torch.zeros_like(a))


def test_pairs_are_half_of_one_class_and_never_of_one_picture() -> None:
    labels = torch.stack([random.permutation(random.keys(0, torch.tensor(t), "x"), 12) % 4 for t in range(3)])
    same, has_same, other, has_other = draw_pairs(labels, random.keys(0, torch.arange(3), "pairs"), 2)
    assert same.shape == other.shape == (3, 12, 2)
    assert has_same.all()
    assert has_other.all()
    for t in range(3):
        for p in range(12):
            assert p not in same[t, p]
            assert (labels[t, same[t, p]] == labels[t, p]).all()
            assert (labels[t, other[t, p]] != labels[t, p]).all()
            assert len(set(same[t, p].tolist())) == len(set(other[t, p].tolist())) == 2


def test_a_task_has_the_same_pairs_in_every_batch() -> None:
    labels = torch.arange(12).expand(3, 12) % 4
    key = random.keys(0, torch.arange(3), "pairs")
    together, alone = draw_pairs(labels, key, 1), draw_pairs(labels[1:2], key[1:2], 1)
    assert all(torch.equal(a[1:2], b) for a, b in zip(together, alone))


def test_partners_that_do_not_exist_do_not_count() -> None:
    same, has_same, _, has_other = draw_pairs(torch.tensor([[0, 0, 1]]), random.keys(0, torch.arange(1), "x"), 2)
    assert has_same.tolist() == [[[True, False], [True, False], [False, False]]]
    assert has_other.tolist() == [[[True, False], [True, False], [True, True]]]
    assert same[0, :2, 0].tolist() == [1, 0]
    assert mean_of(torch.tensor([[1.0, 4.0]]), torch.tensor([[True, False]])).tolist() == [1.0]
    assert mean_of(torch.tensor([[1.0, 4.0]]), torch.tensor([[False, False]])).isnan().all()


@pytest.mark.parametrize("partners", [1, 3])
def test_the_loss_is_the_cross_entropy_of_the_pairs_in_plain_loops(partners: int) -> None:
    model = small_method("siamese", partners=partners).train()
    tasks = image_tasks(0)
    loss, measures = model.meta_loss(tasks)
    x, y = torch.cat([tasks.xs, tasks.xq], 1), torch.cat([tasks.ys, tasks.yq], 1)
    features = model.embed(x).detach()
    same, _, other, _ = draw_pairs(y, random.keys(0, tasks.indices, "pairs"), partners)
    losses, right = [], []
    for t in range(len(x)):
        for a in range(x.shape[1]):
            for b in (*same[t, a].tolist(), *other[t, a].tolist()):
                p = 1 / (1 + math.exp(-by_hand(model, features[t, a], features[t, b])))
                truth = bool(y[t, a] == y[t, b])
                losses.append(-math.log(p if truth else 1 - p))
                right.append((p > 0.5) == truth)
    assert loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-9)
    assert float(measures["accuracy"]) == pytest.approx(sum(right) / len(right), rel=1e-6)


def test_verification_is_reported() -> None:
    """100 % for clouds that are far apart, under weights that say so; with its interval over tasks."""
    model = Siamese(torch.nn.Flatten(), input_shape=(D,))
    with torch.no_grad():
        model.head.weight.fill_(-1.0)
        model.head.bias.fill_(1.0)
    report = evaluate(model, Blobs(spread=0.01), episodes=7, batch=3)
    assert report.further["verification_accuracy"].mean == 100.0
    assert report.further["verification_accuracy"].count == 7
    assert "verification_accuracy 100.00 +- 0.00 %" in str(report)
    with torch.no_grad():
        model.head.bias.fill_(-1.0)  # never the same: half of the answers
    assert evaluate(model, Blobs(spread=0.01), episodes=4).further["verification_accuracy"].mean == 50.0


def test_a_task_with_one_picture_of_each_class_has_no_verification() -> None:
    tasks = image_tasks(0)
    one_each = Tasks(tasks.xs[:, :3], torch.arange(3).expand(2, 3), tasks.xq[:, :0], tasks.yq[:, :0],
                     tasks.classes, tasks.indices)  # fmt: skip
    with torch.no_grad():
        assert small_method("siamese").further(one_each)["verification_accuracy"].isnan().all()


def test_more_examples_can_only_raise_the_logit_of_their_class() -> None:
    few, many = image_tasks(0, shot=1), image_tasks(3, shot=1)
    both = Tasks(torch.cat([few.xs, many.xs], 1), torch.cat([few.ys, many.ys], 1), few.xq, few.yq, few.classes,
                 few.indices)  # fmt: skip
    model = small_method("siamese")
    assert (outputs(model, both) >= outputs(model, few)).all()


def test_partners_are_counted() -> None:
    with pytest.raises(UserError, match="partners must be at least 1; got 0"):
        small_method("siamese", partners=0)


def test_the_papers_encoder_has_its_sizes() -> None:
    net = Koch(units=16)
    x = torch.zeros(1, 1, 105, 105)
    sizes = []
    for conv in net.convs:
        conv.register_forward_hook(lambda m, args, out: sizes.append(tuple(out.shape[1:])))
    out = net(x)
    assert sizes == [(64, 96, 96), (128, 42, 42), (128, 18, 18), (256, 6, 6)]
    assert net.last.in_features == 9216
    assert out.shape == (1, 16)
    assert Koch((1, 65, 65), units=4)(torch.zeros(1, 1, 65, 65)).shape == (1, 4)
    with pytest.raises(UserError, match=r"koch needs pictures \[C, H, W\] of at least 65 x 65"):
        Koch((1, 28, 28))


def test_the_papers_initial_weights_saturate_the_last_layer() -> None:
    """Deviation 0.2 on 9,216 inputs: next to nothing of a gradient passes the sigmoid; scaled weights let it pass."""
    x = torch.rand(2, 1, 105, 105, generator=torch.Generator().manual_seed(0))
    slopes = {}
    for init in ("paper", "scaled"):
        with torch.no_grad():
            p = Koch(units=64, init=init)(x)
        slopes[init] = float((p * (1 - p)).mean())  # at most 0.25
    assert slopes["paper"] < 0.05
    assert slopes["scaled"] > 0.15
