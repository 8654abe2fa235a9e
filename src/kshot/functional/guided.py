"""Inner steps that are held near their start and to its direction, and starts with noise.

Three inventions of a popular tutorial ("fast orthogonal meta-learning"), as pure functions on dicts of tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .inner import SGD, Gradient, Params, as_params

FIRST = "first gradient of "  # with the name of a parameter: an entry of the state


@dataclass(frozen=True)
class GuidedSGD(SGD):
    """k first-order steps theta_{i+1} = theta_i - alpha d_i, an InnerLoop.

        g_i = grad L^support(theta_i) + 2 eta (theta_i - theta)         the gradient of L + eta |theta_i - theta|^2
        d_i = g_i, or with `aligned` the part of it that does not oppose g_0

    Attributes:
        proximal: eta.
        aligned: see `unopposed`.
        init_noise: epsilon: training starts from theta (1 + epsilon n), n standard normal, see `perturbed`.
    """

    proximal: float = 0.0
    aligned: bool = False
    init_noise: float = 0.0

    def start(self, meta: Params, xs: Tensor, ys: Tensor, *own: Tensor) -> Params:
        """theta, or with noise [P] of its own theta (1 + epsilon n)."""
        state = super().start(meta, xs, ys)
        return perturbed(state, self.init_noise, own[0]) if own else state

    def step(self, meta: Params, state: Params, i: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> Params:
        """One step; with `aligned`, the state carries g_0 along."""
        at = {n: state[n] for n in self.adapted}
        fixed = {n: p.detach() for n, p in meta.items() if n not in at}
        grads, _ = gradient(lambda p: (self.support_loss(fixed | p, xs, ys), ()), at, constant=True)
        if self.proximal:
            grads = {n: g + 2 * self.proximal * (at[n] - meta[n]).detach() for n, g in grads.items()}
        first: Params = {}
        if self.aligned:
            first = {FIRST + n: state[FIRST + n] if i else g for n, g in grads.items()}
            grads = unopposed(grads, {n: first[FIRST + n].detach() for n in grads}) if i else grads
        return {n: p - self.alpha * grads[n] for n, p in at.items()} | first

    def loss(
        self, meta: Params, state: Params, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor
    ) -> tuple[Tensor, object]:
        """The loss of the queries at theta_k."""
        return super().loss(meta, {n: state[n] for n in self.adapted}, xs, ys, xq, yq)


def unopposed(grads: Params, first: Params) -> Params:
    """g - min(0, g.f) / |f|^2 f: without its part along -f, if it has one (all parameters as one vector).

    PCGrad's projection (Yu et al. 2020), with the first gradient f of the same task in the place of another task's.
    """
    dot = inner(grads, first)
    scale = dot.clamp(max=0) / inner(first, first).clamp(min=torch.finfo(dot.dtype).tiny)
    return {n: g - scale * first[n] for n, g in grads.items()}


def inner(a: Params, b: Params) -> Tensor:
    """The inner product of two dicts of tensors of the same names: a scalar."""
    return torch.stack([(a[n] * b[n]).sum() for n in a]).sum()


def perturbed(params: Params, epsilon: float, noise: Tensor) -> Params:
    """theta (1 + epsilon n), with the noise [P] of all parameters one after the other."""
    n = as_params(noise, params)
    return {name: p * (1 + epsilon * n[name]) for name, p in params.items()}
