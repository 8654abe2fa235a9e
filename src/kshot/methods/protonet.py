"""Prototypical networks: Snell, Swersky & Zemel, NIPS 2017.

A class is the mean of its embedded examples, and a query belongs to the nearest mean:

    c_n = (1/K) sum_{(x, y) in S_n} f(x)                            (eq. 1)
    p(y = n | x) = softmax_n(-d(f(x), c_n))                         (eq. 2)
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..functional.distances import cosine, squared_euclidean
from ..functional.prototypes import class_means
from .base import About, Similarity
from .metric import Embedded, MetricMethod

SMALLEST = 1e-12  # squared distance below which two points are one


class ProtoNet(MetricMethod):
    """Prototypical network.

    Args:
        distance: euclidean (squared, the paper's choice), unsquared (the Euclidean distance itself, which needs fewer
            steps on Omniglot) or cosine.
        scale: what the negative distance (or the cosine) is multiplied with before the softmax; the paper's is 1.
            0 takes 1 for the distances and 10 for the cosine, whose softmax is otherwise too flat to learn from.
        learn_scale: whether training changes the scale.
    """

    about: ClassVar[About] = About(
        title="prototypical network",
        source="Snell, Swersky & Zemel, NIPS 2017, eq. 1 and 2",
        idea="a class is the mean of its embedded examples; a query belongs to the nearest mean",
        on_features=True,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        distance: Literal["euclidean", "unsquared", "cosine"] = "euclidean",
        scale: float = 0.0,
        learn_scale: bool = False,
    ) -> None:
        super().__init__(backbone)
        self.distance = distance
        start = scale or (10.0 if distance == "cosine" else 1.0)
        self.log_scale = nn.Parameter(torch.tensor(math.log(start)), requires_grad=learn_scale)

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """-scale * d(f(x), c_n), or scale * cos(f(x), c_n)."""
        prototypes = class_means(support.features, support.ys, support.way)  # [T, N, D]
        return self.log_scale.exp() * self.near(features, prototypes)

    def near(self, a: Tensor, b: Tensor) -> Tensor:
        """-d(a, b) or cos(a, b) of a [T, Q, D] and b [T, N, D]: [T, Q, N]."""
        if self.distance == "cosine":
            return cosine(a, b)
        d = squared_euclidean(a, b)
        if self.distance == "unsquared":
            d = d.clamp(min=SMALLEST).sqrt()  # its gradient at zero has no direction, and is taken as zero
        return -d

    def similarity(self, state: Any, xs: Tensor, xq: Tensor) -> Similarity:
        """By the distance that it classifies with."""
        words = {"euclidean": "negative squared distance", "unsquared": "negative distance", "cosine": "cosine"}
        return Similarity(self.near(self.embed(xq), self.embed(xs)), f"{words[self.distance]} of the features")
