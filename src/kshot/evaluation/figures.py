"""Figures of a run: learning curves, accuracy by inner step, sine fits by step. Readable in black and white.

Every series differs in colour (Okabe & Ito's palette), line style and marker. Figures are plain matplotlib `Figure`
objects, made without pyplot: `figure.savefig("x.png")` works anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..functional.intervals import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010101"  # text and axes; a page may replace it by its own text colour
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
_LOOK: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
}


@contextmanager
def look() -> Iterator[None]:
    """The style of these figures; saving one as SVG belongs inside as well (text stays text)."""
    import matplotlib

    with matplotlib.rc_context(_LOOK):
        yield


@dataclass(frozen=True)
class Curve:
    """One line of a chart: points (x, y), with y +- spread as a band when there is one."""

    x: Sequence[float] | Tensor
    y: Sequence[float] | Tensor
    spread: Sequence[float] | Tensor | None = None


def _style(i: int) -> dict[str, Any]:
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)]}


def _panels(columns: int, width: float, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, **options)
    return figure, list(axes[0])


def draw_curves(ax: Axes, curves: Mapping[str, Curve], *, markers: bool = False, legend: bool = True) -> None:
    """The curves with their names, each in its own colour, line style and (with few points) marker."""
    for i, (name, curve) in enumerate(curves.items()):
        marker: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "markersize": 5} if markers else {}
        ax.plot(curve.x, curve.y, label=name, **_style(i), **marker)
        if curve.spread is not None:
            low = [y - s for y, s in zip(curve.y, curve.spread)]
            high = [y + s for y, s in zip(curve.y, curve.spread)]
            ax.fill_between(curve.x, low, high, color=COLOURS[i % len(COLOURS)], alpha=0.18, linewidth=0)
    if legend:
        ax.legend()


def learning_curves(curves: Mapping[str, Curve], *, x: str = "minutes of training", y: str) -> Figure:
    """How a measure changed during training, one line for each run."""
    with look():
        figure, [ax] = _panels(1, 5.6, 3.1)
        draw_curves(ax, curves)
        ax.set_xlabel(x)
        ax.set_title(y)
        ax.grid(axis="y", alpha=0.25)
        return figure


def adaptation_curve(values: Mapping[str, Tensor], *, y: str = "accuracy on new tasks (%)") -> Figure:
    """A measure after 0, 1, 2, ... inner steps, with 95 % intervals.

    Args:
        values: for each method [steps + 1, T], one value for each task.
        y: what is measured.
    """
    with look():
        figure, [ax] = _panels(1, 5.6, 3.1)
        curves = {}
        for name, v in values.items():
            intervals = [mean_interval(row) for row in v.double()]
            curves[name] = Curve(range(len(v)), [m for m, _ in intervals], [h for _, h in intervals])
        draw_curves(ax, curves, markers=True)
        ax.set_xlabel("gradient steps on the support set")
        ax.set_xticks(range(max(len(v) for v in values.values())))
        ax.set_title(y)
        ax.grid(axis="y", alpha=0.25)
        return figure


@dataclass(frozen=True)
class CurveFit:
    """One regression task and its fits.

    Attributes:
        x, y: the true curve, [P].
        points: support inputs and targets, [S, 2].
        fits: the prediction after each of `steps` inner steps, [len(steps), P].
        steps: numbers of inner steps.
    """

    x: Tensor
    y: Tensor
    points: Tensor
    fits: Tensor
    steps: Sequence[int]


def sine_fits(fits: Mapping[str, CurveFit]) -> Figure:
    """Each method's fit of the same curve by step, side by side: grey is the truth, dots are the examples."""
    with look():
        figure, axes = _panels(len(fits), 3.3 * len(fits), 3.0, sharey=True)
        for ax, (name, fit) in zip(axes, fits.items()):
            ax.plot(fit.x, fit.y, color=INK, linewidth=5, alpha=0.22, label="true curve", solid_capstyle="round")
            for i, (step, line) in enumerate(zip(fit.steps, fit.fits)):
                ax.plot(fit.x, line, label=f"{step} step{'s' * (step != 1)}", **_style(i))
            ax.plot(fit.points[:, 0], fit.points[:, 1], "o", color=INK, markersize=6, label="examples")
            ax.set_title(name)
            ax.set_xlabel("x")
        axes[0].set_ylabel("y")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        return figure


@dataclass(frozen=True)
class CurveTask:
    """One regression task and what several methods make of it.

    Attributes:
        x, y: the true curve, [P].
        points: support inputs and targets, [S, 2].
        fits: by name, the prediction [P] and the half-width of its band [P], if any.
    """

    x: Tensor
    y: Tensor
    points: Tensor
    fits: Mapping[str, tuple[Tensor, Tensor | None]]


def fits_together(tasks: Sequence[CurveTask]) -> Figure:
    """All methods on each curve, curves side by side: grey is the truth, dots are the examples."""
    with look():
        figure, axes = _panels(len(tasks), 3.3 * len(tasks), 3.0, sharey=True)
        for ax, task in zip(axes, tasks):
            ax.plot(task.x, task.y, color=INK, linewidth=5, alpha=0.22, label="true curve", solid_capstyle="round")
            curves = {name: Curve(task.x, y, band) for name, (y, band) in task.fits.items()}
            draw_curves(ax, curves, legend=False)
            ax.plot(task.points[:, 0], task.points[:, 1], "o", color=INK, markersize=6, label="examples")
            ax.set_xlabel("x")
        axes[0].set_ylabel("y")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        return figure
