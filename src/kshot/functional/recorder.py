"""When steps of a training are recorded: once they have taken so long that a recording is worth its time."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .engines import Engine, cuts
from .inner import Params
from .metagradients import Calling, MetaGradient, Part, meta_gradient
from .parallel import cores
from .recording import Function, Unrecordable, record

LOG = logging.getLogger("kshot")
CALLS, SECONDS = 20, 1.0  # what a meta-gradient has taken before it is recorded, which takes some calls' time
MOST = 8  # recordings of one method: more would only be many shapes that seldom come
Parts = Callable[[Calling], Callable[..., Part]]
Recordings = dict[tuple[int, str], Function]  # by the number of tasks of a piece and the name of the function


class Recorder:
    """Meta-gradients that are recorded once they have taken so long that a recording is worth its time.

    Copies and pickles of it start anew.

    Attributes:
        calls, seconds: what a meta-gradient has taken before it is recorded.
        compiled: the recordings are compiled.
    """

    def __init__(self, calls: int = CALLS, seconds: float = SECONDS, compiled: bool = False) -> None:
        self.calls, self.seconds, self.compiled = calls, seconds, compiled
        self._spent: dict[Hashable, tuple[int, float]] = {}
        self._made: dict[Hashable, Recordings] = {}

    def __reduce__(self) -> tuple[type[Recorder], tuple[int, float, bool]]:
        return Recorder, (self.calls, self.seconds, self.compiled)

    def run(self, name: str, part_of: Parts, meta: Params, data: tuple[Tensor, ...], engine: Engine) -> MetaGradient:
        """`metagradients.meta_gradient`, with recordings in the place of the functions that there are some of.

        Args:
            name: what the functions depend on beside their arguments.
            part_of: what computes some tasks, with the given way to call functions (see metagradients.part_of).
        """
        mixed = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        key = (name, mixed, *((d.dtype, d.shape, d.device) for d in data))
        calls, seconds = self._spent.get(key, (0, 0.0))
        began = time.perf_counter()
        due = key not in self._made and calls >= self.calls and seconds >= self.seconds
        if due and len(self._made) < MOST and (self.compiled or recordable(data)):
            level = logging.INFO if self.calls else logging.DEBUG
            self._made[key] = recordings(part_of, meta, data, engine, level, self.compiled)
        made = self._made.get(key, {})

        def part(meta: Params, *data: Tensor) -> Part:
            return part_of(lambda name, f, *args: made.get((len(data[0]), name), f)(*args))(meta, *data)

        found = meta_gradient(meta, data, engine, part)
        self._spent[key] = (calls + 1, seconds + time.perf_counter() - began)
        return found


def recordings(
    part_of: Parts, meta: Params, data: tuple[Tensor, ...], engine: Engine, level: int, compiled: bool
) -> Recordings:
    """Of all functions that compute the tasks, for every number of tasks of a piece; none if one is unrecordable.

    Args:
        level: of what is logged about it.
        compiled: the recordings are compiled.
    """
    leaves, made = {n: p.detach() for n, p in meta.items()}, Recordings()
    threads, done = 0 if not compiled else 1 if engine.threads else cores(), "compiled" if compiled else "recorded"

    def noting(size: int, name: str, f: Function, *args: Any) -> Any:
        if (size, name) not in made:
            made[size, name] = record(f, *args, threads=threads)
        return made[size, name](*args)

    bounds = {high - low: (low, high) for worker in cuts(len(data[0]), engine) for low, high in worker}
    began = time.perf_counter()
    try:
        for size, (low, high) in bounds.items():
            part_of(partial(noting, size))(leaves, *(d[low:high] for d in data))
    except Unrecordable as reason:
        LOG.log(logging.INFO if compiled else level, "the steps are not %s: %s", done, reason)
        return {}
    LOG.log(level, "the steps are %s from here on (%.1f s)", done, time.perf_counter() - began)
    return made


def recordable(data: tuple[Tensor, ...]) -> bool:
    """Whether steps may be recorded: on a processor, unless KSHOT_RECORD=0 forbids it."""
    return os.environ.get("KSHOT_RECORD") != "0" and not data[0].is_cuda
