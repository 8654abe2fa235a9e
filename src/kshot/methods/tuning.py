"""The fastest engine for a method and its tasks: found by measuring, and remembered."""

from __future__ import annotations

import logging
import os
import platform
import time
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ..cache import remember, remembered
from ..functional.engines import Engine
from ..functional.parallel import cores
from ..tasks import Tasks

LOG = logging.getLogger("kshot")
ENOUGH = 0.3  # seconds of measuring a candidate
HOPELESS = 2.0  # an engine that takes so much longer than the best before it is recorded is not recorded
ALIKE = 1.1  # times that differ by less cannot be told apart
MOST = 3.0  # a batch that takes longer than these seconds is measured on fewer tasks
MEMORY = 0.6  # part of the free memory that a step may take


class Tunable(Protocol):
    """What is measured (see GradientMethod)."""

    first_order: bool

    def trial(self, tasks: Tasks, engine: Engine) -> object:
        """The costly part of a meta-step, without its effects."""

    def record_now(self) -> None:
        """Let the next trial be as in a long training."""

    def signature(self) -> dict[str, object]:
        """What the time of a step depends on, as far as the method knows."""


def fastest(method: Tunable, tasks: Tasks) -> str:
    """The name of the engine that computes such tasks fastest, of those whose graphs fit into memory.

    Of those that are as fast as can be told, it is the one with the smallest memory.
    """
    key = {
        **method.signature(),
        "tasks": [len(tasks), list(tasks.xs.shape[1:]), list(tasks.xq.shape[1:])],
        "device": device_name(tasks.xs.device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "steps": "recorded",
    }
    known = remembered("engines", key)
    if isinstance(known, str):
        LOG.info("engine %s (measured before)", known)
        return known
    times = measure(method, tasks)
    best = next(e for e in times if times[e] <= ALIKE * min(times.values()))
    shown = ", ".join(f"{e} {1e3 * s:.3g} ms" for e, s in sorted(times.items(), key=lambda item: item[1]))
    LOG.info("engine %s; measured: %s", best, shown)
    remember("engines", key, best)
    return best


def measure(method: Tunable, tasks: Tasks) -> dict[str, float]:
    """Seconds for the tasks by each candidate that fits into memory (of a part of the tasks, if they take long).

    The candidate with the smallest memory comes first.
    """
    device = tasks.xs.device
    one = max(graph_bytes(method, tasks[0]), 1)
    alone = run(method, tasks[0], Engine(at_once=1))
    run(method, tasks[:1], Engine())  # what torch loads for its first vmap is not part of a step
    count = min(len(tasks), max(2 * cores(), int(MOST / max(alone, 1e-9))))
    part, fits = tasks[:count], int(MEMORY * free_bytes(device) / one)
    times: dict[str, float] = {}
    for engine in candidates(len(part), device):
        together = (engine.at_once or -(-len(tasks) // (cores() if engine.threads else 1))) * (
            cores() if engine.threads else 1
        )
        again = [engine] if together <= fits or engine.at_once == 1 else []
        if (together > fits or engine.at_once == 1) and not method.first_order:
            again.append(Engine(engine.at_once, engine.threads, recompute=True))
        for choice in again:
            seconds = timed(method, part, choice, min(times.values(), default=float("inf")))
            if seconds is not None:
                times[str(choice)] = seconds
    return times


def candidates(count: int, device: torch.device) -> list[Engine]:
    """Engines worth a try for so many tasks, the one with the smallest memory first."""
    threads = device.type == "cpu" and cores() > 1
    sizes = [1] if device.type == "cpu" else []
    sizes += [c for c in ((4, 8) if device.type == "cpu" else (8, 32)) if 2 * c <= count]
    return [Engine(c, t) for c in (*sizes, 0) for t in ((True, False) if threads else (False,))] or [Engine(1)]


def timed(method: Tunable, tasks: Tasks, engine: Engine, best: float) -> float | None:
    """Seconds of one step, the best of some; None if memory does not suffice."""
    try:
        seconds = run(method, tasks, engine)
        if seconds < ENOUGH or HOPELESS * best < seconds < HOPELESS**2 * best:  # the first time loads and reserves
            seconds = run(method, tasks, engine)
        if seconds > HOPELESS * best:
            return seconds
        method.record_now()
        run(method, tasks, engine)
        spent, tries = 0.0, 0
        while tries < 2 or (spent < ENOUGH and tries < 20):
            now = run(method, tasks, engine)
            seconds, spent, tries = min(seconds, now), spent + now, tries + 1
            if now > HOPELESS * best:
                break
        return seconds
    except torch.OutOfMemoryError:
        return None


def run(method: Tunable, tasks: Tasks, engine: Engine) -> float:
    """Seconds of one trial."""
    cuda = tasks.xs.is_cuda
    if cuda:
        torch.cuda.synchronize(tasks.xs.device)
    began = time.perf_counter()
    method.trial(tasks, engine)
    if cuda:
        torch.cuda.synchronize(tasks.xs.device)
    return time.perf_counter() - began


def graph_bytes(method: Tunable, task: Tasks) -> int:
    """What the graph of one task keeps for its backward pass, in bytes."""
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        method.trial(task, Engine(at_once=1))
    return sum(kept.values())


def free_bytes(device: torch.device) -> int:
    """Memory that a step may still take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable")))
    except (OSError, StopIteration):
        return 4 << 30


def device_name(device: torch.device) -> str:
    """What computes."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {os.cpu_count()}"
