"""What is measured on a task: one number for each task of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import unknown


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Which queries are right: the true logit is strictly greater than every other. bool [..., Q].

    Ties count as wrong, and so does NaN: a collapsed model gives every class the same score, and argmax would call
    it right whenever the true class happens to stand first.

    Args:
        logits: [..., Q, N].
        labels: int64 [..., Q].
    """
    true = logits.gather(-1, labels[..., None])  # [..., Q, 1]
    others = logits.scatter(-1, labels[..., None], -torch.inf).amax(-1)  # [..., Q]
    return true[..., 0] > others


def accuracy(output: Tensor, yq: Tensor) -> Tensor:
    """Percent of right queries of each task: logits [T, Q, N], labels [T, Q] -> float64 [T]."""
    return correct(output, yq).double().mean(-1) * 100


def mse(output: Tensor, yq: Tensor) -> Tensor:
    """Mean squared error of each task: outputs and targets [T, Q, D] -> float64 [T]."""
    return (output.double() - yq.double()).square().flatten(1).mean(-1)


@dataclass(frozen=True)
class Measure:
    """A measure: its function, whether more is better, and its unit in prose."""

    function: Callable[[Tensor, Tensor], Tensor]
    more_is_better: bool
    unit: str


MEASURES: dict[str, Measure] = {
    "accuracy": Measure(accuracy, more_is_better=True, unit="%"),
    "mse": Measure(mse, more_is_better=False, unit=""),
}


def measure_by_name(name: str) -> Measure:
    """The measure a source asks for."""
    if name not in MEASURES:
        raise unknown("measure", name, MEASURES)
    return MEASURES[name]
