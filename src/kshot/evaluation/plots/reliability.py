"""Reliability: how often predictions are right, by how sure the method is of them; with and without its temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...functional.calibration import confidence
from ...functional.calibration import reliability as by_confidence
from ..calibration import pooled
from ..figures import INK, Curve, draw_curves, explain, look, panels, style
from ..measures import correct
from .document import Document, LeftOut
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 20  # predictions that a bin needs for its frequency to be drawn


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """Bins of confidence of all queries of some tasks: without temperature and, if the run has one, with it."""
    [subject] = subjects
    if subject.regression:
        raise LeftOut("the tasks are curves, not classes")
    source, method, together = subject.source, subject.method, subject.sees_together(asked)
    episodes = range(min(asked.episodes, len(source)))
    logits, labels = pooled(method.to(asked.device), source, episodes, transductive=together, device=asked.device)
    right, series = correct(logits, labels), []
    for T in dict.fromkeys((1.0, subject.temperature)):
        found = by_confidence(confidence(logits, T), right)
        series.append({"temperature": T, "ece": found.ece, "bins": [list(row) for row in found.rows()]})
    return {
        "title": f"{subject.name} ({subject.title}): how often it is right by how sure it is",
        "note": subject.note(source, asked, f"{len(episodes)} tasks, {len(labels)} predictions"),
        "series": series,
    }


def draw(document: Document) -> Figure:
    """Left, the part that is right by confidence, beside the diagonal; right, how many predictions are how sure."""
    curves, shares = {}, {}
    for one in document["series"]:
        bins = one["bins"]
        kept = [(100 * sure, 100 * right) for n, sure, right in bins if n >= LEAST]
        name = "without temperature" if one["temperature"] == 1 else f"temperature {one['temperature']:.3g}"
        curves[f"{name}: error {one['ece']:.1f} %"] = Curve([x for x, _ in kept], [y for _, y in kept])
        shares[name] = [100 * n / max(1, sum(n for n, _, _ in bins)) for n, _, _ in bins]
    with look():
        figure, [left, right] = panels(2, 8.6, 4.0)
        left.plot([0, 100], [0, 100], color=INK, linewidth=0.9, linestyle=(0, (1, 2)), label="as sure as it should be")
        draw_curves(left, curves, markers=True, legend=False)
        left.legend(loc="upper left", fontsize=9)
        left.set_xlim(0, 100)
        left.set_ylim(0, 100)
        left.set_aspect("equal")
        left.set_xlabel("probability of the answer (%)")
        left.set_ylabel(f"right (%), of bins of {LEAST} or more")
        left.grid(alpha=0.25)
        for i, share in enumerate(shares.values()):
            edges = [100 * b / len(share) for b in range(len(share) + 1)]
            right.stairs(share, edges, **{"linewidth": 1.8, **style(i)})
        right.set_xlim(0, 100)
        right.set_ylim(0)
        right.set_xlabel("probability of the answer (%)")
        right.set_ylabel("predictions (%)")
        explain(figure, document["title"], document["note"])
        return figure
