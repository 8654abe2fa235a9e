"""The learning curve of a run folder."""

from __future__ import annotations

import io
import json
from pathlib import Path

from ..evaluation.figures import Curve, learning_curves, look
from ..evaluation.files import write_whole
from ..training.folder import RunFolder

FIGURE = Path("figures") / "learning.svg"


def curve(run: Path, measure: str, *, x: str = "step", scale: float = 1.0) -> Curve:
    """A measure of metrics.jsonl over the steps or, with x="seconds" and a scale, over the time."""
    xs, ys = [], []
    for line in RunFolder(run).metrics.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row.get(measure) is not None:
            xs.append(row[x] * scale)
            ys.append(row[measure])
    return Curve(xs, ys)


def draw_learning(run: Path) -> Path | None:
    """Write the learning curve of a run into its folder; None if nothing was logged yet."""
    for measure, title in (("accuracy", "accuracy (%)"), ("mse", "mean squared error")):
        found = {"training tasks": curve(run, measure), "validation tasks": curve(run, f"val_{measure}")}
        found = {name: c for name, c in found.items() if c.x}
        if not found:
            continue
        figure = learning_curves(found, x="step", y=title)
        stream = io.BytesIO()
        with look():
            figure.savefig(stream, format="svg", facecolor="white", metadata={"Date": None})
        path = run / FIGURE
        path.parent.mkdir(exist_ok=True)
        write_whole(path, stream.getvalue())
        return path
    return None
