"""The one meta-training loop, for every method."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from ..evaluation.calibration import TASKS, calibrate, write_calibration
from ..evaluation.measures import measure_by_name
from ..evaluation.progress import wanted
from ..evaluation.report import versions
from ..methods.base import Method
from ..tasks import TaskSource
from . import distributed
from .callbacks import Callback, EarlyStopping, MetricsWriter, ProgressBar
from .folder import RunFolder, check_place, open_run, read_config
from .loop import Loop
from .prepare import prepare
from .settings import Settings

LOG = logging.getLogger("kshot")


@dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes:
        method: with its best weights (by validation), else its last.
        step: steps done, over all resumes.
        finished: False if it stopped early by `max_minutes`, so that it can be resumed.
        reason: why it stopped: "all steps done", "no better validation ...", "max_minutes ...".
        measures: the training measures last logged.
        best_value, best_step: of the best validation; None without validation.
        seconds: wall time, over all resumes.
        out: the run folder, if any.
    """

    method: Method = field(repr=False)
    step: int
    finished: bool
    reason: str
    measures: dict[str, float]
    best_value: float | None
    best_step: int | None
    seconds: float
    out: Path | None


def train(
    method: Method,
    source: TaskSource,
    *,
    steps: int,
    tasks: int = 32,
    optimizer: str = "adam",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    schedule: str = "constant",
    decay_every: int | None = None,
    decay_factor: float = 0.5,
    warmup: int = 0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    validation: TaskSource | None = None,
    val_every: int | None = None,
    val_tasks: int = 200,
    val_transductive: bool = False,
    patience: int | None = None,
    out: Path | str | None = None,
    config: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[Callback] = (),
    max_minutes: float | None = None,
    log_every: int = 25,
    checkpoint_every: int | None = None,
    progress: bool | None = None,
    precision: str = "float32",
    compile: bool = False,
    device: torch.device | str = "cpu",
) -> TrainResult:
    """Meta-train a method on the tasks of a source.

    Step s uses the tasks s * tasks .. (s+1) * tasks - 1, so that a training is a function of method, source and
    arguments: it has no other state than weights, optimiser and step. With torch.distributed initialised, process r of
    R computes every R-th of them and gradients are averaged.

    Args:
        steps: outer steps.
        tasks: tasks in each step.
        optimizer: adam, adamw or sgd.
        lr: outer learning rate, before the schedule.
        weight_decay: of the optimiser.
        momentum: of sgd.
        schedule: how the learning rate falls: constant, step, cosine or linear (to zero).
        decay_every: steps between decays of the step schedule (by default a third of the training).
        decay_factor: of each of these decays.
        warmup: steps over which the learning rate grows to its full size first.
        clip_norm: largest norm of all gradients together.
        clip_value: largest absolute value of a gradient's entry.
        validation: source of the tasks by which the best weights are chosen.
        val_every: steps between validations (by default a twentieth of the training, at least 100); the last step
            has one too.
        val_tasks: tasks of a validation: always the first of the validation source. On the first 100 of them the
            temperature of the probabilities is fitted at the end.
        val_transductive: whether the queries of a validation task are seen together.
        patience: stop after so many validations without a better one.
        out: run folder to write; without it nothing is written and nothing can be resumed.
        config: what config.yaml holds beside the training's arguments (see RunConfig).
        resume: go on with the run in `out`, or start it if there is none. On a CPU the weights come out bit by bit as
            if it had never stopped.
        overwrite: replace the run in `out`.
        callbacks: see Callback.
        max_minutes: stop after this wall time of this call, with a checkpoint to resume from.
        log_every: steps over which the logged measures are averaged.
        checkpoint_every: steps between checkpoints (by default every 30 seconds).
        progress: a progress bar on standard error; by default if that is a terminal.
        precision: of the network's arithmetic: float32, or bfloat16 (mixed precision: weights, losses and statistics
            stay float32), which is faster on GPUs and on processors that have it.
        compile: let torch compile the steps, where that makes the training shorter: the first steps are measured, and
            a short training is not compiled. What was compiled is kept for later trainings. Needs a C++ compiler.
        device: where to train; the method is moved there.

    Raises:
        UserError: what was asked for cannot be done.
        Diverged: loss or weights became NaN or infinite.
        Interrupted: Ctrl-C (a KeyboardInterrupt); with `out`, a checkpoint was written.
    """
    settings = Settings(
        steps=steps, tasks=tasks, optimizer=optimizer, lr=lr, weight_decay=weight_decay, momentum=momentum,
        schedule=schedule, decay_every=decay_every, decay_factor=decay_factor, warmup=warmup, clip_norm=clip_norm,
        clip_value=clip_value, val_every=val_every, val_tasks=val_tasks, val_transductive=val_transductive,
        patience=patience, log_every=log_every, checkpoint_every=checkpoint_every, max_minutes=max_minutes,
        precision=precision, compile=compile, device=str(device),
    )  # fmt: skip
    _check(method, source, settings, validation, resume and out is None)
    before: dict[str, Any] = {}
    if out is not None:  # what would be refused is refused before anything is measured
        distributed.barrier()  # process 0 has left the folder
        place = check_place(Path(out), resume=resume, overwrite=overwrite)
        before = read_config(place.config) if resume and place.config.exists() else {}
        distributed.barrier()  # nobody looks any more when process 0 opens the folder
    settings = prepare(method, source, settings, before)
    whole: dict[str, Any] = {"versions": {k: versions()[k] for k in ("kshot", "torch")}}
    whole |= {k: v for k, v in (config or {}).items() if k != "training"} | {"training": settings.to_dict()}
    if method.engine:  # what was measured becomes part of the run, so that it can be repeated
        whole["options"] = {**whole.get("options", {}), "engine": method.engine}
    writes = out is not None and distributed.rank() == 0
    with open_run(Path(out), whole, resume=resume, overwrite=overwrite) if writes and out else nullcontext() as folder:
        heard = list(callbacks) if distributed.rank() == 0 else []
        if patience is not None:
            heard.append(EarlyStopping(patience))
        if folder is not None:
            heard.append(MetricsWriter(folder.metrics))
        if distributed.rank() == 0 and wanted(progress):
            heard.append(ProgressBar())
        loop = Loop(method, source, settings, validation=validation, callbacks=heard, folder=folder)
        distributed.barrier()  # the folder is ready
        if resume and out is not None:
            loop.resume(Path(out))
        loop.run()
        if folder is not None and validation is not None and loop.finished:
            _calibrate(loop, validation, folder)
    state = loop.progress
    return TrainResult(
        method=method,
        step=state.step,
        finished=loop.finished,
        reason=loop.reason,
        measures=dict(state.measures),
        best_value=state.best_value,
        best_step=state.best_step,
        seconds=state.seconds,
        out=None if out is None else Path(out),
    )


