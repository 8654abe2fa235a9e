"""Which example of its class an example of a sequence is: the first, the second, ..."""

from __future__ import annotations

import torch
from torch import Tensor


def instance_numbers(ys: Tensor) -> Tensor:
    """How often the label of each example came before in its sequence: int64 [..., S] -> [..., S].

    >>> instance_numbers(torch.tensor([2, 0, 2, 2]))
    tensor([0, 0, 1, 2])
    """
    return (ys[..., :, None] == ys[..., None, :]).tril(-1).sum(-1)


def mean_by_instance(values: Tensor, ys: Tensor, count: int) -> Tensor:
    """The mean of values [T, S] over the first, second, ... examples of the classes: [T, count]; NaN without any."""
    number = instance_numbers(ys)  # [T, S]
    member = (number[..., None] == torch.arange(count, device=ys.device)).to(values.dtype)  # [T, S, count]
    return (values[..., None] * member).sum(-2) / member.sum(-2)


def first_instance_limit(way: int) -> float:
    """The best expected accuracy, in percent, on the first example of each of N classes, when no label leaks.

    Whoever knows that a class is new guesses among the labels not yet seen, N - k of them after k classes: in the mean
    over the N classes, 1/N sum_k 1/k = H_N / N. More than this means that labels are seen before they should be.

    >>> round(first_instance_limit(5), 1), round(first_instance_limit(15), 1)
    (45.7, 22.1)
    """
    return 100.0 / way * sum(1 / k for k in range(1, way + 1))
