"""The run folder: who may write into it, and what lies where."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from ..errors import UserError
from ..evaluation.files import TEMPORARY, write_whole
from ..evaluation.plots.make import forget
from .settings import FREE

CONFIG, WEIGHTS, LAST, METRICS, STATE, CALIBRATION = (
    "config.yaml",
    "weights.safetensors",
    "last.safetensors",
    "metrics.jsonl",
    "state",
    "calibration.json",
)
CARD, EVALUATIONS, EVENTS = "README.md", "evaluations", "tensorboard"  # made of the run, not needed by it
FIGURES = "figures"
LOCK = ".lock"


class RunFolder:
    """Paths of a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config, self.weights, self.last = path / CONFIG, path / WEIGHTS, path / LAST
        self.metrics, self.state = path / METRICS, path / STATE / "checkpoint.safetensors"
        self.calibration = path / CALIBRATION
        self.card, self.evaluations, self.events = path / CARD, path / EVALUATIONS, path / EVENTS
        self.figures = path / FIGURES

    def holds_results(self) -> bool:
        """Whether anything of a run lies here."""
        return any((self.path / name).exists() for name in (CONFIG, WEIGHTS, LAST, METRICS, STATE))

    def refuse_to_overwrite(self) -> None:
        """Raise where anything lies here that a new run must not touch."""
        if self.holds_results():
            raise UserError(
                f"{self.path} already holds a run. Use --resume to go on, --overwrite to replace it, or another --out"
            )
        if self.path.exists() and any(p.name != LOCK and p.suffix != TEMPORARY for p in self.path.iterdir()):
            raise UserError(f"{self.path} holds other files. Choose a new or empty folder as --out")

    def clear(self) -> None:
        """Remove the run, and nothing else; the state first, so that no other run can ever go on from it."""
        if self.state.parent.exists():
            shutil.rmtree(self.state.parent)
        forget(self.figures)
        for name in (CALIBRATION, WEIGHTS, LAST, METRICS, CONFIG):
            (self.path / name).unlink(missing_ok=True)
        self.clear_events()
        for record in self.evaluations.glob("*.json"):  # of weights that are gone
            record.unlink()

    def clear_events(self) -> None:
        """Remove the files of TensorBoard."""
        for file in self.events.glob("events.out.tfevents.*"):
            file.unlink()

    def remove_leftovers(self) -> None:
        """Remove the temporary files of a killed writer."""
        for folder in (self.path, self.path / STATE):
            for leftover in folder.glob(f"*{TEMPORARY}"):
                leftover.unlink()


def check_place(path: Path, *, resume: bool, overwrite: bool) -> RunFolder:
    """The folder of a run, after refusing what `open_run` would refuse; nothing is written."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; a run needs a folder. Choose another --out")
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other: one keeps the run, the other removes it")
    folder = RunFolder(path)
    if not (overwrite or resume):
        folder.refuse_to_overwrite()
    return folder


@contextmanager
def open_run(path: Path, config: dict[str, Any], *, resume: bool, overwrite: bool) -> Iterator[RunFolder]:
    """Claim a run folder for writing: new, to be resumed, or to be replaced.

    Args:
        config: what config.yaml is to hold; a run that is resumed must have the same.
        resume: go on from the checkpoint that lies here, or start if there is none.
        overwrite: remove the run that lies here.
    """
    folder = check_place(path, resume=resume, overwrite=overwrite)
    fresh = not (overwrite or resume)
    path.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        if fresh:
            folder.refuse_to_overwrite()  # another process may have been faster
        if overwrite:
            folder.clear()
        folder.remove_leftovers()
        if folder.config.exists():
            same_config(read_config(folder.config), config, path)
        else:
            write_whole(folder.config, yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())
        folder.state.parent.mkdir(exist_ok=True)
        yield folder


def read_config(path: Path) -> dict[str, Any]:
    """config.yaml as a dict."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} must hold names and values; it holds {type(config).__name__}")
    return config


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"training": {"lr": 1}} -> {"training.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, name + ".") if isinstance(value, dict) and value else {name: value}
    return flat


def same_config(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    """Refuse to resume a run with other settings; versions and settings that change no weight are free."""
    ignored = {"versions.kshot", "versions.torch", "data.data_dir", *(f"training.{name}" for name in FREE)}
    # what is written is what YAML reads back: tuples are lists, paths are text
    a, b = flatten(old), flatten(yaml.safe_load(yaml.safe_dump(new)))
    differing = sorted(k for k in a.keys() | b.keys() if k not in ignored and a.get(k) != b.get(k))
    if differing:
        lines = "; ".join(f"{k}: {a.get(k)!r} in the run, {b.get(k)!r} now" for k in differing)
        raise UserError(f"cannot resume {path} with other settings ({lines}). Use the run's, or another --out")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the folder against other processes; the system lets go of it when this process ends, however it ends."""
    with (path / LOCK).open("a") as file:
        if not _lock(file):
            raise UserError(f"another process is training into {path}. Wait for it, or choose another --out")
        yield


def _lock(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows: no protection there
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
