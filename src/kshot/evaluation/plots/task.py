"""One task as pictures: the examples of each class, and what became of the queries; mistakes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...data.resize import area_resize
from ...tasks.convert import as_bytes
from ..figures import INK, brief, explain, look, panels
from .document import Document, LeftOut
from .subject import FEW, LOOKED_AT, MANY, Asked, Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES, QUERIES, CLASSES = 3, 8, 10  # the most that are drawn
THUMB = 32  # pixels of a small picture at the most
PAPER = 0.3  # more zeros than this share are paper: photographs have hardly any
GAP, LINE = 0.22, 0.42  # between tiles, and for the line of text below each, in sides of a tile


@dataclass(frozen=True)
class TaskPicture:
    """One task and what a method made of it.

    Attributes:
        xs, ys: support pictures uint8 [S, C, H, W] and labels [S]; of tasks with descriptions none.
        xq, yq: queries uint8 [Q, C, H, W] and labels [Q].
        probabilities: [Q, N].
        names: what the labels stand for.
    """

    xs: Tensor
    ys: Tensor
    xq: Tensor
    yq: Tensor
    probabilities: Tensor
    names: Sequence[str]

    @property
    def ink(self) -> bool:
        """Whether the pictures are drawings, whose ink is high and whose paper is zero."""
        return is_ink(self.xq)

    @property
    def mistakes(self) -> int:
        """How many queries got a wrong label."""
        return int((self.probabilities.argmax(-1) != self.yq).sum())


def picture(subject: Subject, asked: Asked) -> tuple[int, TaskPicture]:
    """The task that is shown, and its number."""
    index, tasks, p = subject.shown_task(asked)
    if tasks.xq.ndim != 5:
        raise LeftOut("the examples are vectors, not pictures")
    described = subject.source.spec.support == "descriptions"
    xs, ys = (tasks.xq[0, :0], tasks.ys[0, :0]) if described else (tasks.xs[0], tasks.ys[0])
    names = subject.names_of(tasks.classes[0])
    return index, TaskPicture(as_bytes(xs), ys, as_bytes(tasks.xq[0]), tasks.yq[0], p, names)


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """The task, and why it was chosen."""
    [subject] = subjects
    index, shown = picture(subject, asked)
    total, few = len(shown.yq), FEW <= shown.mistakes <= MANY
    why = f", the first with {FEW} to {MANY} mistakes" if few else f", one of the first {LOOKED_AT}"
    which = f"task {index}{why if asked.task is None else ''}"
    return {
        "title": f"{subject.name} ({subject.title}): {total - shown.mistakes} of {total} queries right",
        "note": subject.note(subject.pictured, asked, which, "under each query: the answer"),
        "names": list(shown.names),
        "ink": shown.ink,
        "support": shown.xs.numpy(),
        "support_labels": shown.ys.numpy(),
        "queries": shown.xq.numpy(),
        "query_labels": shown.yq.numpy(),
        "probabilities": shown.probabilities.numpy(),
    }


def mistakes_first(labels: Tensor, predicted: Tensor, label: int) -> list[int]:
    """The queries of a class, those with a wrong answer first."""
    mine = (labels == label).nonzero().flatten().tolist()
    return sorted(mine, key=lambda q: bool(predicted[q] == label))


def draw(document: Document) -> Figure:
    """A row for each class: its examples in heavy frames, then queries; a mistake has a double frame and says why."""
    ys, yq = (torch.from_numpy(document[k]) for k in ("support_labels", "query_labels"))
    p = torch.from_numpy(document["probabilities"])
    predicted, names, ink = p.argmax(-1), document["names"][:CLASSES], document["ink"]
    examples = min(EXAMPLES, max((int((ys == n).sum()) for n in range(len(names))), default=0))
    columns = min(QUERIES, max(int((yq == n).sum()) for n in range(len(names))))
    width = examples * (1 + GAP) + bool(examples) * 2 * GAP + columns * (1 + GAP)
    height = 1 + LINE + GAP
    with look():
        figure, [ax] = panels(1, 2.2 + 0.62 * width, 0.9 + 0.62 * height * len(names))
        for n, name in enumerate(names):
            top = n * height
            ax.text(-GAP, top + 0.5, f"{n + 1}  {brief(name, 22)}", ha="right", va="center", fontsize=9)
            for i, s in enumerate((ys == n).nonzero().flatten().tolist()[:examples]):
                tile(ax, looked_at(document["support"][s], ink), i * (1 + GAP), top, kind="example")
            first = examples * (1 + GAP) + bool(examples) * 2 * GAP
            for i, q in enumerate(mistakes_first(yq, predicted, n)[:columns]):
                right, left = int(predicted[q]) == n, first + i * (1 + GAP)
                tile(ax, looked_at(document["queries"][q], ink), left, top, kind="right" if right else "wrong")
                answer = ("✓" if right else f"✗ {int(predicted[q]) + 1}:") + f" {100 * p[q].max():.0f} %"
                bold = "normal" if right else "bold"
                ax.text(left + 0.5, top + 1.06, answer, ha="center", va="top", fontsize=7, fontweight=bold)
        ax.text(0, -0.15, "examples" if examples else "", fontsize=9, va="bottom")
        ax.text(examples * (1 + GAP) + bool(examples) * 2 * GAP, -0.15, "queries", fontsize=9, va="bottom")
        ax.set_xlim(-0.08, width)
        ax.set_ylim(len(names) * height, -0.5)
        ax.set_aspect("equal")
        ax.axis("off")
        explain(figure, document["title"], document["note"])
        return figure


def tile(ax: Axes, seen: np.ndarray, left: float, top: float, kind: str = "", side: float = 1.0) -> None:
    """A picture as it is looked at, in a frame: heavy for an example, double for a mistake."""
    from matplotlib.patches import Rectangle

    box = (left, left + side, top + side, top)
    ax.imshow(seen, extent=box, cmap="gray", vmin=0, vmax=255, interpolation="none", zorder=2)
    frames = {"example": [(0.0, 2.0)], "wrong": [(0.0, 2.4), (0.07, 0.9)]}.get(kind, [(0.0, 0.6)])
    for inside, width in frames:
        at, length = inside * side, (1 - 2 * inside) * side
        edge = INK if kind in ("example", "wrong") else "#aaaaaa"
        frame = Rectangle((left + at, top + at), length, length, fill=False, edgecolor=edge, linewidth=width, zorder=3)
        ax.add_patch(frame)


def is_ink(pictures: Tensor) -> bool:
    """Whether uint8 pictures [..., C, H, W] are drawings with high ink: grey, and much of them is empty paper."""
    return pictures.shape[-3] == 1 and float((pictures == 0).float().mean()) > PAPER


def looked_at(pixels: np.ndarray, ink: bool) -> np.ndarray:
    """A picture [C, H, W] as it is looked at: [H, W] with dark ink on white, or [H, W, 3]."""
    if len(pixels) == 1:
        return 255 - pixels[0] if ink else pixels[0]
    return pixels[:3].transpose(1, 2, 0)


def small(pictures: Tensor) -> Tensor:
    """Pictures uint8 [N, C, H, W] with sides of at most THUMB pixels."""
    side = min(THUMB, *pictures.shape[-2:])
    return area_resize(pictures, side, side) if max(pictures.shape[-2:]) > THUMB else pictures


def thumbnails(ax: Axes, pictures: np.ndarray, ink: bool, places: Sequence[tuple[float, float]]) -> None:
    """Pictures [N, C, H, W] of most of a cell's size, at places (x, y) of the axes; they may lie outside."""
    for pixels, (x, y) in zip(pictures, places):
        part = ax.inset_axes((x - 0.4, y - 0.4, 0.8, 0.8), transform=ax.transData)
        part.imshow(looked_at(pixels, ink), cmap="gray", vmin=0, vmax=255, interpolation="none")
        part.set(xticks=[], yticks=[])
        for spine in part.spines.values():
            spine.set(visible=True, linewidth=0.5, color="#aaaaaa")
