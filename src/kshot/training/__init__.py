"""The one meta-training loop, its run folders, and runs read back."""

from __future__ import annotations

from .callbacks import Callback, EarlyStopping, MetricsWriter, Progress, ProgressBar
from .config import RunConfig, start
from .interrupt import Interrupted
from .run import Run, load_run
from .settings import Settings
from .tensorboard import TensorBoard
from .trainer import TrainResult, train
from .window import Diverged

__all__ = [
    "Callback",
    "Diverged",
    "EarlyStopping",
    "Interrupted",
    "MetricsWriter",
    "Progress",
    "ProgressBar",
    "Run",
    "RunConfig",
    "Settings",
    "TensorBoard",
    "TrainResult",
    "load_run",
    "start",
    "train",
]
