"""What draws tasks: source[i] is a pure function of (source, seed, i)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..functional import random
from .batch import Tasks

Count = int | tuple[int, int]
ENDLESS = 2**62


@dataclass(frozen=True)
class TaskSpec:
    """What a method must know of the tasks to be built: shapes and counts, no data.

    Attributes:
        input_shape: shape of one input, (C, H, W) for images, (1,) for curves.
        way: the largest number of classes of a task; 0 for regression.
        num_classes: how many classes the data has; None when they are endless, 0 for regression.
        output_dim: size of a regression target; 0 for classes.
        attributes: in zero-shot tasks, whose support set holds descriptions [N, A] in place of examples, the names of
            the A numbers; () where it holds examples.
    """

    input_shape: tuple[int, ...]
    way: int
    num_classes: int | None
    output_dim: int = 0
    attributes: tuple[str, ...] = ()

    @property
    def regression(self) -> bool:
        """Whether targets are real vectors."""
        return self.output_dim > 0

    @property
    def support(self) -> str:
        """What the support set holds: "examples" or "descriptions"."""
        return "descriptions" if self.attributes else "examples"


class TaskSource:
    """Base of the sources: validates the counts and turns indices into batches.

    Args:
        way: N, or a range (low, high), both included. A batch has one way and one shot; with ranges, all tasks with
            the same `index // block` share them, so that they vary between batches of `block` tasks.
        shot: K, or a range; 0 for zero-shot tasks, where there are descriptions.
        query: queries of each class (of each task for regression).
        seed: tasks of different seeds are independent.
        block: the size of the batches for which ranges are drawn.
    """

    name: str = ""
    split: str = ""
    description: str = ""
    described: bool = False  # whether there are descriptions of classes, and with them zero-shot tasks
    measure: str = "accuracy"

    def __init__(self, way: Count, shot: Count, query: int, seed: int = 0, block: int = 1) -> None:
        self.way, self.shot, self.query, self.seed, self.block = way, shot, query, seed, block
        self._ways = self._range("way", way, 2 if way != 0 else 0)
        self._shots = self._range("shot", shot, 0 if self.described and shot == 0 else 1)
        if query < 1 or block < 1:
            raise UserError(f"query and block must be at least 1; got query={query}, block={block}")

    @staticmethod
    def _range(what: str, count: Count, least: int) -> tuple[int, int]:
        low, high = (count, count) if isinstance(count, int) else count
        if low < least or high < low:
            raise UserError(f"{what} must be a number of at least {least}, or a range of such numbers; got {count}")
        return low, high

    @property
    def spec(self) -> TaskSpec:
        """What a method must know of the tasks."""
        raise NotImplementedError

    def draw(self, indices: Tensor, way: int, shot: int) -> Tasks:
        """The tasks of int64 indices [T] for one way and shot."""
        raise NotImplementedError

    def class_name(self, number: int) -> str:
        """The name of a class by its number in `Tasks.classes`; "" where it has none."""
        return ""

    def recounted(self, *, way: Count | None = None, shot: Count | None = None, query: int | None = None) -> TaskSource:
        """Tasks of the same data and seed with other counts."""
        raise UserError(f"{self.name} are fixed tasks: their way, shot and queries cannot be changed")

    def among(self, classes: Tensor) -> TaskSource:
        """Tasks whose classes are always these, int64 [N], in an order drawn for each task."""
        raise UserError(f"{self.name} has no classes to choose from")

    def __len__(self) -> int:
        return ENDLESS

    @property
    def ranged(self) -> bool:
        """Whether way or shot vary from block to block."""
        return self._ways[0] != self._ways[1] or self._shots[0] != self._shots[1]

    def same_counts(self, way: Count | None, shot: Count | None, query: int | None) -> dict[str, Any]:
        """The arguments of a source with other counts (None: as here), the same seed and block."""
        counts = {"way": way, "shot": shot, "query": query}
        chosen = {n: getattr(self, n) if count is None else count for n, count in counts.items()}
        return {**chosen, "seed": self.seed, "block": self.block}

    def counts(self, index: int) -> tuple[int, int]:
        """(way, shot) of task `index`."""
        block = torch.tensor([index // self.block])
        out = []
        for (low, high), stream in ((self._ways, "way"), (self._shots, "shot")):
            spread = int(random.integers(random.keys(self.seed, block, stream), high=high - low + 1)[0, ...])
            out.append(low + spread)
        return out[0], out[1]

    def batch(self, indices: Tensor | Sequence[int]) -> Tasks:
        """The tasks of the given indices, which must share one way and one shot."""
        numbers = [int(i) for i in indices]
        if not numbers:
            raise UserError("a batch needs at least one task index")
        if min(numbers) < 0 or max(numbers) >= len(self):
            raise UserError(f"task indices run from 0 to {len(self) - 1}; got {min(numbers)} to {max(numbers)}")
        if self.ranged:
            blocks = {i // self.block: i for i in numbers}
            counts = {self.counts(i) for i in blocks.values()}
        else:
            counts = {(self._ways[0], self._shots[0])}
        if len(counts) > 1:
            raise UserError(
                f"a batch has one way and one shot, but these tasks have (way, shot) in {sorted(counts)}; ranges are "
                f"drawn for blocks of {self.block} tasks: set block to the number of tasks in a batch"
            )
        way, shot = counts.pop()
        return self.draw(torch.tensor(numbers, dtype=torch.int64), way, shot)

    def __getitem__(self, index: int) -> Tasks:
        if not 0 <= index < len(self):
            raise IndexError(f"task {index} of {len(self)}")
        return self.batch([index])

    def __iter__(self) -> Iterator[Tasks]:
        return (self[i] for i in range(len(self)))
