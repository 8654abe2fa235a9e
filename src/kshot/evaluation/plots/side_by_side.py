"""Methods side by side: means with intervals, and the differences on the same tasks, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..compare import compare
from ..figures import COLOURS, INK, MARKERS, SOFT, explain, look
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
        figure = Figure(figsize=(9.2, 1.7 + 0.42 * rows), layout="constrained")
        left, right = figure.subplots(1, 2)
        _means(left, reports, measure)
        _differences(right, pairs, measure)
        explain(figure, document["title"], document["note"])
        return figure


def _means(ax: Axes, reports: Sequence[Mapping[str, Any]], measure: str) -> None:
    for i, r in enumerate(reports):
        [value], [half] = numbers([r[measure]]), numbers([r["ci95"]])
        ax.errorbar(value, i, xerr=half, color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)],
                    markersize=7, capsize=4, linewidth=1.6)  # fmt: skip
        ax.annotate(in_numbers(value, half, measure), (value, i), xytext=(0, 8), textcoords="offset points",
                    ha="center", fontsize=8)  # fmt: skip
    ax.set_yticks(range(len(reports)), [r["method"] + together(r, reports) for r in reports])
    ax.set_ylim(len(reports) - 0.5, -0.7)
    ax.margins(x=0.2)
    ax.set_xlabel(WORDS[measure])
    ax.set_title("means")
    ax.grid(axis="x", alpha=0.25)


def together(report: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> str:
    """How the method saw the queries, where methods differ in it (a comparison that is not quite fair)."""
    if not any(r["transductive"] for r in reports):
        return ""
    return "\n(queries together)" if report["transductive"] else "\n(one by one)"


def _differences(ax: Axes, pairs: Sequence[Mapping[str, Any]], measure: str) -> None:
    ax.axvline(0, color=INK, linewidth=0.9)
    for i, p in enumerate(pairs):
        [value], [half] = numbers([p["difference"]]), numbers([p["ci95"]])
        ax.errorbar(value, i, xerr=half, color=INK, marker="o", markersize=7, capsize=4, linewidth=1.6,
                    markerfacecolor=INK if p["better"] else "white")  # fmt: skip
        verdict = f"{p['better']} is better" if p["better"] else "no difference shown"
        words, colour = f"{in_numbers(value, half, measure, sign=True)}, {verdict}", INK if p["better"] else SOFT
        ax.annotate(words, (value, i), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=8, color=colour,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip
    ax.set_yticks(range(len(pairs)), [f"{p['a']} − {p['b']}" for p in pairs])
    ax.set_ylim(len(pairs) - 0.5, -0.7)
    ax.margins(x=0.35)
    ax.set_xlabel(f"difference ({'percentage points' if measure == 'accuracy' else WORDS[measure]})")
    ax.set_title("differences on the same tasks")
    ax.grid(axis="x", alpha=0.25)


def in_numbers(value: float, half: float, measure: str, *, sign: bool = False) -> str:
    """A mean and its interval."""
    digits = 1 if measure == "accuracy" else 3
    return f"{value:{'+' if sign else ''}.{digits}f} ± {half:.{digits}f}"
