"""Learning curves: how the measure changed during the training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..figures import Curve, draw_curves, explain, look, panels
from .document import Document, LeftOut, numbers
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORDS = {"accuracy": "accuracy (%)", "mse": "mean squared error"}
CROWDED = 60  # points, from which on they are not marked


def read_curve(metrics: Path, measure: str, *, x: str = "step", scale: float = 1.0) -> Curve:
    """A measure of a metrics.jsonl over the steps or, with x="seconds" and a scale, over the time.

    Validations have the half-width of their 95 % interval as spread.
    """
    xs, ys, spread = list[float](), list[float](), list[float]()
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []:
        row = json.loads(line)
        if row.get(measure) is not None:
            xs.append(row[x] * scale)
            ys.append(row[measure])
            spread += [row["val_ci95"]] if measure.startswith("val_") and row.get("val_ci95") is not None else []
    return Curve(xs, ys, spread if len(spread) == len(xs) else None)


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """Training and validation of one run over the steps, or the validations of several over the time."""
    trained = subjects[0].trained if len(subjects) == 1 else ""
    return of_metrics({s.name: s.metrics for s in subjects if s.metrics is not None}, trained)


def of_metrics(metrics: Mapping[str, Path], trained: str = "") -> Document:
    """The same from the metrics.jsonl of each run, by its name; `trained` says on which tasks."""
    for measure, y in WORDS.items():
        if len(metrics) == 1:
            ((name, path),) = metrics.items()
            kinds = {"training tasks": measure, "validation tasks": f"val_{measure}"}
            found = {words: read_curve(path, key) for words, key in kinds.items()}
            title, x = f"{name}: {y} during training", "step"
        else:
            found = {n: _validations(path, measure) for n, path in metrics.items()}
            title, x = f"Runs side by side: {y} during training", "minutes of training"
        found = {n: c for n, c in found.items() if len(c.x)}
        if found:
            bands = any(c.spread is not None for c in found.values())
            note = "; ".join(part for part in (trained, "bands: 95 % intervals of the validations" * bands) if part)
            curves = [as_dict(n, c) for n, c in found.items()]
            return {"title": title, "note": note, "x": x, "y": y, "curves": curves}
    raise LeftOut("nothing was logged: there is no training")


def _validations(path: Path, measure: str) -> Curve:
    """Over minutes; where there was no validation, of the training tasks."""
    curve = read_curve(path, f"val_{measure}", x="seconds", scale=1 / 60)
    return curve if len(curve.x) else read_curve(path, measure, x="seconds", scale=1 / 60)


def as_dict(name: str, curve: Curve) -> dict[str, Any]:
    """A curve as documents hold it."""
    spread = None if curve.spread is None else [float(s) for s in curve.spread]
    return {"name": name, "x": [float(v) for v in curve.x], "y": [float(v) for v in curve.y], "spread": spread}


def as_curves(curves: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    """Curves from a document."""
    return {
        c["name"]: Curve(c["x"], numbers(c["y"]), None if c["spread"] is None else numbers(c["spread"])) for c in curves
    }


def draw(document: Document) -> Figure:
    """One line for each kind of tasks, or for each run."""
    curves = as_curves(document["curves"])
    with look():
        figure, [ax] = panels(1, 6.4, 3.6)
        draw_curves(ax, curves, markers=max(len(c.x) for c in curves.values()) <= CROWDED)
        ax.set_xlabel(document["x"])
        ax.set_ylabel(document["y"])
        ax.grid(axis="y", alpha=0.25)
        explain(figure, document.get("title", ""), document.get("note", ""))
        return figure
