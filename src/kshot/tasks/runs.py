"""The original one-shot runs as tasks."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.runs import OneShotRuns
from .batch import Tasks
from .source import TaskSource, TaskSpec


class RunTasks(TaskSource):
    """The original one-shot runs (Lake et al. 2015): a fixed list of N-way one-shot tasks, nothing random."""

    def __init__(self, runs: OneShotRuns, device: torch.device | str = "cpu") -> None:
        count, way = runs.support.shape[:2]
        super().__init__(way, 1, max(1, runs.query.shape[1] // way))
        self.runs = runs
        self._tables = [t.to(device) for t in (runs.support, runs.query, runs.labels)]
        self.name, self.split = "runs", "test"
        self.description = f"{count} one-shot runs of {way} characters"

    @property
    def spec(self) -> TaskSpec:
        """Every run has its own classes."""
        return TaskSpec(tuple(self.runs.support.shape[2:]), self._ways[1], None)

    def __len__(self) -> int:
        return len(self.runs.support)

    def draw(self, indices: Tensor, way: int, shot: int) -> Tasks:
        """The runs of the given numbers."""
        ys = torch.arange(way).expand(len(indices), way)
        at = indices.to(self._tables[0].device, non_blocking=True)
        xs, xq, yq = (table.index_select(0, at) for table in self._tables)
        return Tasks(xs, ys, xq, yq, indices[:, None] * way + ys, indices).to(xs.device)
