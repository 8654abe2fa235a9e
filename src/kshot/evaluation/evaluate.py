"""Evaluation of a method on tasks it has never seen."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from ..errors import UserError
from ..functional.intervals import mean_interval
from ..methods.base import Method
from ..tasks import TaskSource
from .calibration import Calibration
from .report import Calibrated, Further, Report, versions
from .score import Scores, score_tasks


def method_name(method: Method) -> str:
    """The registry name of a method, or the name of its class if it is not registered."""
    from ..methods import METHODS

    return next((name for name, cls in METHODS.items() if cls is type(method)), type(method).__name__.lower())


def device_name(device: torch.device | str) -> str:
    """What stands in reports: "cpu", or "cuda (NVIDIA H200)"."""
    device = torch.device(device)
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def evaluate(
    method: Method,
    source: TaskSource,
    *,
    episodes: int = 1000,
    transductive: bool = False,
    batch: int | None = None,
    max_seconds: float | None = None,
    progress: bool | None = None,
    device: torch.device | str = "cpu",
    name: str | None = None,
    calibration: Calibration | None = None,
) -> Report:
    """Mean and 95 % interval of the source's measure over its tasks 0 .. episodes-1.

    The method is in evaluation mode meanwhile and left as it was.

    Args:
        episodes: number of tasks; a finite source (the one-shot runs) gives at most all of its own.
        transductive: whether the queries of a task are seen together; only methods whose `about` says so can.
        batch: tasks computed at once, by default bounded by the number of pictures. Does not change the result
            beyond rounding.
        max_seconds: stop after this time; the report says how many tasks were done.
        progress: a progress bar on standard error; by default if that is a terminal.
        device: where to compute; the method is moved there.
        name: of the method in the report, by default its registry name.
        calibration: the temperature of the method's probabilities, if one was fitted: the report has the calibration
            error with and without it.
    """
    from .progress import bar

    if episodes < 1:
        raise UserError(f"episodes must be at least 1; got {episodes}")
    episodes = min(episodes, len(source))
    method.to(device)
    temperatures: tuple[float, ...] = ()
    if source.measure == "accuracy":
        temperatures = (1.0,) if calibration is None else (1.0, calibration.temperature)
    start = time.monotonic()
    with bar("evaluating", episodes, progress) as update:
        scores = score_tasks(
            method,
            source,
            range(episodes),
            transductive=transductive,
            further=True,
            temperatures=temperatures,
            batch=batch,
            device=device,
            max_seconds=max_seconds,
            on_chunk=update,
        )
    mean, half = mean_interval(scores.values)
    return Report(
        measure=source.measure,
        value=mean,
        ci95=half,
        episodes=len(scores.values),
        way=source.way,
        shot=source.shot,
        query=source.query,
        seed=source.seed,
        split=source.split,
        data=source.name,
        method=name or method_name(method),
        transductive=transductive,
        wall_seconds=time.monotonic() - start,
        versions=versions(),
        threads=torch.get_num_threads(),
        device=device_name(device),
        description=source.description,
        tasks_digest=scores.digest,
        values=scores.values,
        further={name: Further.of(values) for name, values in scores.further.items()},
        calibration=_calibrated(scores, temperatures, calibration),
    )


def _calibrated(scores: Scores, temperatures: Sequence[float], fitted: Calibration | None) -> Calibrated | None:
    """The reliability of the probabilities with and without temperature, where there are probabilities."""
    if not temperatures:
        return None
    before, after = scores.reliability[0], scores.reliability[-1]
    return Calibrated(before, after, temperatures[-1], None if fitted is None else fitted.tasks)
