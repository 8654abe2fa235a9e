"""One value for each task: adapt to its support set, predict its queries, measure."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..functional.calibration import Reliability, confidence, reliability
from ..functional.memory import keep_memory
from ..methods.base import Method
from ..tasks import Tasks, TaskSource
from .measures import correct, measure_by_name

EXAMPLES = 4000  # support and query examples that are computed at once: bounds the memory
NUMBERS = 400 * 784  # of these examples on a processor: more than 400 small pictures only miss its cache
UNREAD = 64  # batches whose labels are read together, since reading waits for a GPU


@dataclass(frozen=True)
class Scores:
    """Values of tasks.

    Attributes:
        values: float64 [n], the measure of each task, on the CPU.
        digest: checksum of the classes and query targets of these tasks, in order: equal for the same tasks.
        further: what the method measures beside it, float64 on the CPU, of the tasks that have it.
        reliability: all predictions by their confidence, for each of the temperatures that were asked for.
    """

    values: Tensor
    digest: str
    further: dict[str, Tensor] = field(default_factory=dict)
    reliability: tuple[Reliability, ...] = ()


@contextmanager
def evaluating(method: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the mode of every part is put back afterwards."""
    modes = [(part, part.training) for part in method.modules()]
    method.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def chunks(
    source: TaskSource, indices: Sequence[int], batch: int | None = None, device: torch.device | str = "cpu"
) -> Iterator[Sequence[int]]:
    """The indices in pieces that fit into memory and, with ranges of way and shot, lie within one block."""
    start = 0
    while start < len(indices):
        size = batch or automatic_batch(source, indices[start], device)
        stop = min(start + size, len(indices))
        if source.ranged:
            block = indices[start] // source.block
            stop = next((i for i in range(start, stop) if indices[i] // source.block != block), stop)
        yield indices[start:stop]
        start = stop


def automatic_batch(source: TaskSource, index: int, device: torch.device | str = "cpu") -> int:
    """How many tasks like task `index` are computed at once."""
    way, shot = source.counts(index)
    most = EXAMPLES
    if torch.device(device).type == "cpu":
        most = min(most, NUMBERS // math.prod(source.spec.input_shape))
    return max(1, most // (max(way, 1) * (shot + source.query)))


def predictions(method: Method, tasks: Tasks, transductive: bool = False) -> Tensor:
    """Logits [T, Q, N] or outputs [T, Q, D] of the queries after adapting to the support sets."""
    state = method.adapt(tasks.xs, tasks.ys, tasks.way)
    return method.predict(state, tasks.xq, transductive=True) if transductive else method.predict(state, tasks.xq)


def score_tasks(
    method: Method,
    source: TaskSource,
    indices: Sequence[int],
    *,
    transductive: bool = False,
    further: bool = False,
    temperatures: Sequence[float] = (),
    batch: int | None = None,
    device: torch.device | str = "cpu",
    max_seconds: float | None = None,
    on_chunk: Callable[[int], None] | None = None,
) -> Scores:
    """The measure of the source on each of its tasks `indices`.

    Args:
        transductive: the queries of a task are seen together (only methods that say so).
        further: also what the method measures beside it (`Method.further`).
        temperatures: also how often predictions are right by their confidence at each of these; for classes.
        batch: tasks computed at once; by default as many as hold 4,000 examples, on a processor 400 small pictures.
        max_seconds: stop after this time; at least one batch is computed.
        on_chunk: called with the number of tasks done so far.
    """
    if transductive and not method.about.transductive:
        raise UserError(
            f"{method.about.title} predicts every query on its own: there is no transductive mode. Leave out "
            f"--transductive"
        )
    if len(indices) == 0 or (batch is not None and batch < 1):
        raise UserError(f"need at least one task and a batch of at least one; got {len(indices)} tasks, batch={batch}")
    keep_memory()
    measure = measure_by_name(source.measure).function
    values: list[Tensor] = []
    beside: dict[str, list[Tensor]] = {}
    sure: list[list[Reliability]] = [[] for _ in temperatures]
    labels = Labels(1 if max_seconds is not None else UNREAD)
    done, start = 0, time.monotonic()
    with evaluating(method):
        for piece in chunks(source, indices, batch, device):
            tasks = source.batch(piece).to(device)
            output = predictions(method, tasks, transductive)
            values.append(measure(output, tasks.yq))
            for found, temperature in zip(sure, temperatures):
                found.append(reliability(confidence(output, temperature), correct(output, tasks.yq)))
            for name, more in (method.further(tasks) if further else {}).items():
                beside.setdefault(name, []).append(more.double())
            labels.add(tasks)
            done += len(piece)
            if on_chunk is not None:
                on_chunk(done)
            if max_seconds is not None and time.monotonic() - start > max_seconds:
                break
    return Scores(
        torch.cat(values).cpu(),
        labels.digest(),
        {n: present(torch.cat(v)) for n, v in beside.items()},
        tuple(reduce(add, found) for found in sure),
    )


def present(values: Tensor) -> Tensor:
    """Those that are not NaN, on the CPU."""
    values = values.cpu()
    return values[~values.isnan()]


class Labels:
    """The checksum of the classes and query targets of the tasks added, read from the device once every few batches."""

    def __init__(self, batches: int) -> None:
        self.batches, self.unread = batches, list[dict[str, Tensor]]()
        self.sums = {"classes": 0, "yq": 0}

    def add(self, tasks: Tasks) -> None:
        """One more batch."""
        self.unread.append({"classes": tasks.classes, "yq": tasks.yq})  # the pictures can go
        if len(self.unread) >= self.batches:
            self.digest()

    def digest(self) -> str:
        """Of all tasks so far."""
        for tasks in self.unread:
            for name, part in tasks.items():
                self.sums[name] = zlib.crc32(part.cpu().contiguous().numpy().tobytes(), self.sums[name])
        self.unread = []
        return "".join(f"{n:08x}" for n in self.sums.values())
