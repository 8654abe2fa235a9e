"""Fast weights: weights that a network computes from an example, beside the slow ones that training changes.

A layer's weights are one matrix [O, D + 1] whose last column is the bias, so that a memory can hold them as vectors.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .distances import cosine
from .inner import Params, functional_gradient


def affine(weight: Tensor, x: Tensor) -> Tensor:
    """W x + b of every row: weight [..., O, D + 1], x [..., P, D] -> [..., P, O]."""
    return x @ weight[..., :-1].mT + weight[..., None, :, -1]


def coordinatewise(weight: Tensor, x: Tensor) -> Tensor:
    """W x + b of the features of every coordinate: weight [O, I + 1], x [..., I, P] -> [..., O, P]."""
    return weight[:, :-1] @ x + weight[:, -1:]


def augmented(slow: Tensor, fast: Tensor, x: Tensor) -> Tensor:
    """phi(W x) + phi(W* x) with phi = ReLU (Munkhdalai & Yu 2017, section 3.4).

    Args:
        slow: [O, D + 1].
        fast: [..., O, D + 1].
        x: [..., P, D].
    """
    return affine(slow, x).relu() + affine(fast, x).relu()


def read(keys: Tensor, values: Tensor, queries: Tensor, temperature: float = 1.0) -> Tensor:
    """The values, mixed in proportion to how near their keys are: softmax(cosine(query, keys)) values.

    Args:
        keys: R, [..., S, E].
        values: M, [..., S, P].
        queries: [..., Q, E].
        temperature: what the cosine is multiplied with.

    Returns:
        [..., Q, P].
    """
    return torch.softmax(temperature * cosine(queries, keys), -1) @ values


def example_gradients(
    loss: Callable[..., Tensor], params: Params, *data: Tensor, differentiable: bool = False
) -> Params:
    """The gradients of the losses of single examples, all at once.

    Args:
        loss: of parameters and one example: `loss(params, *example)`, a scalar.
        params: shared by all examples.
        data: tensors [T, S, ...].
        differentiable: otherwise parameters, data and gradients count as constants.

    Returns:
        by the names of the parameters, [T, S, ...].
    """

    def one(*example: Tensor) -> Params:
        return functional_gradient(lambda p: (loss(p, *example), ()), params, constant=not differentiable)[0]

    found = torch.vmap(torch.vmap(one))(*(d if differentiable else d.detach() for d in data))
    return found if differentiable else {n: g.detach() for n, g in found.items()}


def verification_pairs(ys: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of examples of each task, by turns of one class and of two, as far as a task has them.

    Args:
        ys: labels [T, S].
        count: L, pairs of a task.

    Returns:
        indices a, b [T, L] into the support set, and whether their classes are the same [T, L].
    """
    S = ys.shape[1]
    at = torch.arange(S, device=ys.device)
    a = (torch.arange(count, device=ys.device) * S // count).expand(len(ys), count)  # [T, L], spread over the set
    ahead = (at - a[..., None]) % S  # [T, L, S]: how far behind its first example the second one stands
    same = ys.gather(1, a)[..., None] == ys[:, None]  # [T, L, S]
    wanted = same == (torch.arange(count, device=ys.device) % 2 == 0)[:, None]
    far = 2 * S
    b = (ahead + torch.where(wanted, 0, S) + torch.where(ahead == 0, far, 0)).argmin(-1)  # [T, L]
    return a, b, same.gather(2, b[..., None]).squeeze(-1)


def contrastive(distance: Tensor, same: Tensor, margin: float = 1.0) -> Tensor:
    """d^2 for two of one class, max(0, margin - d)^2 for others (Hadsell, Chopra & LeCun 2006), elementwise."""
    return torch.where(same, distance.square(), (margin - distance).clamp(min=0).square())
