"""Figures of runs. Each has two functions: one measures the numbers, the other draws what was stored of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import (
    adaptation,
    confusion,
    embedding,
    fits,
    gates,
    learning,
    memory,
    reliability,
    side_by_side,
    similarity,
    task,
    way_shot,
)
from .document import Document, LeftOut
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PLOTS", "Asked", "Document", "LeftOut", "Plot", "Subject"]


@dataclass(frozen=True)
class Plot:
    """A figure.

    Attributes:
        what: it shows, in one line.
        gather: the numbers of some methods on some tasks; raises LeftOut where the figure makes no sense.
        draw: the figure of these numbers, as they were stored.
        alone: whether it can be of one run.
        together: whether it can be of several.
        asked: what of the user's choices its numbers depend on, beside data and tasks; see `Asked`.
        cheap: nothing is measured: the numbers are gathered anew each time.
    """

    what: str
    gather: Callable[[Sequence[Subject], Asked], Document]
    draw: Callable[[Document], Figure]
    alone: bool = True
    together: bool = False
    asked: tuple[str, ...] = ()
    cheap: bool = False


PLOTS: dict[str, Plot] = {
    "learning": Plot(
        "the measure during training: one run by step, several by time",
        learning.gather,
        learning.draw,
        together=True,
        cheap=True,
    ),
    "task": Plot(
        "one task as pictures: examples, queries, the answers and their probabilities; mistakes first",
        task.gather,
        task.draw,
        asked=("task",),
    ),
    "adaptation": Plot(
        "accuracy or error after 0, 1, 2, ... inner steps",
        adaptation.gather,
        adaptation.draw,
        together=True,
        asked=("episodes", "steps"),
    ),
    "confusion": Plot(
        "which class is taken for which, over many draws of examples of the same classes",
        confusion.gather,
        confusion.draw,
        asked=("episodes", "task"),
    ),
    "reliability": Plot(
        "how often predictions are right by how sure the method is, with its temperature and without",
        reliability.gather,
        reliability.draw,
        asked=("episodes",),
    ),
    "similarity": Plot(
        "how alike the method finds every query of a task and every example",
        similarity.gather,
        similarity.draw,
        asked=("task",),
    ),
    "embedding": Plot(
        "the features of a task in the plane: principal components and t-SNE",
        embedding.gather,
        embedding.draw,
        asked=("task",),
    ),
    "way-shot": Plot(
        "accuracy against way and shot, or error against the number of points",
        way_shot.gather,
        way_shot.draw,
        together=True,
        asked=("episodes", "ways", "shots"),
    ),
    "compare": Plot(
        "methods side by side with intervals, and their paired differences",
        side_by_side.gather,
        side_by_side.draw,
        alone=False,
        together=True,
        asked=("episodes",),
    ),
    "fits": Plot(
        "what methods make of a curve from a few points: one by step, several together",
        fits.gather,
        fits.draw,
        together=True,
        asked=("curves", "steps"),
    ),
    "memory": Plot(
        "where a memory is written and read, example by example (mann)",
        memory.gather,
        memory.draw,
        asked=("task",),
    ),
    "gates": Plot(
        "gates of a learned update rule by step (lstm-meta-learner)",
        gates.gather,
        gates.draw,
        asked=("episodes",),
    ),
}
