"""The measures since the last log, kept as tensors so that the training need not wait for the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from . import distributed


class Diverged(RuntimeError):
    """The loss or the weights became NaN or infinite."""


class Window:
    """Measures of the steps start+1, start+2, ...: one list of scalars for each name."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.values: dict[str, list[Tensor]] = {}

    def add(self, measures: Mapping[str, Tensor]) -> None:
        """One more step."""
        for name, value in measures.items():
            self.values.setdefault(name, []).append(value.detach())

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint: each name's values [n]."""
        return {name: torch.stack(list(values)) for name, values in self.values.items()}

    def restore(self, tensors: Mapping[str, Tensor], start: int) -> None:
        """From a checkpoint."""
        self.start = start
        self.values = {name: list(stored.unbind()) for name, stored in tensors.items()}

    def means(self) -> dict[str, float]:
        """Mean of each measure over the steps and the processes; accuracy in percent. Waits for the device."""
        stacked = {name: distributed.mean(t.double()) for name, t in self.tensors().items()}
        means = {name: float(t.mean()) for name, t in sorted(stacked.items())}
        return {name: value * 100 if name == "accuracy" else value for name, value in means.items()}

    def first_bad(self, average: Callable[[Tensor], Tensor] = lambda t: t) -> tuple[int, float] | None:
        """The first step whose loss is not finite, and that loss. Waits for the device.

        Args:
            average: over the processes, where all of them are here.
        """
        if not self.values.get("loss"):
            return None
        loss = average(torch.stack(self.values["loss"]).double())
        bad = (~loss.isfinite()).nonzero()
        return None if len(bad) == 0 else (self.start + 1 + int(bad[0, 0]), float(loss[bad[0, 0]]))


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no number is NaN or infinite. Waits for the device."""
    floating = [t for t in tensors if t.is_floating_point() and t.numel()]
    return not floating or bool(torch.stack([t.isfinite().all() for t in floating]).all())
