"""Implicit MAML against exact solutions, in plain loops (float64)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.functional.engines import Engine, gradient_for
from kshot.functional.implicit import Implicit, ProximalSGD, conjugate_gradient
from kshot.functional.inner import functional_gradient
from kshot.functional.metagradients import meta_gradient, part_of
from kshot.methods import FOMAML, IMAML
from support import gradient_of, graph_size, image_tasks, noise, plain_method, small_method

P = 5
LAMBDA = 0.7
ENGINES = [Engine(1), Engine(0), Engine(0, recompute=True)]


def quadratic(seed: int) -> tuple[Tensor, Tensor]:
    """A positive definite A [P, P] and b: L(phi) = phi.A.phi / 2 - b.phi."""
    root = noise(seed, P, P)
    return root @ root.T / P + 0.2 * torch.eye(P, dtype=torch.float64), noise(seed + 50, P)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("functional", [False, True])
def test_on_quadratics_the_solution_and_its_gradient_are_exact(engine: Engine, functional: bool) -> None:
    """phi* = (A + lambda I)^-1 (b + lambda theta); the gradient is (I + A / lambda)^-1 grad L_q(phi*)."""
    (A, b), (C, d), theta = quadratic(0), quadratic(1), noise(2, P)
    gradient = functional_gradient if functional else gradient_for(engine)

    def value(problem: tuple[Tensor, Tensor], phi: Tensor) -> Tensor:
        return phi @ problem[0] @ phi / 2 - problem[1] @ phi

    inner = ProximalSGD(
        lambda p, x, y: value((A, b), p["w"]),
        lambda p, x, y: (value((C, d), p["w"]), p["w"]),
        ["w"],
        alpha=0.25,
        steps=400,
        first_order=True,
        pull=LAMBDA,
    )
    loop, empty = Implicit(inner, gradient, cg_steps=P), torch.zeros(1, 1, dtype=torch.float64)
    found = meta_gradient({"w": theta}, (empty,) * 4, engine, part_of(loop, engine, functional=functional))
    eye = torch.eye(P, dtype=torch.float64)
    phi = torch.linalg.solve(A + LAMBDA * eye, b + LAMBDA * theta)
    torch.testing.assert_close(found.output[0], phi, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found.loss, value((C, d), phi), rtol=1e-9, atol=1e-11)
    exact = torch.linalg.solve(eye + A / LAMBDA, C @ phi - d)
    torch.testing.assert_close(found.grads["w"], exact, rtol=1e-8, atol=1e-10)


def test_conjugate_gradient_is_exact_after_as_many_steps_as_dimensions() -> None:
    (A, b) = quadratic(3)
    exact = torch.linalg.solve(A, b)
    errors = [
        (conjugate_gradient(lambda v: {"x": A @ v["x"]}, {"x": b}, steps)["x"] - exact).norm().item()
        for steps in (1, P - 1, P, P + 3)
    ]
    assert errors[0] > errors[1] > 1e-4
    assert errors[2] < 1e-10
    assert errors[3] < 1e-10  # nothing left to divide by


def curved(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """A smooth loss of w and f that is not quadratic."""
    return ((torch.tanh(x @ p["w"]) * p["f"]).sum(-1) - x[:, 0]).square().mean() + 0.1 * (p["w"] ** 4).sum()


def solution(theta: Tensor, f: Tensor, x: Tensor) -> Tensor:
    """phi* in plain loops: 400 steps."""
    w = theta.clone()
    for _ in range(400):
        g = torch.func.grad(lambda w: curved({"w": w, "f": f}, x))(w)
        w = w - 0.1 * (g + LAMBDA * (w - theta))
    return w


def test_the_gradient_agrees_with_differences_also_for_what_is_not_adapted() -> None:
    theta, f, x, q = noise(0, 3, 2) / 2, noise(1, 2), noise(2, 6, 3), noise(3, 6, 3)
    inner = ProximalSGD(
        lambda p, x, y: curved(p, x), lambda p, x, y: (curved(p, x), ()), ["w"], 0.1, 400, True, pull=LAMBDA
    )
    loop = Implicit(inner, gradient_for(Engine(1)), cg_steps=6)
    empty = torch.zeros(1, 1, dtype=torch.float64)
    found = meta_gradient({"w": theta, "f": f}, (x[None], empty, q[None], empty), Engine(1), part_of(loop, Engine(1)))

    def objective(theta: Tensor, f: Tensor) -> Tensor:
        return curved({"w": solution(theta, f, x), "f": f}, q)

    eps, (u, v) = 1e-4, (noise(4, 3, 2), noise(5, 2))
    for along_w, along_f in ((u, 0 * v), (0 * u, v)):
        there, back = (objective(theta + s * eps * along_w, f + s * eps * along_f) for s in (1, -1))
        slope = (found.grads["w"] * along_w).sum() + (found.grads["f"] * along_f).sum()
        torch.testing.assert_close(slope, (there - back) / (2 * eps), rtol=1e-5, atol=1e-7)


def test_an_infinite_tie_is_joint_training() -> None:
    tasks = image_tasks(0)
    method = plain_method(IMAML, proximal=1e9, inner_lr=5e-10, inner_steps=5)
    out = method.forward_with(method.parameters_now(), tasks.xq.flatten(0, 1))
    joint = torch.autograd.grad(F.cross_entropy(out, tasks.yq.flatten()), list(method.net.parameters()))
    for got, wanted in zip(gradient_of(method, tasks), joint):
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-9)


def test_without_tie_and_curvature_it_is_first_order_maml() -> None:
    tasks = image_tasks(0)
    method = plain_method(IMAML, proximal=1e-12, cg_steps=0, inner_lr=0.3, inner_steps=3, damping=1e12)
    for got, wanted in zip(
        gradient_of(method, tasks), gradient_of(plain_method(FOMAML, inner_lr=0.1, inner_steps=3), tasks)
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-10)


def test_memory_does_not_grow_with_the_steps() -> None:
    sizes = [
        graph_size(small_method("imaml", engine="loop", inner_steps=k).train(), image_tasks(0, T=1)) for k in (2, 12)
    ]
    assert sizes[0] == sizes[1]
