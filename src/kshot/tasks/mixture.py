"""Tasks of several sources by turns, so that a model learns from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from ..errors import UserError
from .batch import Tasks
from .source import ENDLESS, Count, TaskSource, TaskSpec

ENDLESS_CLASSES = 1 << 40  # more than any source has


class MixedTasks(TaskSource):
    """Task i is task i // M of source i % M.

    Args:
        sources: M of them, with the same way, shot, query and shape of inputs. Their own seeds draw the tasks; the
            first one's draws way and shot where these are ranges.
    """

    def __init__(self, sources: Sequence[TaskSource]) -> None:
        first = sources[0]
        super().__init__(first.way, first.shot, first.query, first.seed, first.block)
        shapes = {source.name: source.spec.input_shape for source in sources}
        if len(set(shapes.values())) > 1:
            lines = ", ".join(f"{name}: {shape}" for name, shape in shapes.items())
            raise UserError(f"data sets that are mixed must have inputs of one shape; got {lines}. Give a --size")
        self.sources, self.measure, self.split = tuple(sources), first.measure, first.split
        self.name = "+".join(source.name for source in sources)
        self.description = "by turns: " + "; ".join(source.description for source in sources)
        counts = [source.spec.num_classes for source in sources]
        known = [c for c in counts if c is not None]
        self._classes = sum(known) if len(known) == len(counts) else None
        self._before = [sum(known[:m]) if self._classes else m * ENDLESS_CLASSES for m in range(len(counts))]

    @property
    def spec(self) -> TaskSpec:
        """That of the first, with the classes of all."""
        return replace(self.sources[0].spec, num_classes=self._classes)

    def owner(self, number: int) -> int:
        """The source that a class is of."""
        return max(m for m, before in enumerate(self._before) if before <= number)

    def class_name(self, number: int) -> str:
        """That of its source."""
        m = self.owner(number)
        return self.sources[m].class_name(number - self._before[m])

    def recounted(self, *, way: Count | None = None, shot: Count | None = None, query: int | None = None) -> TaskSource:
        """All sources with other counts."""
        twin = MixedTasks([source.recounted(way=way, shot=shot, query=query) for source in self.sources])
        twin.description = self.description
        return twin

    def among(self, classes: Tensor) -> TaskSource:
        """The tasks of these classes alone, which must be of one source; it has its own numbers for them."""
        owners = {self.owner(int(c)) for c in classes}
        if len(owners) > 1:
            raise UserError(f"these classes are of {len(owners)} of the data sets that are mixed, and no task has both")
        m = owners.pop()
        return self.sources[m].among(classes - self._before[m])

    def __len__(self) -> int:
        return min(ENDLESS, len(self.sources) * min(len(source) for source in self.sources))

    def draw(self, indices: Tensor, way: int, shot: int) -> Tasks:
        """The tasks of each source together, put into the order of the indices."""
        M, order, drawn = len(self.sources), [], []
        for m, source in enumerate(self.sources):
            rows = (indices % M == m).nonzero()[:, 0]
            if len(rows):
                tasks = source.draw(indices[rows] // M, way, shot)
                drawn.append(replace(tasks, classes=tasks.classes + self._before[m]))
                order.append(rows)
        back = torch.cat(order).argsort()
        whole = Tasks(*(torch.cat([getattr(tasks, f.name) for tasks in drawn]) for f in fields(Tasks)))
        return replace(whole.map(lambda t: t[back.to(t.device)]), indices=indices.to(whole.indices.device))
