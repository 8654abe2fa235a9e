"""The figure and the table of a gradient anatomy. Readable in black and white (see figures.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..functional.anatomy import SYSTEMS, Form
from .anatomy import TITLES, Anatomy, Row
from .figures import COLOURS, INK, MARKERS, STYLES, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORM_TITLES: dict[Form, str] = {"distinct": "k distinct batches", "same": "n steps on one batch"}
HEAD = ("batches", "method", "k", "A", "αB", "αC", "unexplained", "order, small α", "order, all α")


def cells(anatomy: Anatomy) -> list[list[str]]:
    """One line for each row: coefficients as "measured (predicted)"."""
    return [
        [
            FORM_TITLES[row.form],
            TITLES[row.system],
            str(row.k),
            *(f"{m + 0.0:.4f} ({p:g})" for m, p in zip(row.measured, row.predicted)),
            f"{row.unexplained:.1e}" if row.unexplained else "0",
            *("exact" if math.isnan(x) else f"{x:.2f}" for x in (row.order_small, row.order)),
        ]
        for row in anatomy.rows
    ]


def markdown(anatomy: Anatomy) -> str:
    """The table for a page."""
    lines = [list(HEAD), ["---"] * len(HEAD), *cells(anatomy)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def anatomy_figure(anatomy: Anatomy) -> Figure:
    """Residuals over alpha, and the measured coefficients on the lines of the theory."""
    from matplotlib.figure import Figure

    with look():
        figure = Figure(figsize=(10.2, 3.5), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        most = max(row.k for row in anatomy.rows)
        _residuals(left, [r for r in anatomy.rows if r.form == "distinct" and r.k == most], anatomy.alphas)
        left.set_title(f"residual / |A|, {most} distinct batches")
        for ax, form in ((middle, "distinct"), (right, "same")):
            _coefficients(ax, [row for row in anatomy.rows if row.form == form])
        middle.set_title("coefficient of αB, k distinct batches")
        right.set_title("of αB (Reptile: of αC), n steps on one")
        middle.set_xlabel("k")
        right.set_xlabel("n")
        return figure


def _residuals(ax: Axes, rows: Sequence[Row], alphas: Sequence[float]) -> None:
    for row in rows:
        i = SYSTEMS.index(row.system)
        points = [(a, r) for a, r in zip(alphas, row.residuals) if r > 0]
        x, y = [p[0] for p in points], [p[1] for p in points]
        ax.loglog(x, y, label=TITLES[row.system], color=COLOURS[i], linestyle=STYLES[i], marker=MARKERS[i],
                  markersize=5)  # fmt: skip
    end = max((r.residuals[-1] for r in rows), default=1.0) * 3
    ax.loglog(alphas, [end * (a / alphas[-1]) ** 2 for a in alphas], color=INK, linewidth=0.8, label="slope 2")
    ax.set_xlabel("α")
    ax.grid(alpha=0.25)
    ax.legend(fontsize=8)


def _coefficients(ax: Axes, rows: Sequence[Row]) -> None:
    for i, system in enumerate(SYSTEMS):
        own = [row for row in rows if row.system == system]
        part = 2 if own and own[0].form == "same" and system == "reptile" else 1
        k = [row.k for row in own]
        ax.plot(k, [r.predicted[part] for r in own], color=COLOURS[i], linestyle=STYLES[i], linewidth=1.2)
        ax.plot(k, [r.measured[part] for r in own], MARKERS[i], color=COLOURS[i], markersize=6, label=TITLES[system])
    ax.plot([], [], color=INK, linewidth=1.2, label="lines: theory")
    ax.set_xticks(sorted({row.k for row in rows}))
    ax.grid(alpha=0.25)
    ax.legend(fontsize=8)
