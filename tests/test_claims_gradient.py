"""Identities of MAML and first-order MAML (float64)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.data.curves import Sinusoid
from kshot.functional.engines import Engine
from kshot.functional.inner import SGD, autograd_gradient, path
from kshot.functional.metagradients import meta_gradient, part_of
from kshot.methods import FOMAML, MAML, build_method
from kshot.tasks import CurveTasks, Tasks
from support import gradient_of, image_tasks, noise, plain_method, small_method

ALPHA = 0.05
P = 4


def quadratic(seed: int) -> tuple[Tensor, Tensor]:
    """A positive definite Hessian A [P, P] and a vector b: L(theta) = theta.A.theta / 2 - b.theta."""
    root = noise(seed, P, P)
    return root @ root.T / P + torch.eye(P, dtype=torch.float64), noise(seed + 50, P)


def value(problem: tuple[Tensor, Tensor]) -> Callable[[dict[str, Tensor]], Tensor]:
    A, b = problem
    return lambda p: p["w"] @ A @ p["w"] / 2 - b @ p["w"]


def descent(inner: object, outer: object, k: int, *, alpha: float = ALPHA, first: bool = False) -> SGD:
    """k steps on one quadratic, then the loss of another; the data play no part."""
    return SGD(
        lambda p, x, y: value(inner)(p),
        lambda p, x, y: (value(outer)(p), ()),
        ["w"],
        alpha=alpha,
        steps=k,
        first_order=first,
    )


ENGINES = [Engine(1), Engine(1, recompute=True), Engine(0), Engine(0, recompute=True)]


def gradients(inner: object, outer: object, theta: Tensor, k: int, *, alpha: float = ALPHA, first: bool) -> Tensor:
    """The meta-gradient [P], which every engine finds."""
    loop, empty = descent(inner, outer, k, alpha=alpha, first=first), torch.zeros(1, 1, dtype=theta.dtype)
    found = [
        meta_gradient({"w": theta}, (empty,) * 4, e, part_of(loop, e, functional=functional)).grads["w"]
        for e in ENGINES
        for functional in (False, True)
    ]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-12, atol=1e-14)
    return found[0]


@pytest.mark.parametrize("k", [0, 1, 2, 5])
def test_on_quadratics_the_path_and_both_gradients_have_closed_forms(k: int) -> None:
    """theta_k = s + (I - aA)^k (theta - s); MAML is (I - aA)^k (A_1 theta_k - b_1), first order drops the power."""
    (A0, b0), (A1, b1), theta = quadratic(0), quadratic(1), noise(2, P)
    s = torch.linalg.solve(A0, b0)
    power = torch.linalg.matrix_power(torch.eye(P, dtype=torch.float64) - ALPHA * A0, k)
    theta_k = s + power @ (theta - s)
    if k:
        states = path(descent((A0, b0), (A1, b1), k), {"w": theta}, k, autograd_gradient, theta, theta)
        torch.testing.assert_close(states[-1]["w"], theta_k, rtol=1e-12, atol=1e-13)
    outer = A1 @ theta_k - b1
    exact = gradients((A0, b0), (A1, b1), theta, k, first=False)
    torch.testing.assert_close(exact, power @ outer, rtol=1e-12, atol=1e-13)
    first = gradients((A0, b0), (A1, b1), theta, k, first=True)
    torch.testing.assert_close(first, outer, rtol=1e-12, atol=1e-13)


def test_a_step_of_one_over_the_curvature_kills_the_maml_gradient_only() -> None:
    H = 3.0
    problem = (H * torch.eye(P, dtype=torch.float64), noise(0, P))
    theta = noise(1, P)
    exact = gradients(problem, quadratic(3), theta, 1, alpha=1 / H, first=False)
    assert exact.abs().max() < 1e-14
    assert gradients(problem, quadratic(3), theta, 1, alpha=1 / H, first=True).abs().max() > 0.1


def test_leading_order_of_the_three_gradients() -> None:
    """With k different batches at the same start, each method has its own combination of g_i and H_i, up to alpha^2.

    First order: g_k - a H_k sum_{j<k} g_j; MAML adds -a sum_{j<k} H_j g_k; Reptile: sum g_i - a sum_i H_i sum_{j<i} g_j
    (Nichol et al. 2018, section 5).
    """
    k, theta = 3, noise(9, P)
    batches = [quadratic(i) for i in range(k)]

    def loss(problem: tuple[Tensor, Tensor]) -> Callable[[Tensor], Tensor]:  # not quadratic: third derivatives matter
        A, b = problem
        return lambda w: w @ A @ w / 2 - b @ w + (w**4).sum() / 12

    g = [torch.func.grad(loss(p))(theta) for p in batches]
    H = [torch.func.jacrev(torch.func.grad(loss(p)))(theta) for p in batches]

    def residuals(alpha: float) -> list[Tensor]:
        start = theta.clone().requires_grad_()
        w, seen = start, []
        for problem in batches[:-1]:
            step = torch.autograd.grad(loss(problem)(w), w, create_graph=True)[0]
            seen.append(step)
            w = w - alpha * step
        last = torch.autograd.grad(loss(batches[-1])(w), w, create_graph=True)[0]
        maml = torch.autograd.grad(loss(batches[-1])(w), start)[0]
        before = g[0] + g[1]
        first = g[2] - alpha * H[2] @ before
        exact = first - alpha * (H[0] + H[1]) @ g[2]
        reptile = sum(g) - alpha * (H[1] @ g[0] + H[2] @ before)
        return [last - first, maml - exact, sum(seen) + last - reptile]

    coarse, fine = residuals(1e-2), residuals(1e-3)
    for a, b in zip(coarse, fine):
        assert (a.norm() / 1e-4).item() == pytest.approx((b.norm() / 1e-6).item(), rel=0.2)


def oracle(method: MAML, tasks: Tasks, k: int, *, first: bool) -> list[Tensor]:
    """The meta-gradient in plain loops over tasks and steps."""
    names = [n for n, _ in method.net.named_parameters()]
    total = [torch.zeros_like(p) for p in method.net.parameters()]
    for t in range(len(tasks)):
        theta = [p.detach().clone().requires_grad_() for p in method.net.parameters()]
        w = theta
        for _ in range(k):
            out = torch.func.functional_call(method.net, dict(zip(names, w)), (tasks.xs[t],))
            loss = method.way * F.cross_entropy(out, tasks.ys[t])
            g = torch.autograd.grad(loss, w, create_graph=True)
            w = [p - method.inner_lr * (d.detach() if first else d) for p, d in zip(w, g)]
        out = torch.func.functional_call(method.net, dict(zip(names, w)), (tasks.xq[t],))
        g = torch.autograd.grad(F.cross_entropy(out, tasks.yq[t]), theta)
        total = [a + b / len(tasks) for a, b in zip(total, g)]
    return total


@pytest.mark.parametrize(
    "engine", ["vmap", "loop", "chunk:2", "loop+threads", "vmap+threads+recompute", "loop+recompute", "vmap+recompute"]
)
@pytest.mark.parametrize(("make", "first"), [(MAML, False), (FOMAML, True)])
def test_meta_gradient_in_plain_loops(make: type[MAML], first: bool, engine: str) -> None:
    tasks = image_tasks(0, T=3)
    for k in (1, 3):
        method = plain_method(make, inner_steps=k, inner_lr=0.1, engine=engine)
        for a, b in zip(gradient_of(method, tasks), oracle(method, tasks, k, first=first)):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_first_and_second_order_differ() -> None:
    tasks = image_tasks(0)
    a = gradient_of(plain_method(MAML, inner_lr=0.1), tasks)
    b = gradient_of(plain_method(FOMAML, inner_lr=0.1), tasks)
    assert any((x - y).abs().max() > 1e-4 for x, y in zip(a, b))


def test_without_inner_steps_or_rate_maml_is_joint_training() -> None:
    tasks = image_tasks(0)
    method = plain_method(MAML)
    out = method.forward_with(method.parameters_now(), tasks.xq.flatten(0, 1))
    joint = torch.autograd.grad(F.cross_entropy(out, tasks.yq.flatten()), list(method.net.parameters()))
    for options in ({"inner_steps": 0}, {"inner_lr": 0.0}):
        for make in (MAML, FOMAML):
            for a, b in zip(gradient_of(plain_method(make, **options), tasks), joint):
                torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_the_inner_loss_is_summed_over_classes() -> None:
    """The published code: a sum over the N*K support points, divided by K."""
    method, tasks = plain_method(MAML), image_tasks(0, shot=2)
    loss = method.inner_loss(method.parameters_now(), tasks.xs[0], tasks.ys[0])
    out = method.forward_with(method.parameters_now(), tasks.xs[0])
    summed = F.cross_entropy(out, tasks.ys[0], reduction="sum") / 2
    torch.testing.assert_close(loss, summed)


def test_batch_norm_is_not_adapted_unless_asked() -> None:
    tasks = image_tasks(0)
    for adapt_norm in (False, True):
        method = small_method("maml", adapt_norm=adapt_norm)
        state = method.adapt(tasks.xs, tasks.ys, 3)
        moved = (state.params["backbone.blocks.0.norm.bias"] - method.net.backbone.blocks[0].norm.bias).abs().max()
        assert bool(moved > 1e-9) is adapt_norm


def test_not_transductive_means_each_query_beside_the_support_set() -> None:
    method, tasks = small_method("maml"), image_tasks(0, T=1)
    state = method.adapt(tasks.xs, tasks.ys, 3)
    together = method.predict(state, tasks.xq)
    params = {n: p[0] for n, p in state.params.items()}
    for i in range(tasks.xq.shape[1]):
        batch = torch.cat([tasks.xs[0], tasks.xq[0, i : i + 1]])
        alone = method.forward_with(params, batch)[-1]
        torch.testing.assert_close(together[0, i], alone, rtol=1e-9, atol=1e-11)


def test_maml_learns_sine_curves_that_joint_training_cannot() -> None:
    """After a short training, one gradient step helps MAML; the blind optimum of joint training stays near 3.0."""
    source = CurveTasks(Sinusoid(), shot=10, query=10)
    method = build_method("maml", source.spec, inner_lr=0.01, eval_steps=1)
    optimiser = torch.optim.Adam(method.parameters(), 5e-3)
    for step in range(400):
        optimiser.zero_grad()
        method.meta_step(source.batch(range(step * 25, step * 25 + 25)))
        optimiser.step()
    test = CurveTasks(Sinusoid(), shot=10, query=50, seed=1).batch(range(200))
    with torch.no_grad():
        path = method.predict_steps(test.xs, test.ys, test.xq, 0, 5)
    error = (path - test.yq).square().mean((1, 2, 3))
    assert float(error[1]) < 2.0 < float(error[0])
    assert float(error[5]) < float(error[1])
