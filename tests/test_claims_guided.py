"""The options of first-order MAML: proximal, aligned, init_noise (float64)."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.errors import UserError
from kshot.functional import random
from kshot.functional.guided import GuidedSGD, inner, unopposed
from kshot.functional.inner import SGD, autograd_gradient, path
from kshot.methods import FOMAML
from kshot.tasks import Tasks
from support import gradient_of, image_tasks, noise, outputs, plain_method, small_method

OPTIONS: list[dict[str, object]] = [
    {"proximal": 0.7},
    {"aligned": True},
    {"init_noise": 0.1},
    {"proximal": 0.7, "aligned": True, "init_noise": 0.1},
]
P, K = 4, 5


def quadratic(seed: int) -> tuple[Tensor, Tensor]:
    """A [P, P], positive definite, and b [P] of L(theta) = theta.A.theta / 2 - b.theta."""
    root = noise(seed, P, P)
    return root @ root.T / P + torch.eye(P, dtype=torch.float64), noise(seed + 50, P)


def loop(A: Tensor, b: Tensor, *, alpha: float, **options: object) -> GuidedSGD:
    """Guided steps on a quadratic."""

    def loss(p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return p["w"] @ A @ p["w"] / 2 - b @ p["w"]

    return GuidedSGD(loss, lambda p, x, y: (loss(p, x, y), ()), ["w"], alpha, K, first_order=True, **options)


def thetas(loop: SGD, theta: Tensor) -> list[Tensor]:
    """theta_1..theta_k."""
    return [s["w"] for s in path(loop, {"w": theta}, K, autograd_gradient, theta, theta)[1:]]


def test_options_that_are_off_change_no_bit() -> None:
    tasks = image_tasks(0, T=3)
    for engine in ("vmap", "loop"):
        method = plain_method(FOMAML, inner_steps=3, inner_lr=0.1, engine=engine)
        assert type(method.inner_loop()) is SGD
        expected = gradient_of(method, tasks)
        parts = method.inner_loop().__dict__
        method.inner_loop = lambda parts=parts: GuidedSGD(**parts)  # type: ignore[method-assign]
        assert all(map(torch.equal, gradient_of(method, tasks), expected))


def oracle(method: FOMAML, tasks: Tasks, k: int) -> list[Tensor]:
    """The meta-gradient in plain loops over tasks, steps and tensors."""
    names = [n for n, _ in method.net.named_parameters()]
    theta = [p.detach() for p in method.net.parameters()]
    total = [torch.zeros_like(p) for p in theta]
    for t in range(len(tasks)):
        factors = [torch.ones_like(p) for p in theta]
        if method.init_noise:
            key = random.keys(method.seed, tasks.indices[t], "initial noise")
            n = random.normal(key, sum(p.numel() for p in theta)).double()
            for i, p in enumerate(theta):
                before = sum(q.numel() for q in theta[:i])
                factors[i] = 1 + method.init_noise * n[before : before + p.numel()].view(p.shape)
        w = [p * f for p, f in zip(theta, factors)]
        first: list[Tensor] = []
        for _ in range(k):
            w = [p.requires_grad_() for p in w]
            out = torch.func.functional_call(method.net, dict(zip(names, w)), (tasks.xs[t],))
            g = list(torch.autograd.grad(method.way * F.cross_entropy(out, tasks.ys[t]), w))
            w = [p.detach() for p in w]
            g = [d + 2 * method.proximal * (p - q) for d, p, q in zip(g, w, theta)]
            first = first or g
            dot = sum(float((a * b).sum()) for a, b in zip(g, first))
            if method.aligned and dot < 0:
                size = sum(float((a * a).sum()) for a in first)
                g = [a - dot / size * b for a, b in zip(g, first)]
            w = [p - method.inner_lr * d for p, d in zip(w, g)]
        w = [p.requires_grad_() for p in w]
        out = torch.func.functional_call(method.net, dict(zip(names, w)), (tasks.xq[t],))
        g = list(torch.autograd.grad(F.cross_entropy(out, tasks.yq[t]), w))
        total = [a + b * f / len(tasks) for a, b, f in zip(total, g, factors)]
    return total


@pytest.mark.parametrize("options", OPTIONS)
def test_meta_gradient_in_plain_loops_by_every_engine(options: dict[str, object]) -> None:
    tasks = image_tasks(0, T=3)
    plain = gradient_of(plain_method(FOMAML, inner_steps=K, inner_lr=0.6), tasks)
    for engine in ("vmap", "loop", "chunk:2+threads", "loop+recompute", "vmap+recompute"):
        method = plain_method(FOMAML, inner_steps=K, inner_lr=0.6, engine=engine, **options)
        found = gradient_of(method, tasks)
        for a, b in zip(found, oracle(method, tasks, K)):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
        assert any((a - b).abs().max() > 1e-4 for a, b in zip(found, plain)), "the option does something"


def test_the_proximal_path_is_that_of_a_sharper_quadratic() -> None:
    """L + eta |w - theta|^2 has A + 2 eta I and b + 2 eta theta: theta_k = s + (I - a(A + 2 eta I))^k (theta - s)."""
    (A, b), theta, alpha, eta = quadratic(0), noise(9, P), 0.05, 1.5
    eye = torch.eye(P, dtype=torch.float64)
    sharper = A + 2 * eta * eye
    s = torch.linalg.solve(sharper, b + 2 * eta * theta)
    for k, w in enumerate(thetas(loop(A, b, alpha=alpha, proximal=eta), theta), 1):
        expected = s + torch.linalg.matrix_power(eye - alpha * sharper, k) @ (theta - s)
        torch.testing.assert_close(w, expected, rtol=1e-12, atol=1e-13)


def test_the_pull_keeps_nearer_and_leaves_the_first_step_alone() -> None:
    (A, b), theta = quadratic(0), noise(9, P)
    free, held = (thetas(loop(A, b, alpha=0.05, proximal=eta), theta) for eta in (0.0, 1.5))
    assert torch.equal(free[0], held[0])
    assert all((h - theta).norm() < (f - theta).norm() for h, f in zip(held[1:], free[1:]))


def test_an_opposing_gradient_loses_exactly_what_opposes() -> None:
    f = {"a": noise(0, 3), "b": noise(1, 2, 2)}
    across = {"a": noise(2, 3), "b": noise(3, 2, 2)}
    size = inner(f, f)
    across = {n: g - inner(across, f) / size * f[n] for n, g in across.items()}  # at a right angle to f
    for along in (-2.0, 0.0, 3.0):
        found = unopposed({n: g + along * f[n] for n, g in across.items()}, f)
        for n, g in found.items():
            torch.testing.assert_close(g, across[n] + max(along, 0.0) * f[n], rtol=1e-12, atol=1e-14)
    nothing = {n: torch.zeros_like(g) for n, g in f.items()}
    assert all(torch.equal(g, across[n]) for n, g in unopposed(across, nothing).items()), "no first gradient, no NaN"


def test_where_descent_would_turn_back_the_aligned_one_stays() -> None:
    """In one dimension with a > 1 / curvature the second gradient opposes the first, and nothing is left of it."""
    A, b, theta = torch.full((1, 1), 2.0).double(), torch.zeros(1).double(), torch.ones(1).double()
    turning, staying = (thetas(loop(A, b, alpha=0.8, aligned=on), theta) for on in (False, True))
    assert [round(float(w), 6) for w in turning[:3]] == [-0.6, 0.36, -0.216]
    assert all(torch.allclose(w, torch.full_like(w, -0.6)) for w in staying)


def test_no_aligned_step_opposes_the_first() -> None:
    (A, b), theta, alpha = quadratic(1), noise(9, P), 0.5
    path = [theta, *thetas(loop(A, b, alpha=alpha, aligned=True), theta)]
    steps = [(before - after) / alpha for before, after in pairwise(path)]
    assert all(float(d @ steps[0]) >= -1e-12 for d in steps)
    free = [theta, *thetas(loop(A, b, alpha=alpha), theta)]
    assert any(float((before - after) @ steps[0]) < 0 for before, after in pairwise(free))


def test_noise_is_a_function_of_seed_and_task_alone() -> None:
    tasks = image_tasks(0, T=3)
    method = plain_method(FOMAML, init_noise=0.1)
    (one,) = method.own_data(tasks)
    assert torch.equal(method.own_data(tasks[1])[0][0], one[1])
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(plain_method(FOMAML, init_noise=0.1, seed=1).own_data(tasks)[0], one)
    assert abs(float(one.mean())) < 0.05
    assert float(one.std()) == pytest.approx(1, abs=0.05)


def test_there_is_noise_in_training_only() -> None:
    tasks = image_tasks(0)
    for training in (False, True):
        a, b = (small_method("fomaml", init_noise=e).train(training) for e in (0.0, 0.5))
        assert torch.equal(outputs(a, tasks), outputs(b, tasks))


def test_proximal_and_aligned_also_shape_how_new_tasks_are_learned() -> None:
    tasks = image_tasks(0)
    told = {"inner_lr": 0.5, "eval_steps": 5}
    plain = outputs(small_method("fomaml", **told), tasks)
    held, aligned = (outputs(small_method("fomaml", **told, **o), tasks) for o in OPTIONS[:2])
    assert (held - plain).abs().max() > 1e-3
    assert (aligned - plain).abs().max() > 1e-6


def test_impossible_strengths_are_refused() -> None:
    for eta in (-1.0, 1.3):
        with pytest.raises(UserError, match=rf"below 1 / \(2 \* inner_lr\) = 1.25.*got {eta:g}. Take a smaller one"):
            small_method("fomaml", proximal=eta)
    with pytest.raises(UserError, match=r"init_noise must be at least 0 .*got -0.1"):
        small_method("fomaml", init_noise=-0.1)
