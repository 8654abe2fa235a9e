"""The measure against way and shot: what more classes cost and more examples bring."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...tasks import TaskSource
from ..evaluate import evaluate
from ..figures import SOFT, Curve, draw_curves, explain, look, panels
from .document import Document, LeftOut, numbers
from .learning import WORDS
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAYS, SHOTS = (5, 10, 20), (1, 2, 3, 5, 10)
POINTS = (1, 2, 3, 5, 10, 20)  # of a curve
TIMES = 20  # between the largest and the smallest error, from which on the axis is logarithmic


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """Mean and interval of every way and shot that methods and data allow, on the same tasks for every method."""
    first = subjects[0]
    if first.source.spec.support == "descriptions":
        raise LeftOut("classes are learned from descriptions: there are no shots")
    cells: list[dict[str, Any]] = []
    for way in ways(subjects, asked):
        for shot in asked.shots or (POINTS if first.regression else SHOTS):
            for subject in subjects:
                source = counted(subject, way, shot, asked)
                if source is None:
                    continue
                report = evaluate(
                    subject.method,
                    source,
                    episodes=asked.episodes,
                    transductive=subject.sees_together(asked),
                    progress=False,
                    device=asked.device,
                )
                cells.append(
                    {"name": subject.name, "way": way, "shot": shot, "value": report.value, "ci95": report.ci95}
                )
    if not cells:
        raise LeftOut("the classes have too few examples for any shot, or the tasks are fixed")
    one = len(subjects) == 1
    queries = f"{first.source.query} {'further points' if first.regression else 'queries a class'}"
    what = f"mean and 95 % interval of {asked.episodes} tasks, {queries}"
    return {
        "title": f"{f'{first.name} ({first.title})' if one else 'Runs side by side'}: {WORDS[first.source.measure]} by "
        + ("number of points" if first.regression else "way and shot"),
        "note": first.note(first.source, asked, what, modes={s.sees_together(asked) for s in subjects}, counts=False),
        "measure": first.source.measure,
        "cells": cells,
    }


def ways(subjects: Sequence[Subject], asked: Asked) -> tuple[int, ...]:
    """Those that were asked for, or that every method can do."""
    first = subjects[0]
    if first.regression:
        return (0,)
    if asked.ways:
        return asked.ways
    fixed = [s for s in subjects if s.method.about.fixed_way]
    return (int(getattr(fixed[0].method, "way", first.source.spec.way)),) if fixed else WAYS


def counted(subject: Subject, way: int, shot: int, asked: Asked) -> TaskSource | None:
    """The tasks of this way and shot; None if the data have too few classes or examples for both."""
    if asked.ways:
        subject.source.recounted(way=way)  # what the user names must be there
    if asked.shots:
        subject.source.recounted(shot=shot)
    with suppress(UserError):
        return subject.source.recounted(way=way or None, shot=shot)
    return None


def draw(document: Document) -> Figure:
    """One run: a line for each way. Several: a panel for each way with a line for each run."""
    cells, accuracy = document["cells"], document["measure"] == "accuracy"
    names, all_ways = (list(dict.fromkeys(c[k] for c in cells)) for k in ("name", "way"))
    together = len(names) == 1
    with look():
        columns = 1 if together else len(all_ways)
        figure, axes = panels(columns, max(6.4, 3.6 * columns + 0.6), 3.8, sharey=True)
        groups = [all_ways] if together else [[w] for w in all_ways]
        for ax, shown in zip(axes, groups):
            if not accuracy and wide([c["value"] for c in cells]):
                ax.set_yscale("log")
            curves = {}
            for way in shown:
                for name in names:
                    mine = [c for c in cells if c["name"] == name and c["way"] == way]
                    label = (f"{way}-way" if accuracy else "") if together else name
                    x = [c["shot"] for c in mine]
                    curves[label] = Curve(x, *(numbers([c[k] for c in mine]) for k in ("value", "ci95")))
            draw_curves(ax, curves, markers=True, legend=False)
            if not together and accuracy:
                ax.set_title(f"{shown[0]}-way")
            _axes(ax, cells, shown, accuracy)
            if accuracy or not together:
                ax.legend(fontsize=9)
        axes[0].set_ylabel(WORDS[document["measure"]])
        explain(figure, document["title"], document["note"])
        return figure


def wide(values: Sequence[float | None]) -> bool:
    """Whether errors differ so much that only a logarithmic axis shows them all."""
    found = [v for v in values if v is not None and v > 0]
    return bool(found) and max(found) / min(found) > TIMES


def _axes(ax: Axes, cells: Sequence[dict[str, Any]], shown: Sequence[int], accuracy: bool) -> None:
    """Scales, ticks, and what guessing gives."""
    shots = sorted({c["shot"] for c in cells})
    ax.set_xscale("log")
    ax.set_xticks(shots, [str(s) for s in shots])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("examples of each class (shot)" if accuracy else "examples of a curve (points)")
    ax.grid(axis="y", alpha=0.25)
    if accuracy:
        for way in shown:
            label = "guessing (100 / way)" if way == shown[0] else None
            ax.axhline(100 / way, color=SOFT, linewidth=0.9, linestyle=(0, (1, 2)), label=label)
