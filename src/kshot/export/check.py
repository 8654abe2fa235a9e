"""Whether an exported file says what the model says: the largest differences, for several numbers of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ..evaluation.report import Json
from .fitted import Fitted

BATCHES = (1, 2, 7, 32)  # numbers of pictures that are tried
TOLERANCE = 1e-3  # largest difference of a probability, and of a logit relative to the largest of its row

Run = Callable[[Tensor], tuple[Tensor, ...]]  # from inputs to logits and probabilities, or to values


class ExportError(ArithmeticError):
    """An exported file does not say what the model says."""


@dataclass(frozen=True)
class Difference:
    """Of the answers of a file from those of the model, for one batch.

    Attributes:
        batch: number of inputs.
        logits: largest absolute difference of a logit (or of a value of a curve).
        relative: the same, divided by the largest absolute logit of its row, or by 1 where that is less.
        probabilities: largest absolute difference of a probability; None for curves.
        labels: inputs whose most probable class differs although its lead is more than the tolerance.
    """

    batch: int
    logits: float
    relative: float
    probabilities: float | None
    labels: int

    def as_dict(self) -> dict[str, Json]:
        """For export.json."""
        return {k: v for k, v in asdict(self).items() if k != "relative"}


def difference(fitted: Fitted, run: Run, batch: int) -> Difference:
    """On one batch of pictures.

    Raises:
        ExportError: the file answers in another shape.
    """
    x = fitted.inputs(batch)
    output, p = fitted.answer(x)
    found = run(x)
    expected = (output,) if p is None else (output, p)
    shapes, wanted = [tuple(f.shape) for f in found], [tuple(e.shape) for e in expected]
    if shapes != wanted:
        raise ExportError(f"for {batch} inputs the file answers with the shapes {shapes}; the model with {wanted}")
    apart = (found[0].double() - output).abs()
    scale = output.abs().amax(-1, keepdim=True).clamp_min(1)
    logits, relative = float(apart.max()), float((apart / scale).max())
    if p is None:
        return Difference(batch, logits, relative, None, 0)
    best = p.topk(2, -1)
    clear = best.values[:, 0] - best.values[:, 1] > TOLERANCE
    wrong = (found[1].argmax(-1) != best.indices[:, 0]) & clear
    return Difference(batch, logits, relative, float((found[1].double() - p).abs().max()), int(wrong.sum()))


def check(name: str, fitted: Fitted, run: Run) -> list[Difference]:
    """The differences for all BATCHES.

    Raises:
        ExportError: one is too large.
    """
    found = [difference(fitted, run, batch) for batch in BATCHES]
    for one in found:
        worst = max(one.relative, one.probabilities or 0.0)
        if not worst <= TOLERANCE or one.labels:  # also where it is NaN
            raise ExportError(
                f"{name} does not say what the model says: for {one.batch} inputs the outputs differ by up to "
                f"{one.logits:.2g} (of the largest by {one.relative:.2g}), the probabilities by up to "
                f"{one.probabilities or 0:.2g}, and {one.labels} clear labels are others; at most {TOLERANCE:g} is "
                f"accepted. Nothing was written. Please report it, with the versions of torch and onnxruntime"
            )
    return found


def as_tensors(outputs: object) -> tuple[Tensor, ...]:
    """What a runtime returns, as tensors."""
    return tuple(torch.as_tensor(o) for o in outputs)  # type: ignore[attr-defined]
