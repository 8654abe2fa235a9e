"""Matching networks, simple embedding: Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra, NIPS 2016.

A query attends to the support set and takes over its labels in proportion:

    a(x, x_i) = softmax_i(c(f(x), g(x_i)))                          (section 2.1.1)
    P(y | x, S) = sum_i a(x, x_i) y_i                               (eq. 1)
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..functional.distances import cosine, squared_euclidean
from ..functional.prototypes import attention_log_probs
from .base import About, Similarity
from .metric import Embedded, MetricMethod


class Matching(MetricMethod):
    """Matching network with f = g.

    Args:
        similarity: cosine (the paper's), or the negative squared Euclidean distance.
        temperature: what the similarity is multiplied with before the softmax. The paper has none (1), and then the
            softmax of cosines cannot exceed e / (e + (N - 1) / e): 0.65 for 5 ways, 0.28 for 20.
            0 takes 10 for the cosine and 1 for the distance.
        learn_temperature: whether training changes the temperature.
    """

    about: ClassVar[About] = About(
        title="matching network",
        source="Vinyals et al., NIPS 2016, eq. 1 and section 2.1.1",
        idea="a query attends to the embedded support set and takes over its labels",
        on_features=True,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        similarity: Literal["cosine", "euclidean"] = "cosine",
        temperature: float = 0.0,
        learn_temperature: bool = True,
    ) -> None:
        super().__init__(backbone)
        self.similar_by = similarity
        start = temperature or (10.0 if similarity == "cosine" else 1.0)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(start)), requires_grad=learn_temperature)

    def compare(self, support: Embedded, features: Tensor) -> Tensor:
        """c(f(x), g(x_i)), [T, Q, S]."""
        if self.similar_by == "cosine":
            return cosine(features, support.features)
        return -squared_euclidean(features, support.features)

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """log P(y | x, S)."""
        alike = self.log_temperature.exp() * self.compare(support, features)
        return attention_log_probs(alike, support.ys, support.way)

    def similarity(self, state: Any, xs: Tensor, xq: Tensor) -> Similarity:
        """c, by which a query attends to the support set."""
        words = {"cosine": "cosine", "euclidean": "negative squared distance"}[self.similar_by]
        return Similarity(self.compare(state, self.embed(xq)), f"{words} of the features")
