"""Regression tasks: K support points and Q query points of one curve."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.curves import Sinusoid
from ..functional import random
from .batch import Tasks
from .source import Count, TaskSource, TaskSpec


class CurveTasks(TaskSource):
    """Draws sine-curve tasks: inputs uniform over the curve's range, targets real numbers [T, S, 1].

    Curves have no classes to split; tasks of different splits are drawn independently of each other.
    """

    measure = "mse"

    def __init__(
        self,
        curves: Sinusoid,
        *,
        shot: Count = 10,
        query: int = 10,
        seed: int = 0,
        block: int = 1,
        split: str = "train",
    ) -> None:
        super().__init__(0, shot, query, seed, block)
        self.curves, self.name, self.split = curves, curves.name, split
        self.description = f"sine curves, amplitude {curves.amplitude}, phase {curves.phase}, x in {curves.x_range}"

    @property
    def spec(self) -> TaskSpec:
        """One real input, one real output."""
        return TaskSpec(input_shape=(1,), way=0, num_classes=0, output_dim=1)

    def recounted(self, *, way: Count | None = None, shot: Count | None = None, query: int | None = None) -> TaskSource:
        """The same curves with other numbers of points."""
        counts = self.same_counts(0, shot, query)
        del counts["way"]
        return CurveTasks(self.curves, split=self.split, **counts)

    def draw(self, indices: Tensor, way: int, shot: int) -> Tasks:
        """The curves of the given indices; the points depend on the index alone, support first."""
        low, high = self.curves.x_range
        amplitude, phase = self.curves.parameters(random.keys(self.seed, indices, f"{self.split} curve"))
        parts = []
        for stream, count in (("support", shot), ("query", self.query)):
            key = random.keys(self.seed, indices, f"{self.split} {stream}")
            x = random.uniform(key, count, 1, low=low, high=high)  # [T, P, 1]
            y = self.curves.values(x, amplitude, phase)
            if self.curves.noise:
                y = y + self.curves.noise * random.normal(random.fold(key, torch.tensor(1)), count, 1)
            parts += [x, y]
        classes = torch.empty(len(indices), 0, dtype=torch.int64)
        return Tasks(parts[0], parts[1], parts[2], parts[3], classes, indices)
