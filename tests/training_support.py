"""A training of a second: points around random centres, a prototypical network on a small MLP."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import torch
from torch import Tensor

from kshot.backbones import MLP
from kshot.evaluation import files
from kshot.functional import random
from kshot.methods import ProtoNet
from kshot.methods.base import Method
from kshot.tasks import Tasks, TaskSource, TaskSpec
from kshot.training import Callback, Progress, TrainResult, train

DIMENSIONS = 6
WALL = ("seconds", "tasks_per_second")


class Blobs(TaskSource):
    """Classes are Gaussian clouds: easy to learn, not at once."""

    name, split, description = "blobs", "train", "clouds of points"

    def __init__(self, way: int = 4, shot: int = 2, query: int = 3, seed: int = 0, spread: float = 0.8) -> None:
        super().__init__(way, shot, query, seed)
        self.spread = spread
        self.drawn: list[int] = []

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec((DIMENSIONS,), self._ways[1], None)

    def draw(self, indices: Tensor, way: int, shot: int) -> Tasks:
        self.drawn += indices.tolist()
        classes = random.distinct(random.keys(self.seed, indices, "classes"), way, 1 << 20)  # [T, N]
        centres = random.normal(random.keys(7, classes, "centre"), DIMENSIONS)  # [T, N, D]
        parts = []
        for stream, count in (("support", shot), ("query", self.query)):
            key = random.keys(self.seed, indices, stream)
            y = random.permutation(key, way * count) % way  # [T, P]
            noise = random.normal(random.fold(key, torch.tensor(1)), way * count, DIMENSIONS)  # [T, P, D]
            parts += [centres.gather(1, y[..., None].expand(-1, -1, DIMENSIONS)) + self.spread * noise, y]
        return Tasks(*parts, classes, indices)


def small_method(seed: int = 0, dropout: float = 0.0) -> ProtoNet:
    """A prototypical network with 6-8-8 units."""
    backbone: torch.nn.Module = MLP((DIMENSIONS,), hidden=8, seed=seed)
    return ProtoNet(torch.nn.Sequential(backbone, torch.nn.Dropout(dropout)) if dropout else backbone)


def small_training(out: Path | None, steps: int = 240, **options: object) -> TrainResult:
    """Adam, cosine, validation, early stopping; checkpoints between the logs and between the validations."""
    settings: dict[str, object] = {
        "tasks": 4,
        "lr": 0.01,
        "schedule": "cosine",
        "validation": Blobs(seed=1),
        "val_every": 15,
        "val_tasks": 20,
        "patience": 12,
        "log_every": 10,
        "checkpoint_every": 7,
        "progress": False,
    }
    method = options.pop("method", None)
    source = options.pop("source", None)
    assert method is None or isinstance(method, Method)
    assert source is None or isinstance(source, TaskSource)
    return train(method or small_method(), source or Blobs(), steps=steps, out=out, **{**settings, **options})  # type: ignore[arg-type]


def crash_writing(number: int, after: bool) -> None:
    """Let this process be killed in its number-th file writing: before or after the file gets its name."""
    replace, count = os.replace, 0

    def dying(source: str, target: str) -> None:
        nonlocal count
        count += 1
        if count == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    files.os.replace = dying  # type: ignore[attr-defined]


def resumed_training(out: Path, steps: int, crash: tuple[int, bool] | None = None) -> None:
    """What a killed process did: start, or go on."""
    torch.set_num_threads(1)
    if crash is not None:
        crash_writing(*crash)
    small_training(out, steps, resume=True)


def metrics(out: Path) -> list[dict[str, float]]:
    """metrics.jsonl without what depends on the clock."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in WALL} for line in lines]


def same_run(a: Path, b: Path) -> None:
    """Two run folders hold the same weights, bit by bit, and the same metrics."""
    for name in ("last.safetensors", "weights.safetensors"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    assert metrics(a) == metrics(b)
    assert sorted(p.name for p in a.rglob("*")) == sorted(p.name for p in b.rglob("*"))


class At(Callback):
    """Do something once, after a step."""

    def __init__(self, step: int, action: object) -> None:
        self.step, self.action = step, action

    def on_step(self, progress: Progress) -> None:
        if progress.step == self.step:
            self.action(progress)  # type: ignore[operator]


def fast_processes() -> ForkServerContext:
    """Processes with torch already imported, so that a test can start many."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training_preload"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), before or ""])  # the server's sys.path
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context
