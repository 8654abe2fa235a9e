"""The features of a task in the plane: principal components, and t-SNE (van der Maaten & Hinton 2008)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..figures import INK, brief, dot, explain, look, panels
from ..score import evaluating
from .document import Document, LeftOut
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 4  # points, of which a plane can say something
PERPLEXITY = 15.0  # about the number of neighbours that t-SNE keeps together; fewer with few points
EXACT = 1000  # points, up to which t-SNE is computed without approximation
NAMED = 15  # classes, up to which the legend names them


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """Both planes of the support examples and queries of one task, in that order."""
    [subject] = subjects
    index, tasks, p = subject.shown_task(asked)
    method, here = subject.method, tasks.to(asked.device)
    described = subject.source.spec.support == "descriptions"
    with evaluating(method):
        state = method.adapt(here.xs, here.ys, here.way)
        inputs = [here.xq] if described else [here.xs, here.xq]
        features = [method.represent(state, x) for x in inputs]
    if any(f is None for f in features):
        raise LeftOut(f"{subject.title} has no features of single examples")
    z = torch.cat([f[0] for f in features if f is not None]).cpu().double().numpy()  # [P, D]
    if len(z) < FEWEST or z.shape[1] < 2:
        raise LeftOut(f"{len(z)} features of {z.shape[1]} numbers are too few to be seen in a plane")
    pca, explained = principal_components(z)
    tsne, perplexity = neighbours(z)
    labels = tasks.yq[0] if described else torch.cat([tasks.ys[0], tasks.yq[0]])
    return {
        "title": f"{subject.name} ({subject.title}): {z.shape[1]} features of a task in the plane",
        "note": subject.note(
            subject.pictured, asked, f"task {index}", "large: examples; small: queries; ring: wrong answer"
        ),
        "names": subject.names_of(tasks.classes[0]),
        "labels": labels.tolist(),
        "examples": len(labels) - len(tasks.yq[0]),
        "answers": p.argmax(-1).tolist(),
        "pca": rounded(pca),
        "explained": explained,
        "tsne": rounded(tsne),
        "perplexity": perplexity,
    }


def principal_components(z: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """The first two components [P, 2] of features [P, D], and the percent of the variance that each has."""
    from sklearn.decomposition import PCA

    found = PCA(2, svd_solver="full")
    plane = found.fit_transform(z)
    return plane, [round(100 * float(r), 1) for r in np.nan_to_num(found.explained_variance_ratio_)]


def neighbours(z: np.ndarray) -> tuple[np.ndarray, float]:
    """t-SNE [P, 2] of features [P, D] from their principal components on, and its perplexity."""
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(z) - 1) / 3)
    way = "exact" if len(z) <= EXACT else "barnes_hut"
    spread = z.std()
    found = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=0, method=way)
    plane = found.fit_transform(z / spread if spread else z)  # a scale of the features changes nothing
    return plane, round(perplexity, 1)


def rounded(plane: np.ndarray) -> list[list[float]]:
    """Places as a document holds them."""
    return [[float(f"{v:.5g}") for v in row] for row in plane.tolist()]


def draw(document: Document) -> Figure:
    """Both planes side by side; a class has a marker and a colour of its own."""
    with look():
        figure, (left, right) = panels(2, 8.6, 4.3)
        _scatter(left, np.array(document["pca"]), document)
        _scatter(right, np.array(document["tsne"]), document)
        first, second = document["explained"]
        left.set_title("principal components")
        left.set_xlabel(f"first ({first:g} % of the variance)")
        left.set_ylabel(f"second ({second:g} %)")
        right.set_title(f"t-SNE, perplexity {document['perplexity']:g}")
        right.set_xticks([])
        right.set_yticks([])
        if len(document["names"]) <= NAMED:
            handles, labels = left.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside right center", fontsize=8)
        explain(figure, document["title"], document["note"])
        return figure


def _scatter(ax: Axes, places: np.ndarray, document: Document) -> None:
    labels, S = np.array(document["labels"]), document["examples"]
    answers = np.concatenate([labels[:S], document["answers"]])
    example = np.arange(len(labels)) < S
    for n, name in enumerate(document["names"]):
        mine, shape = labels == n, dot(n)
        small = {"edgecolors": "white", "linewidths": 0.5, "zorder": 3, "label": f"{n + 1} {brief(name, 22)}"}
        _points(ax, places[mine & ~example], s=30, **shape, **small)
        _points(ax, places[mine & example], s=130, **shape, edgecolors=INK, linewidths=1.8, zorder=2)
    _points(ax, places[labels != answers], s=85, facecolors="none", edgecolors=INK, linewidths=1.0, zorder=4)


def _points(ax: Axes, places: np.ndarray, **look: Any) -> None:
    """Points at places [P, 2]."""
    ax.scatter(places[:, 0], places[:, 1], **look)
