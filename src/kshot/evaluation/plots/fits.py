"""What methods make of a curve from a few of its points: by step, or several methods together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...tasks import Tasks
from ..figures import INK, Curve, draw_curves, explain, look, panels
from ..score import evaluating
from .adaptation import LEAST_STEPS
from .document import Document, LeftOut
from .learning import as_curves, as_dict
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 200  # at which a fit is drawn
STEPS = (0, 1, 5, 10)  # after which one is drawn
SIGMAS = 2  # half-width of a band in standard deviations


@dataclass(frozen=True)
class Fitted:
    """One panel: a curve, the examples of it, and fits.

    Attributes:
        title: above it.
        x, y: the true curve, [P].
        points: support inputs and targets, [S, 2].
        fits: by name.
    """

    title: str
    x: Tensor
    y: Tensor
    points: Tensor
    fits: dict[str, Curve]

    def as_dict(self) -> dict[str, Any]:
        """As documents hold it."""
        return {
            "title": self.title,
            "x": self.x.tolist(),
            "y": self.y.tolist(),
            "points": self.points.tolist(),
            "fits": [as_dict(name, curve) for name, curve in self.fits.items()],
        }


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """One method: its fits by step, if it learns by steps. Several: all together. Curves side by side."""
    first = subjects[0]
    if not first.regression:
        raise LeftOut("the tasks are classes, not curves")
    tasks = sorted_queries(first.source.recounted(query=POINTS).batch(range(asked.curves)))
    if len(subjects) == 1:
        fits = by_step(first, tasks, asked)
        bands = any(c.spread is not None for c in fits[0].values())
    else:
        each = [by_step(s, tasks, asked, last=True) for s in subjects]
        fits = [{n: c for f in each for n, c in f[t].items()} for t in range(asked.curves)]
        bands = any(c.spread is not None for c in fits[0].values())
    what = [f"{SIGMAS} standard deviations as a band"] if bands else []
    found = [panel(f"curve {t}", tasks, t, fits[t]) for t in range(asked.curves)]
    one = f"{first.name} ({first.title}): fits of new curves"
    return {
        "title": one if len(subjects) == 1 else "Fits of the same curves",
        "note": first.note(first.source, asked, *what),
        "panels": [one.as_dict() for one in found],
    }


def by_step(subject: Subject, tasks: Tasks, asked: Asked, *, last: bool = False) -> list[dict[str, Curve]]:
    """The fits of each task: after some steps, or the method's prediction alone."""
    method, here = subject.method.to(asked.device), tasks.to(asked.device)
    x = tasks.xq[..., 0]  # [T, P]
    with evaluating(method):
        most = asked.steps if asked.steps is not None else max(LEAST_STEPS, getattr(method, "eval_steps", 0))
        path = None if last else method.predict_steps(here.xs, here.ys, here.xq, 0, most)
        if path is not None:
            steps = sorted({s for s in STEPS if s <= most} | {most})
            lines = path[steps, ..., 0].cpu()  # [len(steps), T, P]
            return [{named(s): Curve(x[t], line[t]) for s, line in zip(steps, lines)} for t in range(len(tasks))]
        state = method.adapt(here.xs, here.ys, 0)
        sure = method.distribution(state, here.xq)
        mu = (method.predict(state, here.xq) if sure is None else sure[0])[..., 0].cpu()
        sigma = None if sure is None else SIGMAS * sure[1][..., 0].cpu()
    return [{subject.name: Curve(x[t], mu[t], None if sigma is None else sigma[t])} for t in range(len(tasks))]


def named(steps: int) -> str:
    """ "1 step", "5 steps"."""
    return f"{steps} step{'s' * (steps != 1)}"


def sorted_queries(tasks: Tasks) -> Tasks:
    """The tasks with queries in the order of x."""
    order = tasks.xq[..., 0].argsort(1)[..., None]  # [T, P, 1]
    return tasks.with_queries(tasks.xq.gather(1, order), tasks.yq.gather(1, order))


def panel(title: str, tasks: Tasks, t: int, fits: dict[str, Curve]) -> Fitted:
    """Curve t of the tasks, and fits of it."""
    points = torch.stack([tasks.xs[t, :, 0], tasks.ys[t, :, 0]], -1)  # [S, 2]
    return Fitted(title, tasks.xq[t, :, 0], tasks.yq[t, :, 0], points, fits)


def draw(document: Document) -> Figure:
    """Grey is the truth, dots are the examples."""
    found = document["panels"]
    with look():
        figure, axes = panels(len(found), 3.0 * len(found) + 1.4, 3.4, sharey=True)
        for ax, one in zip(axes, found):
            ax.plot(one["x"], one["y"], color=INK, linewidth=5, alpha=0.22, label="true curve", solid_capstyle="round")
            draw_curves(ax, as_curves(one["fits"]), legend=False)
            ax.plot(*zip(*one["points"]), "o", color=INK, markersize=6, label="examples")
            ax.set_title(one["title"])
            ax.set_xlabel("x")
        axes[0].set_ylabel("y")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", fontsize=9)
        explain(figure, document.get("title", ""), document.get("note", ""))
        return figure
