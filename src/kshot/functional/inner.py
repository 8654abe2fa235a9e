"""Inner loops: gradient steps on a task that can themselves be differentiated and batched over tasks.

Parameters are dicts name -> tensor, as `torch.func.functional_call` takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.func import grad
from torch.utils import _pytree as pytree

Params = dict[str, Tensor]


class Gradient(Protocol):
    """A way to the gradient of a scalar function of a dict of tensors, by the same names."""

    def __call__(
        self, loss: Callable[[Params], tuple[Tensor, Any]], at: Params, constant: bool = False
    ) -> tuple[Params, Any]:
        """The gradient at `at` of the loss, whose second result is passed on, detached.

        Args:
            loss: returns the scalar, and a tensor (or a tree of tensors) to pass on.
            at: where; these tensors are the ones that are differentiated by.
            constant: the gradient need not be differentiated again.
        """


def functional_gradient(
    loss: Callable[[Params], tuple[Tensor, Any]], at: Params, constant: bool = False
) -> tuple[Params, Any]:
    """By torch.func: it can be batched with vmap and compiled."""
    return grad(loss, has_aux=True)({n: p.detach() for n, p in at.items()} if constant else at)


def autograd_gradient(
    loss: Callable[[Params], tuple[Tensor, Any]], at: Params, constant: bool = False
) -> tuple[Params, Any]:
    """By autograd: the faster way for one task."""
    constant = constant or not torch.is_grad_enabled()
    with torch.enable_grad():
        # views, so that a tensor that was computed from another one of them does not count as its function
        leaves = {
            n: p.detach().requires_grad_() if constant or not p.requires_grad else p.view_as(p) for n, p in at.items()
        }
        value, aux = loss(leaves)
        found = torch.autograd.grad(value, list(leaves.values()), create_graph=not constant, materialize_grads=True)
    return dict(zip(leaves, found)), pytree.tree_map_only(Tensor, Tensor.detach, aux)


class InnerLoop(Protocol):
    """How one task is learned; every function is pure, and the tensors of a task have no task axis.

    The state is a dict of tensors; `gradient` is the engine's way to gradients.
    """

    @property
    def steps(self) -> int:
        """How many steps are taken before the loss."""

    @property
    def alike(self) -> bool:
        """Whether every step after the first is the same function, whatever its number."""

    def start(self, meta: Params, xs: Tensor, ys: Tensor) -> Params:
        """The state before the first step; what else a training task brings is given behind these."""

    def step(self, meta: Params, state: Params, i: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> Params:
        """The state after step i = 0, 1, ..."""

    def loss(self, meta: Params, state: Params, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> tuple[Tensor, Any]:
        """The loss of the queries after the last step, and outputs to report."""


@runtime_checkable
class MultiStepLoop(InnerLoop, Protocol):
    """An inner loop whose loss has a part for every step."""

    def early_loss(self, meta: Params, state: Params, i: int, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
        """What the queries add to the loss after i = 1, 2, ..., steps - 1 steps."""


@dataclass(frozen=True)
class SGD:
    """k steps theta_{i+1} = theta_i - alpha grad L^support(theta_i) (Finn et al. 2017, eq. 1), an InnerLoop.

    Attributes:
        support_loss: of all parameters and the support set: `support_loss(params, xs, ys)`.
        query_loss: of all parameters and the queries, with outputs to report: `query_loss(params, xq, yq)`.
        adapted: names of the parameters that the steps change; the others keep their meta-value.
        alpha: step size.
        steps: k.
        first_order: take the inner gradients as constants, so that d theta_k / d theta_0 is the identity.
    """

    support_loss: Callable[[Params, Tensor, Tensor], Tensor]
    query_loss: Callable[[Params, Tensor, Tensor], tuple[Tensor, Any]]
    adapted: Collection[str]
    alpha: float
    steps: int
    first_order: bool = False
    alike: ClassVar[bool] = True

    def start(self, meta: Params, xs: Tensor, ys: Tensor) -> Params:
        """theta."""
        return {n: meta[n] for n in self.adapted}

    def step(self, meta: Params, state: Params, i: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> Params:
        """One step of gradient descent on the whole support set."""
        fixed = {n: p.detach() if self.first_order else p for n, p in meta.items() if n not in state}
        grads, _ = gradient(lambda p: (self.support_loss(fixed | p, xs, ys), ()), state, constant=self.first_order)
        # as a sum: its derivative has an operation less than that of the difference, which is the same to the last bit
        return {n: p + grads[n] * -self.rate(meta, n, i) for n, p in state.items()}

    def rate(self, meta: Params, name: str, i: int) -> float | Tensor:
        """The step size of a parameter in step i."""
        return self.alpha

    def loss(self, meta: Params, state: Params, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> tuple[Tensor, Any]:
        """The loss of the queries at theta_k."""
        return self.query_loss(meta | state, xq, yq)


def as_vector(params: Params) -> Tensor:
    """All parameters one after the other: [P]."""
    return torch.cat([p.flatten() for p in params.values()])


def as_params(vector: Tensor, like: Params) -> Params:
    """The vector [P] in the names and shapes of some parameters."""
    parts = vector.split([p.numel() for p in like.values()])
    return {n: part.view(p.shape) for (n, p), part in zip(like.items(), parts)}


def path(loop: InnerLoop, meta: Params, steps: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> list[Params]:
    """The states after 0..steps steps on one task."""
    states = [loop.start(meta, xs, ys)]
    for i in range(steps):
        states.append(loop.step(meta, states[-1], i, gradient, xs, ys))
    return states


def adam_step(
    params: Params,
    grads: Params,
    second: Params,
    count: Tensor,
    *,
    lr: float,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Params, Params]:
    """One step of Adam with beta_1 = 0, the inner optimiser of Reptile (Nichol et al. 2018, section 6).

    Args:
        params: what the step changes, where it has a gradient.
        grads: gradients by name.
        second: running means of the squared gradients, by the same names.
        count: number of this step, from 1, int64 scalar (for the bias correction).
        lr: step size.
        beta2: decay of the running means.
        eps: added to the root.

    Returns:
        the new parameters and the new second moments.
    """
    moments = {n: beta2 * second[n] + (1 - beta2) * g * g for n, g in grads.items()}
    correction = 1 - beta2 ** count.to(torch.float64)
    new = {n: params[n] - lr * g / (torch.sqrt(moments[n] / correction) + eps) for n, g in grads.items()}
    return params | new, moments