def _calibrate(loop: Loop, validation: TaskSource, folder: RunFolder) -> None:
    """Fit the temperature of the probabilities on the first validation tasks, unless there is one.

    Every query is seen on its own, as in predictions that people ask for, whatever the validation did.
    """
    if validation.spec.regression or validation.measure != "accuracy" or folder.calibration.exists():
        return
    state, settings = loop.progress, loop.settings
    try:
        found = calibrate(
            loop.method,
            validation,
            episodes=min(settings.val_tasks, TASKS),
            device=settings.device,
            step=state.best_step if loop.best else state.step,
        )
    except UserError as error:
        LOG.info("no temperature for the probabilities: %s", error)
    else:
        write_calibration(folder.calibration, found)


def _check(
    method: Method, source: TaskSource, settings: Settings, validation: TaskSource | None, resume_nothing: bool
) -> None:
    """What cannot be trained is refused before anything is written."""
    if not method.about.meta_trained or not any(p.requires_grad for p in method.parameters()):
        raise UserError(f"{method.about.title} has nothing to train: evaluate it as it is")
    if settings.patience is not None and validation is None:
        raise UserError("patience needs validation tasks to judge by; give a validation source or leave patience out")
    if settings.tasks % distributed.world():
        raise UserError(f"tasks must be a multiple of the {distributed.world()} processes; got {settings.tasks}")
    if validation is not None:
        measure_by_name(validation.measure)
        if min(settings.val_tasks, len(validation)) < distributed.world():
            raise UserError(f"validation needs at least one task for each of the {distributed.world()} processes")
        if settings.val_transductive and not method.about.transductive:
            raise UserError(f"{method.about.title} has no transductive mode; leave out val_transductive")
    if settings.steps * settings.tasks > len(source):
        raise UserError(
            f"{settings.steps} steps of {settings.tasks} tasks need more tasks than the {len(source)} of {source.name}"
        )
    if resume_nothing:
        raise UserError("resume needs the run folder as `out`")
