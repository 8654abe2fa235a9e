"""Where the time of a training goes: drawing and waiting for tasks, forward and backward, optimiser, and all the rest.

    python benchmarks/profile_step.py --work protonet-60
    python benchmarks/profile_step.py --work maml-sine --steps 2000 --ops 12

Times are those of the program's main thread. A GPU works behind it: there, what the main thread waits for shows up
where numbers are read back, in the logging, and "forward and backward" is the time to hand the work over.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import profile

from kshot.data.curves import Sinusoid
from kshot.data.images import Images
from kshot.data.scribbles import Scribbles
from kshot.functional import random
from kshot.methods import Method, build_method
from kshot.tasks import Data, TaskSource, make_source
from kshot.training import train
from kshot.training.loop import Loop
from kshot.training.prefetch import Prefetch

PARTS = {
    "waiting for tasks": (Prefetch, "batch"),
    "optimiser": (torch.optim.Adam, "step"),
    "logging": (Loop, "_log"),
    "checkpoints": (Loop, "_checkpoint"),
    "clock, callbacks": (Loop, "_after_step"),
    "everything else": (Loop, "_step"),
}


Work = tuple[Method, TaskSource, int]


def works(device: str) -> dict[str, Callable[[], Work]]:
    """Trainings by name: the method, its tasks and how many of them a step has."""

    def pictures(name: str, data: Data, way: int, tasks: int, augment: str = "none") -> Work:
        source = make_source(data, way=way, shot=1, query=5, augment=augment, device=device)
        return build_method(name, source.spec), source, tasks

    def curves() -> Work:
        source = make_source(Sinusoid(), shot=10, query=10)
        return build_method("maml", source.spec, backbone="mlp", inner_lr=0.01), source, 25

    return {
        "maml-sine": curves,
        "protonet-5": lambda: pictures("protonet", noise(), 5, 4),
        "protonet-60": lambda: pictures("protonet", noise(), 60, 1),
        "protonet-60-affine": lambda: pictures("protonet", noise(), 60, 1, "affine"),
        "protonet-60-scribbles": lambda: pictures("protonet", Scribbles(), 60, 1),
        "maml-5": lambda: pictures("maml", noise(), 5, 8),
    }


def noise(classes: int = 400, each: int = 20) -> Images:
    """Pictures of Omniglot's size."""
    words = random.integers(random.keys(0, torch.arange(classes * each), "noise"), 1, 28, 28, high=256)
    names = tuple(map(str, range(classes)))
    return Images(words.to(torch.uint8), torch.arange(classes + 1) * each, names, names, "noise", "train")


class Clock:
    """Seconds by part; what a part calls that has a name of its own is not counted twice."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)

    def timed(self, name: str, f: Callable[..., Any]) -> Callable[..., Any]:
        """f, with its time counted."""

        def run(*args: Any, **options: Any) -> Any:
            began, before = time.perf_counter(), sum(self.spent.values())
            try:
                return f(*args, **options)
            finally:
                inner = sum(self.spent.values()) - before
                self.spent[name] += time.perf_counter() - began - inner

        return run


def measure(method: Method, source: TaskSource, steps: int, tasks: int, device: str) -> dict[str, float]:
    """Milliseconds of a step by part."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for name, (owner, attribute) in PARTS.items():
            patch.setattr(owner, attribute, clock.timed(name, getattr(owner, attribute)))
        patch.setattr(method, "meta_step", clock.timed("forward and backward", method.meta_step), raising=False)
        options: dict[str, Any] = {"tasks": tasks, "device": device, "progress": False}
        train(method, source, steps=min(steps, 20), **options)  # warm
        clock.spent.clear()
        train(method, source, steps=steps, out=Path(folder) / "run", **options)
    return {name: 1000 * seconds / steps for name, seconds in clock.spent.items()}


def main() -> None:
    """Print the table, and with --ops the operations that take longest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", default="protonet-60", choices=list(works("cpu")))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--ops", type=int, default=0, help="how many of the longest operations to list")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    method, source, tasks = works(given.device)[given.work]()
    found = measure(method, source, given.steps, tasks, given.device)
    whole = sum(found.values())
    print(f"{given.work}, {given.steps} steps, {given.device}, {given.threads} threads: {whole:.3f} ms a step")
    for name, value in sorted(found.items(), key=lambda item: -item[1]):
        print(f"  {name:28s} {value:10.3f} ms {100 * value / whole:6.1f} %")
    if given.ops:
        with profile() as seen:
            train(method, source, steps=10, tasks=tasks, device=given.device, progress=False)
        table = seen.key_averages().table(sort_by=f"self_{given.device}_time_total", row_limit=given.ops)
        print(table)


if __name__ == "__main__":
    main()
