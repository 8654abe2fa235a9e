"""The tasks of the next steps, drawn before they are needed.

What a step gets is the same, bit by bit, as if it had drawn its own tasks: tasks are functions of their indices.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from types import TracebackType

import torch

from ..tasks import Tasks, TaskSource
from . import distributed

LUMP_BYTES = 1 << 18  # small batches are drawn together up to this size: one costs hardly less than ten
LUMP_STEPS = 16


@dataclass(frozen=True)
class Drawn:
    """The tasks of some steps, and the event after which the device has them (None on a processor)."""

    tasks: Tasks
    ready: torch.cuda.Event | None


class Prefetch:
    """Draws the batches of a training; `batch(s)` gives the tasks of step s, on the device, for rising s.

    Small batches are drawn for several steps at once, since drawing them is nearly all overhead. For a GPU, a thread
    draws the next ones on a stream of their own while a step runs; a processor's cores are busy with the step, and a
    thread would only take them away from it. Use as a context: at its end the thread is gone.

    Args:
        source: of the tasks.
        tasks: in each step; with several processes, each draws its share of them.
        steps: of the whole training.
        device: where the tasks shall lie.
        threaded: whether a thread draws; by default if the device is a GPU.
    """

    def __init__(
        self,
        source: TaskSource,
        *,
        tasks: int,
        steps: int,
        device: torch.device,
        threaded: bool | None = None,
    ) -> None:
        self.source, self.tasks, self.steps, self.device = source, tasks, steps, device
        cuda = device.type == "cuda"
        self._pool = ThreadPoolExecutor(1, "kshot-draw") if (cuda if threaded is None else threaded) else None
        self._stream: torch.cuda.Stream | None = None
        if cuda and self._pool is not None:
            self._stream = torch.cuda.Stream(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))  # the pictures are there
        self._lump = self._steps_at_once()
        self._number = -1  # of the lump that the steps now take from
        self._coming: tuple[int, Future[Drawn]] | None = None

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, step: int) -> Tasks:
        """The tasks of a step. An error in drawing them is raised here."""
        number = step // self._lump
        if number != self._number:
            self._here, self._number = self._fetch(number), number
        if self._lump == 1:
            return self._here
        each = len(self._here) // (self._stop(number) - number * self._lump)
        at = (step - number * self._lump) * each
        # Copies lie in memory as tensors of their own do: some kernels round differently at odd addresses.
        return self._here.map(lambda t: t[at : at + each].clone())

    def _fetch(self, number: int) -> Tasks:
        """The tasks of a lump; a thread goes on with those after it."""
        if self._pool is None:
            return self._draw(number).tasks
        ahead, self._coming = self._coming, None
        future = ahead[1] if ahead is not None and ahead[0] == number else self._pool.submit(self._draw, number)
        drawn = future.result()
        if self._stop(number) < self.steps:
            self._coming = number + 1, self._pool.submit(self._draw, number + 1)
        if drawn.ready is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(drawn.ready)
            for part in fields(drawn.tasks):
                getattr(drawn.tasks, part.name).record_stream(current)
        return drawn.tasks

    def _draw(self, number: int) -> Drawn:
        steps = range(number * self._lump, self._stop(number))
        indices = [i for s in steps for i in distributed.share(range(s * self.tasks, (s + 1) * self.tasks))]
        if self._stream is None:
            return Drawn(self.source.batch(indices).to(self.device), None)
        with torch.cuda.stream(self._stream):
            return Drawn(self.source.batch(indices).to(self.device), self._stream.record_event())

    def _stop(self, number: int) -> int:
        """The step after the last of a lump."""
        return min((number + 1) * self._lump, self.steps)

    def _steps_at_once(self) -> int:
        """How many steps' tasks are drawn together: the same for a resumed training."""
        if self.source.ranged:
            return 1  # these share one way and shot in a batch only
        mine = distributed.share(range(self.tasks))
        task = self.source.batch(mine[:1])
        size = sum(t.numel() * t.element_size() for t in (getattr(task, part.name) for part in fields(task)))
        return max(1, min(LUMP_STEPS, self.steps, LUMP_BYTES // (size * len(mine))))
