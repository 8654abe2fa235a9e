"""What a checkpoint holds: everything that a training needs to go on bit by bit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..errors import UserError
from ..evaluation.report import Json
from ..methods.base import Method
from . import distributed
from .callbacks import Progress
from .checkpoint import load_into, load_tensors, save_tensors, split_prefix
from .folder import RunFolder
from .optimisers import optimizer_tensors, restore_optimizer
from .window import Window

PROGRESS = ("step", "best_value", "best_step", "since_best", "seconds", "measures")


@dataclass
class State:
    """The state of a training.

    Attributes:
        method, optimizer: their tensors.
        window: measures since the last log.
        progress: the numbers of PROGRESS.
        best: weights of the best validation; empty without one.
        finished, reason: whether and why it has ended.
    """

    method: Method
    optimizer: Optimizer
    window: Window
    progress: Progress
    best: dict[str, Tensor]
    finished: bool
    reason: str


def machine() -> dict[str, Json]:
    """What may change the rounding of the numbers."""
    return {
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "world": distributed.world(),
    }


def save_state(folder: RunFolder, state: State) -> None:
    """Write the state into one file, then the weights as files of their own."""
    tensors = {f"method.{k}": t for k, t in state.method.state_dict().items()}
    tensors |= {f"optimizer.{k}": t for k, t in optimizer_tensors(state.optimizer).items()}
    tensors |= {f"window.{k}": t for k, t in state.window.tensors().items()}
    tensors |= {f"best.{k}": t for k, t in state.best.items()}
    progress: dict[str, Json] = {name: getattr(state.progress, name) for name in PROGRESS}
    note: dict[str, Json] = {
        **progress,
        **machine(),
        "window_start": state.window.start,
        "finished": state.finished,
        "reason": state.reason,
    }
    save_tensors(folder.state, tensors, note)
    export(folder, state)


def export(folder: RunFolder, state: State) -> None:
    """last.safetensors and weights.safetensors (the best by validation, else the last)."""
    last, step = state.method.state_dict(), state.progress.step
    save_tensors(folder.last, last, {"step": step})
    save_tensors(folder.weights, state.best or last, {"step": state.progress.best_step if state.best else step})


def load_state(folder: RunFolder, state: State) -> bool:
    """Put the state of a run folder into `state`; False if there is none."""
    if not folder.state.exists():
        return False
    tensors, read = load_tensors(folder.state)
    note: dict[str, object] = dict(read)
    for name in (*PROGRESS, "window_start", "finished", "reason"):
        if name not in note:
            raise UserError(f"{folder.state} lacks {name!r}: it was not written by this version of kshot; train again")
    load_into(state.method, split_prefix(tensors, "method."), str(folder.state))
    restore_optimizer(state.optimizer, split_prefix(tensors, "optimizer."))
    device = next(state.method.parameters()).device
    state.best = {k: t.to(device) for k, t in split_prefix(tensors, "best.").items()}
    window = {k: t.to(device) for k, t in split_prefix(tensors, "window.").items()}
    state.window.restore(window, int(str(note["window_start"])))
    for name in PROGRESS:
        setattr(state.progress, name, note[name])
    state.finished, state.reason = bool(note["finished"]), str(note["reason"])
    changed = [f"{k} {note.get(k)} became {v}" for k, v in machine().items() if note.get(k) != v]
    if changed and not state.finished:
        warnings.warn(
            f"the run goes on with other rounding than it began ({', '.join(changed)}): its weights will not be bit by "
            f"bit those of an undisturbed run",
            stacklevel=2,
        )
    return True
