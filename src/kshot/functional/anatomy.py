"""What the meta-gradients of MAML, first-order MAML and Reptile are made of: Nichol, Achiam & Schulman 2018, section 5.

A task has m batches of examples with the losses L_1..L_m; g_i and H_i are gradient and Hessian of L_i at theta. Over
all batches and all ordered pairs i != j of them,

    A = mean g_i                                        the mean gradient
    B = mean H_i g_j = 1/2 grad mean g_i . g_j          the gradient of the inner product of two batches' gradients
    C = mean H_i g_i = 1/2 grad mean |g_i|^2            the same of a batch with itself

The expected meta-gradient is a A + alpha (b B + c C) + O(alpha^2) for steps of size alpha, with (a, b, c) by method:

                    each of k batches once (the last is the query)      n steps on one batch, another is the query
    MAML            1    -2(k-1)       0                                1    -2n    0
    first order     1    -(k-1)        0                                1    -n     0
    Reptile         k    -k(k-1)/2     0                                n     0    -n(n-1)/2

Expectations are means over every ordered choice of batches: nothing is sampled. theta is a vector [P]; a loss is a
function of such a vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Loss = Callable[[Tensor], Tensor]
Form = Literal["distinct", "same"]
Gradients = dict[str, Tensor]  # by method, [K, P]: the meta-gradients for k = 1..K
Coefficients = tuple[float, float, float]
SYSTEMS = ("maml", "fomaml", "reptile")
ROUNDING = 1e-13  # residuals below this part of |A| are rounding (float64)


@dataclass(frozen=True)
class Terms:
    """A, B and C [P]."""

    A: Tensor
    B: Tensor
    C: Tensor

    def mixed(self, coefficients: Coefficients, alpha: float) -> Tensor:
        """a A + alpha (b B + c C)."""
        a, b, c = coefficients
        return a * self.A + alpha * (b * self.B + c * self.C)


def terms(losses: Sequence[Loss], theta: Tensor) -> Terms:
    """A, B and C of a task's batches at theta [P]; at least two batches."""
    m, at = len(losses), theta.detach().requires_grad_()
    g = [torch.autograd.grad(loss(at), at, create_graph=True)[0] for loss in losses]
    total, squares = torch.stack(g).sum(0), torch.stack([x @ x for x in g]).sum()
    (own,) = torch.autograd.grad(squares / 2, at, retain_graph=True)
    (both,) = torch.autograd.grad(total @ total / 2, at)
    return Terms(total.detach() / m, (both - own) / (m * (m - 1)), own / m)


def step(loss: Loss, theta: Tensor) -> tuple[Tensor, Tensor]:
    """theta as a leaf, and the gradient of the loss there with its graph."""
    at = theta.detach().requires_grad_()
    return at, torch.autograd.grad(loss(at), at, create_graph=True)[0]


def pulled_back(v: Tensor, path: Sequence[tuple[Tensor, Tensor]], alpha: float) -> Tensor:
    """(I - alpha H_1) ... (I - alpha H_k) v, the gradient by the start of a path of steps (see `step`)."""
    for at, g in reversed(path):
        v = v - alpha * torch.autograd.grad(g, at, v, retain_graph=True)[0]
    return v


def distinct_batches(losses: Sequence[Loss], theta: Tensor, alpha: float, most: int) -> Gradients:
    """The expected meta-gradients when each of k batches, k = 1..most, serves once.

    MAML and its first-order form take k - 1 steps and the last batch for the query loss; Reptile takes k steps.
    """
    sums = {name: theta.new_zeros(most, theta.numel()) for name in SYSTEMS}

    def visit(w: Tensor, unused: Sequence[Loss], path: list[tuple[Tensor, Tensor]], travelled: Tensor) -> None:
        k = len(path)
        for i, loss in enumerate(unused):
            at, g = step(loss, w)
            last = g.detach()
            sums["maml"][k] += pulled_back(last, path, alpha)
            sums["fomaml"][k] += last
            sums["reptile"][k] += travelled + last
            if k + 1 < most:
                visit(w - alpha * last, [*unused[:i], *unused[i + 1 :]], [*path, (at, g)], travelled + last)

    visit(theta.detach(), list(losses), [], torch.zeros_like(theta))
    choices = torch.tensor([math.perm(len(losses), k) for k in range(1, most + 1)]).to(theta)
    return {name: total / choices[:, None] for name, total in sums.items()}


