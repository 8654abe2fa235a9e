"""kshot's trainer beside the bare loop that it wraps: the same tasks, the same steps, the same optimiser."""

from __future__ import annotations

import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import torch

from kshot.data.curves import Sinusoid
from kshot.data.images import Images
from kshot.methods import Method, build_method
from kshot.tasks import TaskSource, make_source
from kshot.training import Callback, Progress, train

from .common import SINE, Running, pictures

WARM = 5  # steps of a training that are not counted: opening the folder, first allocations


class Clock(Callback):
    """When the warm steps were done; compiled steps from the first one on, without asking whether that pays."""

    def __init__(self, compiled: bool) -> None:
        self.compiled = compiled

    def on_start(self, progress: Progress) -> None:
        """Compile or not."""
        progress.method.compiled = self.compiled

    def on_step(self, progress: Progress) -> None:
        """Start the clock."""
        if progress.step == WARM:
            self.began = time.perf_counter()


def source_of(kind: dict[str, Any]) -> TaskSource:
    """Sine curves or pictures."""
    if kind["data"] == SINE:
        return make_source(Sinusoid(), shot=kind["shot"], query=kind["query"])
    found = pictures(kind["classes"], kind["each"])
    names, offsets = tuple(map(str, range(len(found)))), torch.arange(len(found) + 1) * kind["each"]
    images = Images(found.flatten(0, 1), offsets, names, ("",) * len(found), "benchmark", "train")
    return make_source(images, way=kind["way"], shot=kind["shot"], query=kind["query"])


def method_of(kind: dict[str, Any], source: TaskSource) -> Method:
    """MAML on curves, ProtoNet on pictures."""
    if kind["data"] == SINE:
        return build_method("maml", source.spec, inner_steps=kind["steps"], inner_lr=kind["alpha"])
    return build_method("protonet", source.spec, backbone_options={"filters": kind["filters"]})


class Trainer:
    """Steps of `train` with a run folder, its log and its checkpoints."""

    note, parameters = "trainer", ()

    def first(self) -> float:
        """Nothing is compared; one that fails, fails here."""
        self.seconds(1)
        return float("nan")

    def __init__(self, kind: dict[str, Any]) -> None:
        self.kind, self.source = kind, source_of(kind)

    def seconds(self, steps: int) -> float:
        """Seconds a step, over one whole training but its first steps."""
        clock, lr = Clock(self.kind["compiled"]), self.kind["lr"]
        with tempfile.TemporaryDirectory() as folder:
            options: dict[str, Any] = {"tasks": self.kind["tasks"], "lr": lr, "progress": False, "callbacks": [clock]}
            train(
                method_of(self.kind, self.source), self.source, steps=steps + WARM, out=Path(folder) / "run", **options
            )
            return (time.perf_counter() - clock.began) / steps


class Bare:
    """The loop alone: draw, clear, meta-step, optimiser."""

    note, parameters = "bare loop", ()

    def first(self) -> float:
        """Nothing is compared; one that fails, fails here."""
        self.seconds(1)
        return float("nan")

    def __init__(self, kind: dict[str, Any]) -> None:
        self.kind, self.source = kind, source_of(kind)

    def seconds(self, steps: int) -> float:
        """Seconds a step, the mean of so many."""
        method = method_of(self.kind, self.source).train()
        method.compiled = self.kind["compiled"]
        optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=self.kind["lr"])
        tasks, first = self.kind["tasks"], count(step=self.kind["tasks"])
        for done in range(steps + WARM):
            if done == WARM:
                began = time.perf_counter()
            at = next(first)
            batch = self.source.batch(range(at, at + tasks))
            if done == 0:
                method.tune(batch)
            optimizer.zero_grad(set_to_none=True)
            method.meta_step(batch)
            optimizer.step()
        return (time.perf_counter() - began) / steps


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """variant: "trainer" or "bare"."""
    return {"trainer": Trainer, "bare": Bare}[variant](kind)  # type: ignore[return-value]
