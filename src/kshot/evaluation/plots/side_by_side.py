"""Methods side by side: means with intervals, and the differences on the same tasks, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..compare import compare
from ..figures import COLOURS, INK, MARKERS, explain, look
from .document import Document, numbers
from .learning import WORDS
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """The paired comparison, as `kshot compare` makes it."""
    found = compare(
        {s.name: s.method for s in subjects},
        {s.name: s.source for s in subjects},
        episodes=asked.episodes,
        transductive=asked.transductive,
        device=asked.device,
    )
    first, subject = found.reports[0], subjects[0]
    asked_of = [] if subject.regression else [f"{subject.source.query} queries a class"]
    modes = {r.transductive for r in found.reports}
    return {
        "title": f"{len(subjects)} methods on the same {first.episodes} tasks",
        "note": subject.note(subject.source, asked, *asked_of, "lines: 95 % intervals", modes=modes),
        **found.as_dict(),
    }


def draw(document: Document) -> Figure:
    """Left the means; right the differences, filled where the interval excludes zero."""
    from matplotlib.figure import Figure

    reports, pairs = document["reports"], document["differences"]
    measure = reports[0]["measure"]
    rows = max(len(reports), len(pairs))
    with look():
        figure = Figure(figsize=(10.0, 1.7 + 0.45 * rows), layout="constrained")
        left, right = figure.subplots(1, 2)
        _means(left, reports, measure)
        _differences(right, pairs, measure)
        explain(figure, document["title"], document["note"])
        return figure


def _means(ax: Axes, reports: Sequence[Mapping[str, Any]], measure: str) -> None:
    values, halves = (numbers([r[k] for r in reports]) for k in (measure, "ci95"))
    for i, (value, half) in enumerate(zip(values, halves)):
        ax.errorbar(value, i, xerr=half, color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)],
                    markersize=7, capsize=4, linewidth=1.6)  # fmt: skip
    names = [r["method"] + together(r, reports) for r in reports]
    _rows(ax, [f"{n}\n{in_numbers(v, h, measure)}" for n, v, h in zip(names, values, halves)])
    ax.margins(x=0.15)
    ax.set_xlabel(WORDS[measure])
    ax.set_title("means")


def together(report: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> str:
    """How the method saw the queries, where methods differ in it (a comparison that is not quite fair)."""
    if not any(r["transductive"] for r in reports):
        return ""
    return " (queries together)" if report["transductive"] else " (one by one)"


def _differences(ax: Axes, pairs: Sequence[Mapping[str, Any]], measure: str) -> None:
    ax.axvline(0, color=INK, linewidth=0.9)
    values, halves = (numbers([p[k] for p in pairs]) for k in ("difference", "ci95"))
    labels = []
    for i, (pair, value, half) in enumerate(zip(pairs, values, halves)):
        ax.errorbar(value, i, xerr=half, color=INK, marker="o", markersize=7, capsize=4, linewidth=1.6,
                    markerfacecolor=INK if pair["better"] else "white")  # fmt: skip
        verdict = f"{pair['better']} is better" if pair["better"] else "no difference shown"
        told = in_numbers(value, half, measure, sign=True)
        labels.append(f"{pair['a']} − {pair['b']}\n{told}, {verdict}")
    _rows(ax, labels)
    ax.margins(x=0.15)
    ax.set_xlabel(f"difference ({'percentage points' if measure == 'accuracy' else WORDS[measure]})")
    ax.set_title("differences on the same tasks")


def _rows(ax: Axes, labels: Sequence[str]) -> None:
    """One row for each label, from above."""
    ax.set_yticks(range(len(labels)), labels, fontsize=9)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.25)


def in_numbers(value: float, half: float, measure: str, *, sign: bool = False) -> str:
    """A mean and its interval."""
    digits = 1 if measure == "accuracy" else 3
    return f"{value:{'+' if sign else ''}.{digits}f} ± {half:.{digits}f}"
