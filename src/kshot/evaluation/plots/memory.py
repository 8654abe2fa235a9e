"""Where a memory is written and read while a support set is played, example by example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import explain, look
from ..score import evaluating
from .document import Document, LeftOut
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 60  # examples, up to which each says its class
HEADS = 4  # that are drawn
GAMMA = 0.6  # of the shades: small weights are seen, too
FAINT = 0.1  # a row that never had this weight is not drawn
ACTIONS = {"written": "write weights", "read": "read weights"}


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """Weights [S, heads, rows] of one task, and the labels of its examples [S]."""
    [subject] = subjects
    index = asked.task or 0
    tasks = subject.source.batch([index]).to(asked.device)
    with evaluating(subject.method):
        found = subject.method.trace(tasks.xs, tasks.ys, tasks.way)
    if "read" not in found or "written" not in found:
        raise LeftOut(f"{subject.title} neither reads nor writes a memory example by example")
    weights = {name: found[name][0].cpu().float().numpy() for name in ACTIONS}
    labels = tasks.ys[0].tolist()
    share, alike = share_of_own_class(weights["written"], weights["read"], labels)
    rows = "rows in the order of their strongest write, with the class whose label came then"
    return {
        "title": f"{subject.name}: the memory of a {subject.title}",
        "note": subject.note(subject.source, asked, f"task {index}", rows, modes=()),
        "names": subject.names_of(tasks.classes[0].cpu()),
        "labels": labels,
        "share_of_own_class": share,
        "share_if_read_alike": alike,
        **{name: w.astype(np.float16) for name, w in weights.items()},
    }


def classes_of_rows(written: np.ndarray, labels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """When each row was written most, and the class whose label came at that step, or -1: both [rows].

    The label of an example comes with the next one.

    Args:
        written: [S, heads, rows].
    """
    when = written.max(1).argmax(0)
    before = np.array([-1, *labels[:-1]])
    return when, before[when]


def share_of_own_class(written: np.ndarray, read: np.ndarray, labels: Sequence[int]) -> tuple[float, float]:
    """How much of what is read lies in rows of the example's own class, and how much would if all rows were read alike.

    Means over the examples whose class has a row by then; nan where there are none. Rows that were never written with
    some weight do not count.

    Args:
        written, read: [S, heads, rows].
    """
    when, of = classes_of_rows(written, labels)
    used = written.max((0, 1)) >= FAINT
    shares = []
    for t, label in enumerate(labels):
        there = used & (when <= t)
        own = there & (of == label)
        if own.any():
            shares.append((float(read[t].mean(0)[own].sum()), own.sum() / there.sum()))
    return (
        (float(np.mean([s for s, _ in shares])), float(np.mean([a for _, a in shares]))) if shares else (math.nan,) * 2
    )


def used_rows(written: np.ndarray, read: np.ndarray) -> np.ndarray:
    """The rows that any head ever wrote or read with some weight, in the order of their strongest write.

    Args:
        written, read: [S, heads, rows].
    """
    used = np.maximum(written, read).max((0, 1)) >= FAINT  # [rows]
    order = np.argsort(written.max(1).argmax(0), kind="stable")
    return order[used[order]]


def draw(document: Document) -> Figure:
    """Above the writes, below the reads, a column for each head; dark is a large weight."""
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    arrays = {name: document[name].astype(np.float64) for name in ACTIONS}
    rows = used_rows(arrays["written"], arrays["read"])
    rows = rows if len(rows) else np.arange(1)
    S, heads = arrays["read"].shape[0], min(HEADS, arrays["read"].shape[1])
    labels = document["labels"]
    _, of = classes_of_rows(arrays["written"], labels)
    with look():
        wide = min(11.0, 2.4 + heads * max(3.4, 0.15 * S))
        figure = Figure(figsize=(wide, min(9.0, max(5.0, 2.2 + 0.22 * len(rows)))), layout="constrained")
        axes = figure.subplots(2, heads, squeeze=False, sharex=True, sharey=True)
        for (name, words), line in zip(ACTIONS.items(), axes):
            for head, ax in enumerate(line):
                shades: Any = {"cmap": "Greys", "norm": PowerNorm(GAMMA, 0, 1)}
                image = ax.imshow(arrays[name][:, head, rows].T, aspect="auto", interpolation="nearest", **shades)
                ax.set_title(words + (f", head {head + 1}" if heads > 1 else ""))
            line[0].set_ylabel("row, by the number of its class" if len(rows) <= NAMED else "row of the memory")
            if len(rows) <= NAMED:
                line[0].set_yticks(range(len(rows)), [str(of[r] + 1) if of[r] >= 0 else "–" for r in rows], fontsize=7)
        if document["share_of_own_class"] is not None:
            own, alike = (100 * document[k] for k in ("share_of_own_class", "share_if_read_alike"))
            told = f"read weights: {own:.0f} % on rows of the example's class ({alike:.0f} % if all were read alike)"
            axes[1][0].set_title(told if heads == 1 else "read weights, head 1")
        for ax in axes[-1]:
            ax.set_xlabel("example, by the number of its class" if S <= NAMED else "example")
            if S <= NAMED:
                ax.set_xticks(range(S), [str(y + 1) for y in labels], fontsize=7)
        figure.colorbar(image, ax=axes, shrink=0.7, label="weight")
        explain(figure, document["title"], document["note"])
        return figure
