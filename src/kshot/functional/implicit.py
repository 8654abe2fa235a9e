"""Implicit gradients: through the solution of a proximal inner problem, not through the steps that led to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from .inner import SGD, Gradient, Params


@dataclass(frozen=True, kw_only=True)
class ProximalSGD(SGD):
    """Gradient descent on L^support(phi) + lambda / 2 ||phi - theta||^2 from phi = theta.

    Attributes:
        pull: lambda.
    """

    pull: float

    def step(self, meta: Params, state: Params, i: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> Params:
        """One step on the whole support set."""
        new = super().step(meta, state, i, gradient, xs, ys)
        return {n: p - self.alpha * self.pull * (state[n] - meta[n]) for n, p in new.items()}


@dataclass(frozen=True)
class Implicit:
    """The solution phi* of the proximal problem, with its gradient by theta (Rajeswaran et al. 2019), an InnerLoop.

    Where phi* is stationary, lambda (phi* - theta) + grad L^support(phi*) = 0, and so

        d phi* / d theta = (I + H / lambda)^-1,   H the Hessian of L^support at phi*.

    For the engines it has no steps: `start` solves the problem without keeping a graph, and the gradient of `loss` is
    the implicit one. Parameters that the steps leave alone get theirs through the same equation.

    Attributes:
        inner: finds phi*.
        gradient: the engine's way to gradients.
        cg_steps: steps of conjugate gradient for (I + H / (lambda + damping)) v = grad L^query.
        damping: added to lambda there.
    """

    inner: ProximalSGD
    gradient: Gradient
    cg_steps: int
    damping: float = 0.0
    steps: int = 0
    alike: ClassVar[bool] = True

    def start(self, meta: Params, xs: Tensor, ys: Tensor) -> Params:
        """phi*, as a constant."""
        constant = {n: p.detach() for n, p in meta.items()}
        state = self.inner.start(constant, xs, ys)
        for i in range(self.inner.steps):
            state = self.inner.step(constant, state, i, self.gradient, xs, ys)
        return state

    def step(self, meta: Params, state: Params, i: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> Params:
        """Never taken."""
        raise NotImplementedError

    def loss(self, meta: Params, state: Params, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> tuple[Tensor, Any]:
        """L^query(phi*), plus a zero whose gradient is the implicit one."""
        inner, pull = self.inner, self.inner.pull
        fixed = {n: p for n, p in meta.items() if n not in state}
        constant = {n: p.detach() for n, p in fixed.items()}

        def slope(phi: Params, fixed: Params) -> Params:
            return self.gradient(lambda p: (inner.support_loss(fixed | p, xs, ys), ()), phi)[0]

        def matrix(v: Params) -> Params:
            along, _ = self.gradient(lambda p: (inner_product(slope(p, constant), v), ()), state, constant=True)  # H v
            return {n: v[n] + h / (pull + self.damping) for n, h in along.items()}

        wanted, _ = self.gradient(lambda p: (inner.query_loss(constant | p, xq, yq)[0], ()), state, constant=True)
        v = conjugate_gradient(matrix, wanted, self.cg_steps)
        loss, output = inner.query_loss(fixed | state, xq, yq)
        moved = {n: meta[n] - s / pull for n, s in slope(state, fixed).items()}
        return loss + inner_product(v, {n: m - m.detach() for n, m in moved.items()}), output


def conjugate_gradient(matrix: Callable[[Params], Params], b: Params, steps: int) -> Params:
    """x with matrix(x) = b, by `steps` steps of conjugate gradient from x = b, for a positive definite matrix.

    Exact after as many steps as the matrix has different eigenvalues. Directions without positive curvature are left
    out.
    """
    x, product = b, matrix(b)
    r = {n: b[n] - product[n] for n in b}
    p, square = r, inner_product(r, r)
    for _ in range(steps):
        product = matrix(p)
        length = square / positive(inner_product(p, product))
        x = {n: x[n] + length * p[n] for n in x}
        r = {n: r[n] - length * product[n] for n in r}
        before, square = square, inner_product(r, r)
        ratio = square / positive(before)
        p = {n: r[n] + ratio * p[n] for n in r}
    return x


def inner_product(a: Params, b: Params) -> Tensor:
    """The sum of the products of all entries, scalar."""
    return torch.stack([(a[n] * b[n]).sum() for n in a]).sum()


def positive(x: Tensor) -> Tensor:
    """x, or infinity where it is not positive, so that what is divided by it vanishes."""
    return torch.where(x > 0, x, torch.inf)
