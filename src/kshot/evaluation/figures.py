"""How figures look and how they are written: readable in black and white, the same bytes each time.

Every series differs in colour (Okabe & Ito's palette, which colour-blind people can tell apart), line style and marker.
Figures are plain matplotlib `Figure` objects, made without pyplot: `figure.savefig("x.png")` works anywhere.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import UserError
from .files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010101"  # text and axes; a page may replace it by its own text colour
SOFT = "#595959"  # what is said beside a figure
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
FORMATS = ("svg", "png", "pdf")
DPI = 160
TITLE, NOTE = 11.5, 16.0  # letters of the text above and below a figure in an inch
_NOTHING_OF_TODAY: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
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


def rendered(figure: Figure, form: str, name: str, *, background: str = "white") -> bytes:
    """The figure as a file of that form ("svg", "png", "pdf"): the same bytes whenever it is drawn.

    Args:
        name: of the figure, from which the names inside an SVG are made.
        background: its colour, or "none".
    """
    import matplotlib

    if form not in FORMATS:
        raise UserError(f"a figure is written as {', '.join(FORMATS)}; got {form!r}")
    stream = io.BytesIO()
    with look(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(stream, format=form, facecolor=background, dpi=DPI, metadata=_NOTHING_OF_TODAY[form])
    return stream.getvalue()


def write_figure(figure: Figure, folder: Path, name: str, forms: Sequence[str] = ("svg", "png")) -> list[Path]:
    """Write the figure as folder/name.svg, .png, ..., each whole or not at all; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{form}" for form in forms]
    for path, form in zip(paths, forms):
        write_whole(path, rendered(figure, form, name))
    return paths


@dataclass(frozen=True)
class Curve:
    """One line of a chart: points (x, y), with y +- spread as a band when there is one."""

    x: Sequence[float] | Tensor
    y: Sequence[float] | Tensor
    spread: Sequence[float] | Tensor | None = None


def style(i: int) -> dict[str, Any]:
    """Colour and line style of the i-th series."""
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)]}


def dot(i: int) -> dict[str, Any]:
    """Marker and colour of the i-th group of points: sixty that differ, neighbours in both."""
    return {"marker": MARKERS[i % len(MARKERS)], "color": COLOURS[(i + i // len(MARKERS)) % len(COLOURS)]}


def panels(columns: int, width: float, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of that size in inches, with axes side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, **options)
    return figure, list(axes[0])


def explain(figure: Figure, title: str = "", note: str = "") -> None:
    """What the figure shows, above it, and of which tasks, below it; in as many lines as the width needs."""
    width = figure.get_figwidth()
    if title:
        text = textwrap.fill(title, int(TITLE * width))
        figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")
    if note:
        figure.supxlabel(textwrap.fill(note, int(NOTE * width)), x=0.01, ha="left", fontsize=8, color=SOFT)


def brief(name: str, most: int = 18) -> str:
    """A class name in so many letters: the end of a long one, which is what tells it from its like."""
    words = (name.capitalize() if name.isupper() else name).split(" ")
    while len(words) > 1 and len(" ".join(words)) > most:
        words = ["…" + words[1], *words[2:]]
    short = " ".join(words)
    return short if len(short) <= most else short[: most - 1] + "…"


def draw_curves(ax: Axes, curves: Mapping[str, Curve], *, markers: bool = False, legend: bool = True) -> None:
    """The curves with their names, each in its own colour, line style and (with few points) marker."""
    for i, (name, curve) in enumerate(curves.items()):
        marker: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "markersize": 5} if markers else {}
        ax.plot(curve.x, curve.y, label=name, **style(i), **marker)
        if curve.spread is not None:
            low = [y - s for y, s in zip(curve.y, curve.spread)]
            high = [y + s for y, s in zip(curve.y, curve.spread)]
            ax.fill_between(curve.x, low, high, color=COLOURS[i % len(COLOURS)], alpha=0.15, linewidth=0)
            for edge in (low, high):
                seen = [y if y > 0 else math.nan for y in edge] if ax.get_yscale() == "log" else edge
                ax.plot(curve.x, seen, **style(i) | {"linewidth": 0.6, "alpha": 0.7})
    if legend:
        ax.legend()
