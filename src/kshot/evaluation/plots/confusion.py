"""Confusion: some classes, told apart again and again from new examples; which of them is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...errors import UserError
from ...methods.base import Method
from ...tasks import TaskSource
from ...tasks.convert import as_bytes
from ..figures import INK, brief, explain, look
from ..score import chunks, evaluating, predictions
from .document import Document, LeftOut
from .similarity import slant
from .subject import Asked, Subject
from .task import is_ink, small, thumbnails

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAY = 10  # classes that are told apart, where the method and the data allow so many
NUMBERED = 20  # classes, up to which every cell says its percent


def count(
    method: Method,
    source: TaskSource,
    classes: Tensor,
    tasks: Sequence[int],
    *,
    transductive: bool = False,
    device: str = "cpu",
) -> Tensor:
    """How often a query of the i-th class was taken for the j-th: int64 [N, N], over tasks of these classes [N]."""
    N = len(classes)
    place = {int(c): i for i, c in enumerate(classes)}
    counts = torch.zeros(N, N, dtype=torch.int64)
    with evaluating(method.to(device)):
        for piece in chunks(source, tasks, device=device):
            t = source.batch(piece).to(device)
            predicted = predictions(method, t, transductive).argmax(-1).cpu()  # [T, Q]
            where = torch.tensor([[place[int(c)] for c in row] for row in t.classes])  # [T, N]
            pairs = where.gather(1, t.yq.cpu()) * N + where.gather(1, predicted)
            counts += torch.bincount(pairs.flatten(), minlength=N * N).view(N, N)
    return counts


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """The classes of the first task (or of the one that was named), over many draws of examples and queries."""
    [subject] = subjects
    if subject.regression:
        raise LeftOut("the tasks are curves, not classes")
    source = subject.pictured
    way = min(WAY, source.spec.num_classes or WAY)
    if not subject.method.about.fixed_way and isinstance(source.way, int) and source.way < way:
        with suppress(UserError):  # tasks within groups that are smaller
            source = source.recounted(way=way)
    try:
        fixed = source.among(source.batch([asked.task or 0]).classes[0])
    except UserError as reason:
        raise LeftOut(str(reason)) from reason
    first = fixed.batch([0])
    classes = first.classes[0]
    together = subject.sees_together(asked)
    counts = count(subject.method, fixed, classes, range(asked.episodes), transductive=together, device=asked.device)
    right = 100 * float(counts.diagonal().sum() / counts.sum())
    document: Document = {
        "title": f"{subject.name} ({subject.title}): which class is taken for which, {right:.1f} % right",
        "note": subject.note(source, asked, f"{asked.episodes} draws of examples and queries of the same classes"),
        "names": subject.names_of(classes, fixed),
        "counts": counts.tolist(),
    }
    if first.xq.ndim == 5:
        pictures = as_bytes(torch.stack([first.xq[0][first.yq[0] == n][0] for n in range(len(classes))]))
        document |= {"ink": is_ink(pictures), "pictures": small(pictures).cpu().numpy()}
    return document


def draw(document: Document) -> Figure:
    """Rows are true classes and sum to 100 %; dark is often."""
    from matplotlib.figure import Figure

    counts, names = np.array(document["counts"]), document["names"]
    N = len(names)
    percent = 100 * counts / np.maximum(1, counts.sum(1, keepdims=True))
    size = 0.5 if N <= NUMBERED else 0.28
    with look():
        figure = Figure(figsize=(2.6 + size * N, 2.3 + size * N), layout="constrained")
        ax = figure.subplots()
        ax.imshow(percent, cmap="Greys", vmin=0, vmax=100)
        for i in range(N if N <= NUMBERED else 0):
            for j in range(N):
                colour = "white" if percent[i, j] > 55 else INK
                words = f"{percent[i, j]:.0f}" if counts[i, j] else "·"
                bold = "bold" if i == j else "normal"
                ax.text(j, i, words, ha="center", va="center", color=colour, fontsize=8, fontweight=bold)
        short = [brief(name) for name in names]
        ax.set_xticks(range(N), short, fontsize=8)
        ax.set_yticks(range(N), short, fontsize=8)
        slant(ax)
        for side in ("top", "right"):
            ax.spines[side].set_visible(True)
        ax.set_xlabel("taken for")
        ax.set_ylabel("true class (rows sum to 100 %)")
        if "pictures" in document:
            ends = [*((n, -1.05) for n in range(N)), *((N + 0.05, n) for n in range(N))]
            thumbnails(ax, np.concatenate([document["pictures"]] * 2), document["ink"], ends)
        explain(figure, document["title"], document["note"])
        return figure
