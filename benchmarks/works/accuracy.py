"""Training ProtoNet from nothing until it reaches an accuracy on validation classes; the checks' time is left out.

Run by to_accuracy.py in each library's environment; prints one line of JSON for each check and one at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.nn.functional as F

from worker import memory
from works.common import conv4, load_start

warnings.simplefilter("ignore")


class Clock:
    """Wall time of the training alone, and whether to go on."""

    def __init__(self, kind: dict[str, Any], answers: Any) -> None:
        self.kind, self.answers = kind, answers
        self.began, self.out, self.reached = time.perf_counter(), 0.0, False

    def due(self, step: int) -> bool:
        """Whether the accuracy is to be measured after this step."""
        return step % self.kind["check_every"] == 0

    def check(self, step: int, measure: Any) -> str:
        """Measure; the reason to stop, if there is one."""
        before = time.perf_counter()
        seconds = before - self.began - self.out
        accuracy = measure()
        self.answers.write(json.dumps({"step": step, "seconds": seconds, "accuracy": accuracy}) + "\n")
        self.answers.flush()
        self.out += time.perf_counter() - before
        if accuracy >= self.kind["goal"]:
            self.reached = True
            return "the goal is reached"
        return "out of time" if seconds > 60 * self.kind["minutes"] else ""


def kshot(kind: dict[str, Any], start: str, clock_of: Any) -> Clock:
    """kshot's trainer, with its run folder; writes the first weights."""
    from kshot.data import load
    from kshot.evaluation import evaluate
    from kshot.tasks import make_source
    from kshot.training import Callback, Progress, train
    from works.protonet_kshot import method_of

    train_data, val_data = (load("omniglot:random", split, data_dir=kind["data_dir"]) for split in ("train", "val"))
    source = make_source(train_data, way=kind["way"], shot=kind["shot"], query=kind["query"], seed=kind["seed"])
    validation = make_source(val_data, way=5, shot=1, query=15, seed=kind["seed"] + 1)
    method = method_of(kind, start)
    clock: Clock = clock_of()

    class Check(Callback):
        def on_step(self, progress: Progress) -> None:
            if clock.due(progress.step):
                episodes = kind["check_tasks"]
                progress.stop = clock.check(
                    progress.step, lambda: evaluate(method, validation, episodes=episodes, progress=False).value
                )

    with tempfile.TemporaryDirectory() as folder:
        train(
            method,
            source,
            steps=kind["steps"],
            tasks=1,
            lr=kind["lr"],
            schedule="step",
            decay_every=kind["halve_every"],
            out=Path(folder) / "run",
            callbacks=[Check()],
            progress=False,
        )
    return clock


def easyfsl(kind: dict[str, Any], start: str, clock_of: Any) -> Clock:
    """The loop of easyfsl's tutorial on episodic training; the pictures lie in memory as floats."""
    from works.easyfsl_parts import InMemory, PrototypicalNetworks, evaluate, loader

    train_data, val_data = (InMemory(pixels.float() / 255) for pixels in torch.load(kind["pixels"], weights_only=True))
    backbone = conv4(kind["filters"], strided=False, running=True)
    load_start(backbone, start)
    model = PrototypicalNetworks(backbone).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=kind["lr"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, kind["halve_every"], 0.5)
    random.seed(kind["seed"])  # of its sampler
    tasks = loader(train_data, kind["way"], kind["shot"], kind["query"], kind["steps"])
    validation = loader(val_data, 5, 1, 15, kind["check_tasks"])
    clock: Clock = clock_of()
    for i, (xs, ys, xq, yq, _) in enumerate(tasks):
        optimizer.zero_grad()
        model.process_support_set(xs, ys)
        loss = F.cross_entropy(model(xq), yq)
        loss.backward()
        optimizer.step()
        schedule.step()
        if clock.due(i + 1):
            stop = clock.check(i + 1, lambda: 100 * evaluate(model, validation, device="cpu", use_tqdm=False))
            model.train()
            if stop:
                break
    return clock


def main() -> None:
    """Train one library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, choices=["kshot", "easyfsl"])
    parser.add_argument("--kind", required=True, type=json.loads)
    parser.add_argument("--start", required=True)
    parser.add_argument("--threads", type=int, required=True)
    asked = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(asked.threads)
    before = memory("VmRSS")
    run = {"kshot": kshot, "easyfsl": easyfsl}[asked.library]
    clock = run(asked.kind, asked.start, lambda: Clock(asked.kind, answers))
    ended = {"reached": clock.reached, "before_mb": before, "peak_mb": memory("VmHWM"), "torch": torch.__version__}
    answers.write(json.dumps(ended) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
