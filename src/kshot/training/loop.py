"""The steps of a training, and the checkpoints from which it goes on bit by bit."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from ..evaluation.measures import measure_by_name
from ..evaluation.score import score_tasks
from ..functional.intervals import mean_interval
from ..methods.base import Method
from ..tasks import TaskSource
from . import distributed
from .callbacks import Callback, Progress
from .folder import RunFolder
from .interrupt import Interrupted, InterruptFlag
from .optimisers import build_optimizer
from .prefetch import Prefetch
from .randomness import step_randomness
from .settings import Settings
from .state import State, export, load_state, save_state
from .window import Diverged, Window, all_finite

SECONDS_BETWEEN_CHECKPOINTS = 30.0
DONE, INTERRUPTED = "all steps done", "interrupted"


class Loop:
    """One training: its state, its steps, its checkpoints."""

    def __init__(
        self,
        method: Method,
        source: TaskSource,
        settings: Settings,
        *,
        validation: TaskSource | None,
        callbacks: Sequence[Callback],
        folder: RunFolder | None,
    ) -> None:
        self.method, self.source, self.settings, self.validation = method, source, settings, validation
        self.callbacks, self.folder = callbacks, folder
        self.device = torch.device(settings.device)
        method.to(self.device)
        distributed.broadcast(method)
        self.parameters = [p for p in method.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(
            settings.optimizer,
            self.parameters,
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
        )
        self.factor = settings.build_schedule()
        self.progress = Progress(method, settings.steps)
        self.window = Window()
        self.best: dict[str, Tensor] = {}
        self.finished, self.reason = False, ""
        self.saved_step: int | None = None
        self.saved_cost = 0.0

    def run(self) -> None:
        """Train until done, stopped, interrupted or diverged; the method is left with its best weights."""
        modes = [(part, part.training) for part in self.method.modules()]
        try:
            if self.finished:
                if self.folder is not None:
                    export(self.folder, self.state())
            else:
                self._train()
        finally:
            for part, mode in modes:
                part.training = mode
        if self.best:
            self.method.load_state_dict(self.best)

    def _train(self) -> None:
        self.method.train()
        self.started, self.before = time.monotonic(), self.progress.seconds
        self.saved_time, self.logged = self.started, self.before
        self._call("on_start")
        try:
            with self._batches() as self.batches, InterruptFlag() as interrupt:
                while not self.reason:
                    self._step()
                    self._after_step(interrupt)
            if self.reason == INTERRUPTED:
                raise Interrupted(self._interrupted())
        finally:
            self.progress.seconds = self._seconds()
            self._call("on_end")

    def _batches(self) -> Prefetch:
        return Prefetch(self.source, tasks=self.settings.tasks, steps=self.settings.steps, device=self.device)

    def _step(self) -> None:
        """One outer step on the tasks that belong to it."""
        step = self.progress.step
        batch = self.batches.batch(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * self.factor(step)
        self.optimizer.zero_grad(set_to_none=True)
        with step_randomness(self.source.seed, step, self.device), self.arithmetic():
            measures = self.method.meta_step(batch)
        distributed.average_step(self.parameters, self.method.buffers())
        if self.settings.clip_value is not None:
            nn.utils.clip_grad_value_(self.parameters, self.settings.clip_value)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        self.optimizer.step()
        self.window.add(measures)
        self.progress.step = step + 1

    def arithmetic(self) -> AbstractContextManager[object]:
        """The precision of the network's arithmetic."""
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def _after_step(self, interrupt: InterruptFlag) -> None:
        """Whatever is due after a step, in the order that a resumed training repeats."""
        progress, settings = self.progress, self.settings
        step = progress.step
        progress.seconds = self._seconds()
        self._call("on_step")
        last = step == settings.steps
        logs = last or step % settings.log_every == 0
        validates = self.validation is not None and (last or step % settings.validate_every == 0)
        if logs:
            self._log()
        if self.validation is not None and validates:
            self._validate(self.validation)
        # Processes agree on stopping where they meet anyway.
        if not distributed.active() or logs or validates:
            if distributed.any_of(bool(progress.stop)):
                self.finished, self.reason = True, progress.stop or "stopped by a callback"
            elif last:
                self.finished, self.reason = True, DONE
            elif distributed.any_of(interrupt.raised):
                self.reason = INTERRUPTED
            elif distributed.any_of(self._out_of_time()):
                self.reason = f"max_minutes ({settings.max_minutes:g}) is over"
        if self.reason or self._checkpoint_due():
            self._checkpoint()

    def _log(self) -> None:
        """Read the measures of the last steps, which waits for the device."""
        self._check_finite(self.window.first_bad(distributed.mean))
        means = self.window.means()
        count = self.settings.tasks * (self.progress.step - self.window.start)
        now = self._seconds()
        rate = {
            "lr": self.optimizer.param_groups[0]["lr"],
            "tasks_per_second": round(count / max(now - self.logged, 1e-9), 1),
        }
        self.progress.measures = means | rate
        self.logged = now
        self.window = Window(self.progress.step)
        self._call("on_log")

    def _validate(self, validation: TaskSource) -> None:
        """Measure the first validation tasks; keep the weights if they are the best so far."""
        name, progress, began = validation.measure, self.progress, self._seconds()
        count = min(self.settings.val_tasks, len(validation))
        scores = score_tasks(
            self.method,
            validation,
            distributed.share(range(count)),
            transductive=self.settings.val_transductive,
            device=self.device,
        )
        value, half = mean_interval(distributed.gather(scores.values))
        progress.validation = {f"val_{name}": value, "val_ci95": half}
        more = measure_by_name(name).more_is_better
        best = progress.best_value
        if not math.isnan(value) and (best is None or (value > best if more else value < best)):
            progress.best_value, progress.best_step, progress.since_best = value, progress.step, 0
            self.best = {k: t.detach().clone() for k, t in self.method.state_dict().items()}
        else:
            progress.since_best += 1
        progress.seconds = self._seconds()
        self.logged += progress.seconds - began
        self._call("on_validation")

    def _check_finite(self, bad: tuple[int, float] | None) -> None:
        """Stop a training whose loss or weights are not numbers any more, before they can reach a checkpoint."""
        if bad is not None:
            what = f"the loss of step {bad[0]} is {bad[1]}"
        elif not all_finite(list(self.method.state_dict().values())):
            what = f"the weights became NaN or infinite in the steps {self.window.start + 1} to {self.progress.step}"
        else:
            return
        if self.folder is None:
            kept = "nothing was stored, since there is no run folder"
        elif self.saved_step is None:
            kept = "no checkpoint had been written yet"
        else:
            kept = f"the last good checkpoint is of step {self.saved_step}, in {self.folder.path}"
        raise Diverged(f"the training diverged: {what}; {kept}. Try a lower lr, clip_norm=1, or a warmup")

    def _checkpoint_due(self) -> bool:
        every = self.settings.checkpoint_every
        if every is not None:
            return self.progress.step % every == 0
        pause = max(SECONDS_BETWEEN_CHECKPOINTS, 50 * self.saved_cost)  # at most 2 % of the time goes into them
        return time.monotonic() - self.saved_time > pause

    def _checkpoint(self) -> None:
        """Write down everything that resuming needs; nothing that is not a number gets there."""
        began = time.monotonic()
        if self.folder is not None:
            if self.window.values:
                self._check_finite(self.window.first_bad())  # only process 0 is here
            self.progress.seconds = self._seconds()
            self._call("on_checkpoint")
            save_state(self.folder, self.state())
            self.saved_step = self.progress.step
        self.saved_time = time.monotonic()
        self.saved_cost = self.saved_time - began

    def state(self) -> State:
        """What resuming needs."""
        reason = self.reason if self.finished else ""
        return State(self.method, self.optimizer, self.window, self.progress, self.best, self.finished, reason)

    def resume(self, out: Path) -> None:
        """Go on from the checkpoint in a run folder, if there is one."""
        state = self.state()
        if load_state(RunFolder(out), state):
            self.best, self.finished, self.reason = state.best, state.finished, state.reason
            self.saved_step = self.progress.step

    def _seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def _out_of_time(self) -> bool:
        limit = self.settings.max_minutes
        return limit is not None and time.monotonic() - self.started > limit * 60

    def _interrupted(self) -> str:
        where = f"after step {self.progress.step} of {self.settings.steps}"
        if self.folder is None:
            return f"interrupted {where}; nothing was stored, since there is no run folder"
        return f"interrupted {where}; the checkpoint is in {self.folder.path}: the same command with --resume goes on"

    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self.progress)
