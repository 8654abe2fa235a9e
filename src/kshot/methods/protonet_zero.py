"""Zero-shot prototypical networks: Snell, Swersky & Zemel, NIPS 2017, section 2.7.

No example of a class is seen, only a description v_n of it (attributes, the words of its name). A network of its own
embeds it beside that of the pictures, and the result is the prototype, of unit length; the query is not normalised:

    c_n = g(v_n) / |g(v_n)|
    p(y = n | x) = softmax_n(-|f(x) - c_n|^2)                       (eq. 2)
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import feature_size
from ..backbones.init import linear_layer
from ..functional.distances import squared_euclidean
from ..functional.prototypes import class_means
from .base import About, Method, Similarity, as_input
from .metric import Embedded, MetricMethod


class ProtoNetZero(MetricMethod):
    """Prototypical network that learns a class from its description.

    Args:
        description_units: units of a hidden layer of g, with ReLU; 0 makes g the paper's linear map.
        unit_length: whether prototypes have unit length (the paper's); without, they are g(v) as it is.
    """

    about: ClassVar[About] = About(
        title="zero-shot prototypical network",
        source="Snell, Swersky & Zemel, NIPS 2017, section 2.7",
        idea="a class is its description, embedded as a prototype of unit length; a query belongs to the nearest",
        support="descriptions",
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        attributes: tuple[str, ...],
        description_units: int = 0,
        unit_length: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(backbone)
        D, A, H = feature_size(backbone, input_shape), len(attributes), description_units
        self.describe: nn.Module = linear_layer(A, D, seed + 1)
        if H:
            self.describe = nn.Sequential(linear_layer(A, H, seed + 1), nn.ReLU(), linear_layer(H, D, seed + 2))
        self.unit_length = unit_length

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Embedded:
        """Prototypes [T, N, D] of descriptions xs [T, S, A]; of several of one class, the direction of their mean."""
        embedded = self.describe(as_input(xs, next(self.describe.parameters()).dtype))  # [T, S, D]
        prototypes = class_means(embedded, ys, way)
        if self.unit_length:
            prototypes = F.normalize(prototypes, dim=-1)
        return Embedded(prototypes, ys, way)

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """-|f(x) - c_n|^2: [T, Q, N]."""
        return -squared_euclidean(features, support.features)

    def similarity(self, state: Any, xs: Tensor, xq: Tensor) -> Similarity:
        """A query and the prototype of a class; there are no support pictures."""
        return Similarity(self.score(state, self.embed(xq)), "negative squared distance to the prototype")

    meta_loss = Method.meta_loss  # descriptions and pictures have networks of their own: nothing to encode in one pass
