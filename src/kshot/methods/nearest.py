"""Nearest neighbour on raw inputs: the floor that every learner must beat."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ..functional.distances import cosine, squared_euclidean
from ..functional.hausdorff import ink_points, modified_hausdorff
from ..functional.prototypes import nearest_scores
from .base import About, Method, Similarity, as_input
from .metric import Embedded


class Nearest(Method):
    """One nearest neighbour on raw pixels; no training.

    Args:
        metric: Euclidean distance or cosine similarity of the pixels.
    """

    about: ClassVar[About] = About(
        title="nearest neighbour (pixels)",
        source="Cover & Hart 1967",
        idea="a query has the label of the support example whose raw pixels are nearest",
        meta_trained=False,
        on_features=True,
    )

    def __init__(self, *, metric: Literal["euclidean", "cosine"] = "euclidean") -> None:
        super().__init__()
        self.metric = metric

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Embedded:
        """Keep the support set."""
        return Embedded(as_input(xs).flatten(2), ys, way)

    def predict(self, state: Embedded, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """The negative squared distance to the nearest example of each class (or the largest cosine): [T, Q, N]."""
        return nearest_scores(self.compare(state, xq), state.ys, state.way)

    def compare(self, state: Embedded, xq: Tensor) -> Tensor:
        """Of every query and every example: [T, Q, S]."""
        query = as_input(xq).flatten(2)  # [T, Q, D]
        return cosine(query, state.features) if self.metric == "cosine" else -squared_euclidean(query, state.features)

    def represent(self, state: Any, x: Tensor) -> Tensor:
        """The pixels."""
        return as_input(x).flatten(2)

    def similarity(self, state: Any, xs: Tensor, xq: Tensor) -> Similarity:
        """By the metric that it classifies with."""
        words = {"cosine": "cosine", "euclidean": "negative squared distance"}[self.metric]
        return Similarity(self.compare(state, xq), f"{words} of the pixels")


class Hausdorff(Method):
    """One nearest neighbour under the modified Hausdorff distance of the ink; no training.

    Args:
        threshold: how dark a pixel must be to count as ink, 0..1.
    """

    about: ClassVar[About] = About(
        title="nearest neighbour (modified Hausdorff)",
        source="Dubuisson & Jain 1994; baseline of Lake et al. 2015",
        idea="a query has the label of the support drawing whose ink lies nearest, point by point",
        meta_trained=False,
        no_graph="it compares points of ink, whose number differs from picture to picture",
    )

    def __init__(self, *, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def points(self, x: Tensor) -> list[list[Tensor]]:
        """The ink of every drawing [T, P, C, H, W], in pixels relative to its centre."""
        grey = as_input(x).mean(2)  # [T, P, H, W]
        return [[ink_points(picture, self.threshold) for picture in task] for task in grey]

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> tuple[list[list[Tensor]], Tensor, int]:
        """Keep the ink of the support set."""
        return self.points(xs), ys, way

    def predict(
        self, state: tuple[list[list[Tensor]], Tensor, int], xq: Tensor, *, transductive: bool = False
    ) -> Tensor:
        """The negative distance to the nearest drawing of each class, in pixels: [T, Q, N]."""
        support, ys, way = state
        return nearest_scores(-self.distances(support, xq), ys, way)

    def distances(self, support: list[list[Tensor]], xq: Tensor) -> Tensor:
        """Of every query and every drawing, in pixels: [T, Q, S]."""
        return torch.stack(
            [
                torch.stack([torch.stack([modified_hausdorff(q, s) for s in ss]) for q in qs])
                for qs, ss in zip(self.points(xq), support)
            ]
        )

    def similarity(self, state: Any, xs: Tensor, xq: Tensor) -> Similarity:
        """The negative distance of the drawings."""
        return Similarity(-self.distances(state[0], xq), "negative Hausdorff distance (pixels)")
