"""What may happen beside the training: the progress bar, metrics.jsonl, early stopping, and callbacks of the user's."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..evaluation.files import write_whole
from ..methods.base import Method

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


@dataclass
class Progress:
    """Where a training stands; what callbacks get to see.

    Attributes:
        method: being trained (in training mode).
        steps: of the whole training.
        step: done so far.
        measures: means over the last `log_every` steps, as last logged ("loss", "accuracy", "lr", ...).
        validation: the last validation ("val_accuracy", "val_ci95", ...).
        best_value, best_step: of the best validation.
        since_best: validations since then.
        seconds: of training, over all resumes.
        stop: a reason to end the training after this step, set by a callback; empty to go on.
    """

    method: Method
    steps: int
    step: int = 0
    measures: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    best_value: float | None = None
    best_step: int | None = None
    since_best: int = 0
    seconds: float = 0.0
    stop: str = ""


class Callback:
    """Base of the callbacks; override what you need.

    A callback that changes the training must be a function of the Progress it is given, as EarlyStopping is: it is not
    stored in checkpoints. With several processes, callbacks run in process 0 only.
    """

    def on_start(self, progress: Progress) -> None:
        """Before the first step, or after resuming at progress.step."""

    def on_step(self, progress: Progress) -> None:
        """After every step; the measures are those last logged."""

    def on_log(self, progress: Progress) -> None:
        """After new measures were read, every `log_every` steps."""

    def on_validation(self, progress: Progress) -> None:
        """After every validation."""

    def on_checkpoint(self, progress: Progress) -> None:
        """Just before a checkpoint of this step is written."""

    def on_end(self, progress: Progress) -> None:
        """When the training ends, for whatever reason."""


class EarlyStopping(Callback):
    """Stop after `patience` validations without a better one."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_validation(self, progress: Progress) -> None:
        if progress.since_best >= self.patience:
            progress.stop = f"no better validation in the last {self.patience} (patience)"


class MetricsWriter(Callback):
    """metrics.jsonl: one JSON object a line for every log and every validation, with its step and the wall time.

    The file is cut back to the step at which a training resumes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_start(self, progress: Progress) -> None:
        cut_metrics(self.path, progress.step)
        self.file = self.path.open("a", encoding="utf-8")

    def on_log(self, progress: Progress) -> None:
        self._write(progress, progress.measures)

    def on_validation(self, progress: Progress) -> None:
        self._write(progress, progress.validation)

    def on_checkpoint(self, progress: Progress) -> None:
        os.fsync(self.file.fileno())

    def on_end(self, progress: Progress) -> None:
        self.file.close()

    def _write(self, progress: Progress, values: dict[str, float]) -> None:
        numbers = {k: v if math.isfinite(v) else None for k, v in values.items()}  # JSON knows no NaN
        line = {"step": progress.step, **numbers, "seconds": round(progress.seconds, 3)}
        self.file.write(json.dumps(line, allow_nan=False) + "\n")
        self.file.flush()


def cut_metrics(path: Path, step: int) -> None:
    """Drop the lines after `step`, and a last line that a killed writer left unfinished."""
    if path.exists():
        write_whole(path, "".join(line + "\n" for line in metrics_until(path, step)).encode())


def metrics_until(path: Path, step: int) -> list[str]:
    """The whole lines of metrics.jsonl up to `step`; none if there is no such file."""
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            written = json.loads(line)["step"]
        except (json.JSONDecodeError, KeyError, TypeError):
            break
        if written <= step:
            kept.append(line)
    return kept


class ProgressBar(Callback):
    """Loss, accuracy, the best validation and the time left, on standard error."""

    def on_start(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.bar: Bar = Bar(
            BarColumn(bar_width=12),  # all of it fits into 80 columns
            MofNCompleteColumn(),
            TextColumn("{task.fields[measures]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=2,
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=progress.steps, completed=progress.step, measures="")

    def on_step(self, progress: Progress) -> None:
        self.bar.update(self.task, completed=progress.step)

    def on_log(self, progress: Progress) -> None:
        self.bar.update(self.task, measures=describe(progress))

    def on_validation(self, progress: Progress) -> None:
        self.bar.update(self.task, measures=describe(progress))

    def on_end(self, progress: Progress) -> None:
        self.bar.stop()


def describe(progress: Progress) -> str:
    """The measures in a few words: "loss 0.312  accuracy 90.1 %  val 91.2 %"."""
    words = []
    for name in ("loss", "accuracy", "mse"):
        if name in progress.measures and not (name == "mse" and "loss" in progress.measures):
            value = progress.measures[name]
            words.append(f"{name} {value:.1f} %" if name == "accuracy" else f"{name} {value:.4g}")
    for name, value in progress.validation.items():
        if name in ("val_accuracy", "val_mse"):
            words.append(f"val {value:.1f} %" if name == "val_accuracy" else f"val {value:.4g}")
    return "  ".join(words)
