"""The one currency of the library: a frozen batch of T tasks with a leading task axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..errors import UserError


@dataclass(frozen=True)
class Tasks:
    """T tasks of one way and one shot.

    Attributes:
        xs: support inputs [T, S, ...]; images are uint8 in 0..255 or float in 0..1 (ink or light is 1). In zero-shot
            tasks descriptions [T, N, A], one of each class.
        ys: support targets [T, S]: labels 0..N-1 (int64), or real vectors [T, S, D] (regression).
        xq: query inputs [T, Q, ...].
        yq: query targets [T, Q] or [T, Q, D].
        classes: int64 [T, N], which class of the data stands behind each label ([T, 0] for regression).
        indices: int64 [T], the number of each task in its source.
    """

    xs: Tensor
    ys: Tensor
    xq: Tensor
    yq: Tensor
    classes: Tensor
    indices: Tensor

    def __post_init__(self) -> None:
        counts = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        if len(set(counts.values())) != 1:
            raise UserError(f"every part of Tasks needs the same number of tasks in front; got {counts}")
        if self.xs.shape[1] != self.ys.shape[1] or self.xq.shape[1] != self.yq.shape[1]:
            raise UserError(
                f"inputs and targets must match: xs {tuple(self.xs.shape)} and ys {tuple(self.ys.shape)}, "
                f"xq {tuple(self.xq.shape)} and yq {tuple(self.yq.shape)}"
            )

    def __len__(self) -> int:
        return len(self.xs)

    def __getitem__(self, i: int | slice) -> Tasks:
        """The tasks i (an integer keeps the task axis, with T = 1)."""
        at = slice(i, i + 1 if i != -1 else None) if isinstance(i, int) else i
        return self.map(lambda t: t[at])

    @property
    def way(self) -> int:
        """N, the number of classes (0 for regression)."""
        return self.classes.shape[1]

    @property
    def regression(self) -> bool:
        """Whether targets are real vectors."""
        return self.ys.is_floating_point()

    def map(self, f: Callable[[Tensor], Tensor]) -> Tasks:
        """f applied to every tensor."""
        return Tasks(**{x.name: f(getattr(self, x.name)) for x in fields(self)})

    def to(self, device: torch.device | str) -> Tasks:
        """The same tasks on another device."""
        return self.map(lambda t: t.to(device, non_blocking=True))

    def with_queries(self, xq: Tensor, yq: Tensor) -> Tasks:
        """The same support sets with other queries."""
        return replace(self, xq=xq, yq=yq)
