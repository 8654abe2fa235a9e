"""Reports: never a bare number, but mean, interval, number of tasks, and all that is needed to measure it again."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..functional.calibration import Reliability
from ..functional.intervals import mean_interval
from .measures import MEASURES

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    from .. import __version__

    return {"kshot": __version__, "torch": str(torch.__version__), "python": platform.python_version()}


@dataclass(frozen=True)
class Further:
    """What a method measures beside the source's measure: its mean over `count` tasks, and the interval's half-width.

    Both are NaN where no task has it; the half-width also where only one has.
    """

    mean: float
    ci95: float
    count: int

    @classmethod
    def of(cls, values: Tensor) -> Further:
        """Of the values [count] of tasks."""
        mean, half = mean_interval(values) if len(values) else (math.nan, math.nan)
        return cls(mean, half, len(values))

    def as_dict(self) -> dict[str, Json]:
        """As `--json` prints it."""
        return {"mean": finite(self.mean), "ci95": finite(self.ci95), "count": self.count}


@dataclass(frozen=True)
class Calibrated:
    """How well the probabilities of the queries agree with how often they are right.

    Attributes:
        before, after: predictions by their confidence, with the logits as they are and with the temperature.
        temperature: that the logits were divided by; 1 where none was fitted.
        fitted_on: the tasks it was fitted on, in words.
    """

    before: Reliability
    after: Reliability
    temperature: float
    fitted_on: str | None

    def as_dict(self) -> dict[str, Json]:
        """As `--json` prints it; errors in percent."""
        return {
            "ece": finite(self.after.ece),
            "ece_before": finite(self.before.ece),
            "temperature": self.temperature,
            "fitted_on": self.fitted_on,
            "bins": len(self.after.count),
        }

    def __str__(self) -> str:
        if self.fitted_on is None:
            return f"calibration error {self.after.ece:.2f} %"
        return (
            f"calibration error {self.after.ece:.2f} % (without temperature {self.before.ece:.2f} %; "
            f"{self.temperature:.3g}, fitted on {self.fitted_on})"
        )


@dataclass(frozen=True)
class Report:
    """How well a method does on the tasks of a source.

    Attributes:
        measure: name of the measure: "accuracy" (percent) or "mse".
        value: its mean over the tasks.
        ci95: half-width of the 95 % interval of the mean over tasks (Student t), in the same unit.
        episodes: number of tasks.
        way, shot, query: N, K and queries of each class; way is 0 for regression; a range is (low, high).
        seed: of the tasks.
        split, data: where the tasks come from.
        method: its registry name.
        transductive: whether the queries of a task were seen together.
        wall_seconds: time of the evaluation.
        versions: of kshot, torch and Python.
        threads: of torch; device: where it was computed.
        description: of the tasks, in prose.
        tasks_digest: checksum of the tasks; equal digests are the same tasks.
        values: float64 [episodes], the measure of each task.
        further: what the method measures beside it (`Method.further`), by name.
        calibration: of its probabilities; None for regression.
    """

    measure: str
    value: float
    ci95: float
    episodes: int
    way: int | tuple[int, int]
    shot: int | tuple[int, int]
    query: int
    seed: int
    split: str
    data: str
    method: str
    transductive: bool
    wall_seconds: float
    versions: dict[str, str]
    threads: int
    device: str
    description: str
    tasks_digest: str
    values: Tensor = field(repr=False, compare=False)
    further: dict[str, Further] = field(default_factory=dict)
    calibration: Calibrated | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Json]:
        """What `--json` prints: the measure by its name and all else but the values of tasks.

        What is no number is null: ci95 of a single task, the error of a model that overflowed.
        """
        return {
            "method": self.method,
            self.measure: finite(self.value),
            "ci95": finite(self.ci95),
            "episodes": self.episodes,
            "data": self.data,
            "split": self.split,
            "way": list(self.way) if isinstance(self.way, tuple) else self.way,
            "shot": list(self.shot) if isinstance(self.shot, tuple) else self.shot,
            "query": self.query,
            "seed": self.seed,
            "transductive": self.transductive,
            "measure": self.measure,
            "further": {name: more.as_dict() for name, more in self.further.items()},
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
            "wall_seconds": round(self.wall_seconds, 3),
            "threads": self.threads,
            "device": self.device,
            "description": self.description,
            "tasks_digest": self.tasks_digest,
            "versions": dict(self.versions),
        }

    def to_json(self) -> str:
        """The report as one JSON document."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        tasks = f"{self.shot}-shot regression" if self.way == 0 else f"{_count(self.way)}-way {_count(self.shot)}-shot"
        mode = "transductive" if self.transductive else "non-transductive"
        return (
            f"{self.method}: {in_words(self.measure, self.value, self.ci95)} "
            f"({self.episodes} {tasks} tasks of {self.data} {self.split}, seed {self.seed}, {mode}, "
            f"{self.wall_seconds:.1f} s)"
        ) + "".join(f"\n  {line}" for line in self._beside())

    def _beside(self) -> list[str]:
        """A line for whatever else was measured."""
        lines = [f"{in_words(name, more.mean, more.ci95)} ({more.count} tasks)" for name, more in self.further.items()]
        return [*lines, *([] if self.calibration is None else [str(self.calibration)])]


def in_words(name: str, mean: float, ci95: float) -> str:
    """A measure with its interval; what is called an accuracy is in percent."""
    unit = next((measure.unit for known, measure in MEASURES.items() if known in name), "")
    digits = 2 if unit == "%" else 4
    half = "?" if math.isnan(ci95) else f"{ci95:.{digits}f}"
    return f"{name} {mean:.{digits}f} +- {half}{' ' + unit if unit else ''}"


def finite(value: float) -> float | None:
    """The number, or None for NaN and infinities, which JSON does not know."""
    return value if math.isfinite(value) else None


def _count(count: int | tuple[int, int]) -> str:
    return str(count) if isinstance(count, int) else f"{count[0]}..{count[1]}"
