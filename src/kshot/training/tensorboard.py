"""TensorBoard: what metrics.jsonl holds, as event files, for those who watch their trainings there."""

from __future__ import annotations

import json
import math
import time
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from .callbacks import Callback, Progress, metrics_until
from .folder import RunFolder

SECONDS_UNTIL_SEEN = 10  # between writing to the disk and the next
VALIDATION = "val_"  # what the names of its measures begin with


class TensorBoard(Callback):
    """Scalars of every log (train/...) and validation (validation/...), and config.yaml as text, in RUN/tensorboard.

    Where a training begins or goes on, the files are made anew from metrics.jsonl, so that no step is there twice, and
    so that a training that had no event files before it was resumed has them from its first step.

    Args:
        run: the run folder, `out` of the training.
    """

    def __init__(self, run: Path | str) -> None:
        if find_spec("tensorboard") is None:
            raise UserError(
                "TensorBoard is not installed: pip install 'kshot[tensorboard]', or leave out --tensorboard "
                "(metrics.jsonl holds the same numbers)"
            )
        self.folder = RunFolder(Path(run))

    def on_start(self, progress: Progress) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder.clear_events()
        self.writer = SummaryWriter(str(self.folder.events), flush_secs=SECONDS_UNTIL_SEEN)
        config = self.folder.config.read_text(encoding="utf-8")
        self.writer.add_text("config", "\n".join(f"    {line}" for line in config.splitlines()), 0)
        began = time.time() - progress.seconds
        for line in metrics_until(self.folder.metrics, progress.step):
            values = json.loads(line)
            step, seconds = values.pop("step"), values.pop("seconds")
            self._write(step, values, began + seconds)

    def on_log(self, progress: Progress) -> None:
        self._write(progress.step, progress.measures, time.time())

    def on_validation(self, progress: Progress) -> None:
        self._write(progress.step, progress.validation, time.time())

    def on_end(self, progress: Progress) -> None:
        self.writer.close()

    def _write(self, step: int, values: dict[str, float], when: float) -> None:
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                self.writer.add_scalar(tag(name), value, step, walltime=when)


def tag(name: str) -> str:
    """Where TensorBoard shows a measure of metrics.jsonl: loss -> train/loss, val_accuracy -> validation/accuracy."""
    return f"validation/{name.removeprefix(VALIDATION)}" if name.startswith(VALIDATION) else f"train/{name}"
