"""Identities of Reptile and of pre-training (float64)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from kshot.functional.inner import adam_step
from kshot.methods import Pretrained, Reptile
from support import Plain, gradient_of, image_tasks, noise, plain_method


def reptile(**options: object) -> Reptile:
    return plain_method(
        Reptile, **{"inner_lr": 0.1, "inner_optimizer": "sgd", "inner_steps": 3, "inner_batch": 4} | options
    )


def test_one_step_of_reptile_is_the_joint_gradient() -> None:
    tasks = image_tasks(0)
    method = reptile(inner_steps=1, inner_batch=99)
    x, y = torch.cat([tasks.xs, tasks.xq], 1), torch.cat([tasks.ys, tasks.yq], 1)
    out = method.forward_with(method.parameters_now(), x.flatten(0, 1))
    joint = torch.autograd.grad(F.cross_entropy(out, y.flatten()), list(method.net.parameters()))
    for a, b in zip(gradient_of(method, tasks), joint):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_reptile_gradient_is_the_sum_of_the_gradients_on_the_way(engine: str) -> None:
    """sum of gradients = (theta - W) / alpha for SGD, here in plain loops."""
    tasks = image_tasks(0, T=1)
    method = reptile(engine=engine)
    x, y = torch.cat([tasks.xs, tasks.xq], 1)[0], torch.cat([tasks.ys, tasks.yq], 1)[0]
    names = [n for n, _ in method.net.named_parameters()]
    w = [p.detach().clone().requires_grad_() for p in method.net.parameters()]
    total = [torch.zeros_like(p) for p in w]
    for picks in method.minibatches(tasks.indices, len(x), 3, 4)[0]:
        out = torch.func.functional_call(method.net, dict(zip(names, w)), (x[picks],))
        g = torch.autograd.grad(F.cross_entropy(out, y[picks]), w)
        total = [a + b for a, b in zip(total, g)]
        w = [(p - 0.1 * d).detach().requires_grad_() for p, d in zip(w, g)]
    for a, b in zip(gradient_of(method, tasks), total):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    # epsilon = 1 and one task: the outer step of SGD with rate alpha lands on W itself
    for p, end in zip(method.net.parameters(), w):
        torch.testing.assert_close(p - 0.1 * p.grad, end, rtol=1e-9, atol=1e-11)


def test_reptile_with_distinct_batches_is_not_full_batch_reptile() -> None:
    tasks = image_tasks(0)
    a, b = gradient_of(reptile(), tasks), gradient_of(reptile(inner_batch=99), tasks)
    assert any((x - y).abs().max() > 1e-3 for x, y in zip(a, b))


def test_minibatches_use_every_example_before_any_again() -> None:
    method = reptile()
    picks = method.minibatches(torch.arange(3), 12, 6, 4)
    assert picks.shape == (3, 6, 4)
    for task in picks:
        assert sorted(task[:3].flatten().tolist()) == sorted(task[3:].flatten().tolist()) == list(range(12))
    assert not torch.equal(picks[0], picks[1])


def test_adam_without_momentum_is_torchs() -> None:
    p = noise(0, 7).requires_grad_()
    mine, second = {"w": p.detach().clone()}, {"w": torch.zeros(7, dtype=torch.float64)}
    optimiser = torch.optim.Adam([p], lr=0.01, betas=(0.0, 0.999))
    for step in range(1, 6):
        g = noise(step, 7)
        p.grad = g.clone()
        optimiser.step()
        mine, second = adam_step(mine, {"w": g}, second, torch.tensor(step), lr=0.01)
        torch.testing.assert_close(mine["w"], p.detach(), rtol=1e-12, atol=1e-13)


def test_carried_moments_come_from_training_and_stay_as_they_are_in_evaluation() -> None:
    tasks = image_tasks(0)
    method = reptile(inner_optimizer="adam")
    gradient_of(method, tasks)
    assert int(method.moment_count) == 3
    before = {n: b.clone() for n, b in method.named_buffers()}
    method.eval().adapt(tasks.xs, tasks.ys, 3)
    assert all(torch.equal(b, before[n]) for n, b in method.named_buffers())
    fresh = reptile(inner_optimizer="adam", carry=False)
    gradient_of(fresh, tasks)
    assert int(fresh.moment_count) == 0


def test_pretraining_learns_the_classes_of_the_data_not_the_labels_of_the_task() -> None:
    tasks = image_tasks(0)
    method = Pretrained(Plain(), input_shape=(1, 16, 16), num_classes=20).double().train()
    loss, _ = method.meta_loss(tasks)
    x, y = torch.cat([tasks.xs, tasks.xq], 1), torch.cat([tasks.ys, tasks.yq], 1)
    total = 0.0
    for t in range(len(tasks)):
        out = method.head(method.backbone(x[t]))
        total += F.cross_entropy(out, tasks.classes[t][y[t]]).item() / len(tasks)
    assert loss.item() == pytest.approx(total)
    # a new task starts from a zero head: every label equally likely
    start = method.eval().predict_steps(tasks.xs, tasks.ys, tasks.xq, 3, 0)
    assert torch.equal(start, torch.zeros_like(start))


def test_fine_tuning_the_head_is_softmax_regression_on_frozen_features() -> None:
    tasks = image_tasks(0, T=1)
    method = Pretrained(Plain(), input_shape=(1, 16, 16), num_classes=20, eval_steps=4, inner_lr=0.3).double().eval()
    f, q = method.backbone(tasks.xs[0]).detach(), method.backbone(tasks.xq[0]).detach()
    W, b = torch.zeros(3, 5, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for _ in range(4):
        error = (f @ W.T + b).softmax(-1) - F.one_hot(tasks.ys[0], 3)  # [S, N]
        W, b = W - 0.3 * error.T @ f / len(f), b - 0.3 * error.mean(0)
    state = method.adapt(tasks.xs, tasks.ys, 3)
    torch.testing.assert_close(method.predict(state, tasks.xq)[0], q @ W.T + b)
