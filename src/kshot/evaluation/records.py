"""Records: results worth keeping, as small JSON files; the program writes them, and the docs' tables come from them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from .compare import Comparison
from .files import write_whole
from .report import Json, Report

PACKAGE = Path(__file__).resolve().parent.parent


def write_record(
    path: Path | str,
    report: Report,
    *,
    config: Mapping[str, Any] | None = None,
    train_seconds: float | None = None,
    train_steps: int | None = None,
    command: str | None = None,
    extra: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Write a record, whole or not at all, and return it.

    Args:
        path: the JSON file.
        report: what was measured.
        config: how the method was trained (a run's config.yaml).
        train_seconds: wall time of the training, over all resumes; 0 for methods that need none.
        train_steps: outer steps.
        command: that makes this record; by default the one that is running.
        extra: further entries; they cannot replace those of the report.
    """
    measured = report.as_dict()
    record: dict[str, Json] = {
        "method": measured.pop("method"),
        "data": measured.pop("data"),
        "split": measured.pop("split"),
        **{k: measured.pop(k) for k in ("way", "shot", "query", report.measure, "ci95", "episodes", "seed")},
        "transductive": measured.pop("transductive"),
        "train_seconds": None if train_seconds is None else round(train_seconds, 1),
        "train_steps": train_steps,
        "device": measured.pop("device"),
        "threads": measured.pop("threads"),
        "command": command if command is not None else running_command(),
        **measured,
        "commit": commit(),
        "config": None if config is None else dict(config),
    }
    for name, value in (extra or {}).items():
        if name in record:
            raise UserError(f"a record has its own {name!r}; give the extra entry another name")
        record[name] = value
    _write(path, record)
    return record


def write_comparison(
    path: Path | str,
    comparison: Comparison,
    *,
    trainings: Mapping[str, Mapping[str, Any]],
    command: str | None = None,
) -> dict[str, Json]:
    """Write a record of a paired comparison, whole or not at all, and return it.

    Args:
        path: the JSON file.
        comparison: what was measured.
        trainings: of every method by its name: config, train_seconds and train_steps, as in write_record.
        command: that makes this record; by default the one that is running.
    """
    record: dict[str, Json] = {
        **comparison.as_dict(),
        "command": command if command is not None else running_command(),
        "commit": commit(),
        "trainings": {name: dict(training) for name, training in trainings.items()},
    }
    _write(path, record)
    return record


def _write(path: Path | str, record: Mapping[str, Json]) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_whole(path, text.encode())


def running_command() -> str:
    """The command line of this process, with the bare name of the program."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name  # python -m kshot
    return shlex.join([name, *sys.argv[1:]])


def commit() -> str | None:
    """The commit of the running source, with "-dirty" if it was changed since; None outside of a git work tree."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "__init__.py") is None:  # installed somewhere in an unrelated work tree
        return None
    head = git("rev-parse", "HEAD")
    return f"{head}-dirty" if head and git("status", "--porcelain", "--", ".") else head
