"""Similarity matrix: how alike a method finds every query of a task and every support example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...tasks.convert import as_bytes
from ..figures import INK, brief, explain, look
from ..score import evaluating
from .document import Document, LeftOut
from .subject import Asked, Subject
from .task import is_ink, small, thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURED = 20  # examples, up to which each is shown above its column


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """Values [Q, S], queries and examples sorted by class, and the answers."""
    [subject] = subjects
    index, tasks, p = subject.shown_task(asked)
    method, here = subject.method, tasks.to(asked.device)
    with evaluating(method):
        found = method.similarity(method.adapt(here.xs, here.ys, here.way), here.xs, here.xq)
    if found is None:
        raise LeftOut(f"{subject.title} does not compare queries with examples")
    rows, columns = (y[0].argsort(stable=True) for y in (tasks.yq, tasks.ys))
    values = found.values[0].cpu().float()[rows][:, columns]  # [Q, S]
    document: Document = {
        "title": f"{subject.name} ({subject.title}): similarity of queries and examples",
        "note": subject.note(subject.pictured, asked, f"task {index}", "ring: most alike; cross: wrong answer"),
        "of": found.of,
        "names": subject.names_of(tasks.classes[0]),
        "values": [[round(v, 6) for v in row] for row in values.tolist()],
        "query_labels": tasks.yq[0][rows].tolist(),
        "example_labels": tasks.ys[0][columns].tolist(),
        "answers": p.argmax(-1)[rows].tolist(),
    }
    if tasks.xs.ndim == 5:
        document |= {"ink": is_ink(as_bytes(tasks.xs)), "pictures": small(as_bytes(tasks.xs[0][columns])).numpy()}
    return document


def draw(document: Document) -> Figure:
    """Dark is alike; lines part the classes."""
    from matplotlib.figure import Figure

    values = np.array(document["values"])  # [Q, S]
    yq, ys = document["query_labels"], document["example_labels"]
    Q, S = values.shape
    with look():
        figure = Figure(figsize=(min(10.0, 4.4 + 0.42 * S), min(12.0, max(3.8, 2.0 + 0.11 * Q))), layout="constrained")
        ax = figure.subplots()
        image = ax.imshow(values, cmap="Greys", aspect="auto", interpolation="nearest")
        bar = figure.colorbar(image, ax=ax, shrink=0.8, pad=0.06)
        bar.set_label(document["of"])
        best, names = values.argmax(1), document["names"]
        middle = (values.min() + values.max()) / 2
        for q in range(Q):
            edge = "white" if values[q, best[q]] > middle else INK
            ax.plot(best[q], q, "o", markersize=3.2, markerfacecolor="none", markeredgecolor=edge, markeredgewidth=0.9)
        for q in (q for q in range(Q) if document["answers"][q] != yq[q]):
            ax.plot(1.02, q, "x", transform=ax.get_yaxis_transform(), color=INK, markersize=4, clip_on=False)
        for ticks, labels, line in ((ax.set_xticks, ys, ax.axvline), (ax.set_yticks, yq, ax.axhline)):
            places = class_places(labels)
            short = [f"{n + 1} {brief(names[n])}" for n in places]
            ticks([(a + b - 1) / 2 for a, b in places.values()], short, fontsize=8)
            for _, b in list(places.values())[:-1]:
                line(b - 0.5, color=INK, linewidth=0.8)
        if "pictures" in document and S <= PICTURED:
            above(ax, document["pictures"], document["ink"])
        slant(ax)
        ax.set_xlabel("support examples by class")
        ax.set_ylabel("queries by class")
        explain(figure, document["title"], document["note"])
        return figure


def above(ax: Axes, pictures: np.ndarray, ink: bool) -> None:
    """A row of pictures above the columns of a matrix."""
    strip = ax.inset_axes((0, 1.01, 1, 0.1))
    strip.axis("off")
    strip.set(xlim=(-0.5, len(pictures) - 0.5), ylim=(-0.5, 0.5))
    thumbnails(strip, pictures, ink, [(n, 0.0) for n in range(len(pictures))])


def class_places(labels: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Where each class of sorted labels begins and ends: {label: (first, behind the last)}."""
    y = torch.tensor(labels)
    return {int(n): (int((y < n).sum()), int((y <= n).sum())) for n in y.unique()}


def slant(ax: Axes) -> None:
    """Names below the axis at an angle, so that they do not run into each other."""
    for label in ax.get_xticklabels():
        label.set(rotation=40, ha="right", rotation_mode="anchor")
