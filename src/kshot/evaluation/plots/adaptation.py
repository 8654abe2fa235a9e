"""Adaptation curves: the measure after 0, 1, 2, ... inner steps on the support set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...functional.intervals import mean_interval
from ...methods.base import Method
from ...tasks import TaskSource
from ..figures import INK, draw_curves, explain, look, panels
from ..measures import measure_by_name
from ..score import chunks, evaluating
from .document import Document, LeftOut
from .learning import WORDS, as_curves
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_STEPS = 10
TICKS = 20  # steps, up to which each has a tick and points are marked


def by_step(
    method: Method,
    source: TaskSource,
    steps: int,
    tasks: Sequence[int],
    *,
    transductive: bool = False,
    device: str = "cpu",
) -> Tensor:
    """The measure of each task after 0, 1, ... inner steps: float64 [steps + 1, T].

    Args:
        method: one that learns by steps (MAML and its kin, pre-training).
        source: of the tasks.
        steps: the largest number of inner steps.
        tasks: their indices.
        transductive: whether the queries of a task are seen together.
    """
    measured, found = measure_by_name(source.measure).function, []
    with evaluating(method.to(device)):
        for piece in chunks(source, tasks, device=device):
            t = source.batch(piece).to(device)
            output = method.predict_steps(t.xs, t.ys, t.xq, t.way, steps, transductive=transductive)
            if output is None:
                raise LeftOut(f"{method.about.title} does not learn a task by steps")
            found.append(torch.stack([measured(o, t.yq) for o in output]).cpu())
    return torch.cat(found, 1)


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """Every method that learns by steps; where a method can see queries together, both ways."""
    curves: dict[str, Tensor] = {}
    marks: dict[str, int] = {}
    unable = ""
    for subject in subjects:
        able, trained = subject.method.about.transductive and not subject.regression, ""
        steps = asked.steps if asked.steps is not None else max(LEAST_STEPS, getattr(subject.method, "eval_steps", 0))
        for together in (False, True) if able else (False,):
            mode = ["queries together" if together else "queries one by one"] if able else []
            name = ", ".join(([subject.name] if len(subjects) > 1 or not mode else []) + mode)
            try:
                values = by_step(
                    subject.method,
                    subject.source,
                    steps,
                    range(min(asked.episodes, len(subject.source))),
                    transductive=together,
                    device=asked.device,
                )
            except LeftOut as reason:
                unable = str(reason)
                break
            curves[name], trained = values, subject.name
        if trained and hasattr(subject.method, "inner_steps"):
            marks[trained] = int(subject.method.inner_steps)  # type: ignore[arg-type]
    if not curves:
        raise LeftOut(unable)
    one = len(subjects) == 1
    source = subjects[0].source
    tasks = f"mean and 95 % interval of {asked.episodes} tasks"
    what = f"{WORDS[source.measure]} by inner step"
    return {
        "title": f"{subjects[0].name} ({subjects[0].title}): {what}" if one else f"Runs side by side: {what}",
        "note": subjects[0].note(source, asked, tasks, modes={"together" in name for name in curves}),
        "y": WORDS[source.measure],
        "trained": sorted(set(marks.values())) if one or len(set(marks.values())) == 1 else [],
        "curves": with_intervals(curves),
    }


def with_intervals(values: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Means and half-widths of 95 % intervals by step, of values [steps + 1, T] by name."""
    found = []
    for name, v in values.items():
        intervals = [mean_interval(row) for row in v.double()]
        means, halves = [m for m, _ in intervals], [h for _, h in intervals]
        found.append({"name": name, "x": list(range(len(v))), "y": means, "spread": halves})
    return found


def draw(document: Document) -> Figure:
    """Lines with bands; a dotted line where training stops."""
    curves = as_curves(document["curves"])
    most = max(int(c.x[-1]) for c in curves.values())
    with look():
        figure, [ax] = panels(1, 6.4, 3.6)
        draw_curves(ax, curves, markers=most <= TICKS, legend=False)
        for steps in document.get("trained", []):
            ax.axvline(steps, color=INK, linewidth=0.9, linestyle=(0, (1, 2)), label="steps in training")
        ax.legend()
        ax.set_xlabel("gradient steps on the support set")
        if most <= TICKS:
            ax.set_xticks(range(most + 1))
        ax.set_ylabel(document["y"])
        ax.grid(axis="y", alpha=0.25)
        explain(figure, document.get("title", ""), document.get("note", ""))
        return figure