def same_batch(losses: Sequence[Loss], theta: Tensor, alpha: float, most: int) -> Gradients:
    """The expected meta-gradients after n = 1..most steps on one batch; another batch gives the query loss.

    Reptile takes its n steps on the one batch ("full-batch Reptile").
    """
    m = len(losses)
    sums = {name: theta.new_zeros(most, theta.numel()) for name in SYSTEMS}
    for s, support in enumerate(losses):
        w, travelled = theta.detach(), torch.zeros_like(theta)
        path: list[tuple[Tensor, Tensor]] = []
        for n in range(most):
            path.append(step(support, w))
            last = path[-1][1].detach()
            w, travelled = w - alpha * last, travelled + last
            sums["reptile"][n] += travelled / m
            for q, query in enumerate(losses):
                if q != s:
                    at = w.requires_grad_()
                    (g,) = torch.autograd.grad(query(at), at)
                    sums["fomaml"][n] += g / (m * (m - 1))
                    sums["maml"][n] += pulled_back(g, path, alpha) / (m * (m - 1))
            w = w.detach()
    return sums


FORMS: dict[Form, Callable[[Sequence[Loss], Tensor, float, int], Gradients]] = {
    "distinct": distinct_batches,
    "same": same_batch,
}


def predicted(form: Form, system: str, k: int) -> Coefficients:
    """(a, b, c) of the theory, see the head of this file."""
    if form == "distinct":
        return {"maml": (1, -2 * (k - 1), 0), "fomaml": (1, -(k - 1), 0), "reptile": (k, -k * (k - 1) / 2, 0)}[system]
    return {"maml": (1, -2 * k, 0), "fomaml": (1, -k, 0), "reptile": (k, 0, -k * (k - 1) / 2)}[system]


def measured(plus: Tensor, minus: Tensor, alpha: float, terms: Terms) -> tuple[Coefficients, float]:
    """(a, b, c) of a meta-gradient [P] found with step sizes alpha and -alpha, and what they leave unexplained.

    The mean of the two is a A up to alpha^2, half their difference alpha (b B + c C) up to alpha^3: least squares on A,
    and on B and C. The last number is the part of the difference (by its norm) that lies outside of B and C; 0 if there
    is no difference.
    """
    value, slope = (plus + minus) / 2, (plus - minus) / (2 * alpha)
    a = float(value @ terms.A / (terms.A @ terms.A))
    if float(slope.norm()) * alpha <= ROUNDING * float(value.norm()):
        return (a, 0.0, 0.0), 0.0
    scales = torch.stack([terms.B.norm(), terms.C.norm()])
    basis = torch.stack([terms.B, terms.C], 1) / scales
    found = torch.linalg.lstsq(basis, slope[:, None], driver="gelsd" if slope.device.type == "cpu" else None).solution
    rest = float((slope - (basis @ found)[:, 0]).norm() / slope.norm())
    b, c = (found[:, 0] / scales).tolist()
    return (a, b, c), rest


def order(alphas: Sequence[float], residuals: Sequence[float], floor: float, *, first: int | None = None) -> float:
    """The slope of log residual against log alpha by least squares; NaN where fewer than two lie above the floor.

    Args:
        first: take only so many of those above the floor, the smallest alphas first.
    """
    points = [(math.log(a), math.log(r)) for a, r in zip(alphas, residuals) if r > floor][:first]
    if len(points) < 2:
        return math.nan
    x, y = torch.tensor(points, dtype=torch.float64).unbind(1)
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))
