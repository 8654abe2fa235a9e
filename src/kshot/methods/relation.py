"""Relation network: Sung, Yang, Zhang, Xiang, Torr & Hospedales, CVPR 2018.

The comparison is learned too: a second network g looks at the maps of a class and of a query, laid on each other.

    r_n(x) = g([sum_{(x_i, y_i) in S_n} f(x_i), f(x)])              (eq. 1; the sum over shots: section 3.2)
    L = mean over queries and classes of (r_n(x) - 1[y = n])^2      (eq. 2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import feature_size
from ..backbones.init import initialise
from ..backbones.norm import with_batch_statistics
from ..functional.prototypes import class_means
from ..tasks import Tasks
from .base import About, Similarity, as_input, query_measures
from .metric import Embedded, MetricMethod

UNPADDED = 10  # maps of at least this side are convolved without padding (the paper's mini-ImageNet form)


class RelationModule(nn.Module):
    """g: two blocks of 3x3 convolution, batch norm, ReLU and 2x2 max-pool, then C -> hidden -> 1 units.

    Sides of one pixel (embeddings that are vectors) have 1x1 convolutions and no pooling.
    """

    def __init__(self, map_shape: tuple[int, int, int], hidden: int, difference: bool, seed: int) -> None:
        super().__init__()
        C, *sides = map_shape
        unpadded, parts = min(sides) >= UNPADDED, []
        for inputs in (2 * C, C):
            kernel = 3 if min(sides) > 1 else 1
            padding = 0 if unpadded else kernel // 2
            parts.append(nn.Conv2d(inputs, C, kernel, padding=padding, bias=False, device="meta"))
            sides = [side + 2 * padding - kernel + 1 for side in sides]
            sides = [side // 2 for side in sides] if min(sides) > 1 else sides
        self.first, self.second = parts
        self.norms = nn.ModuleList(nn.BatchNorm2d(C, device="meta") for _ in range(2))
        self.hidden = nn.Linear(C * sides[0] * sides[1], hidden, device="meta")
        self.last = nn.Linear(hidden, 1, device="meta")
        initialise(self, seed)
        nn.init.ones_(self.hidden.bias)  # as published: no unit starts dead
        if difference:
            with torch.no_grad():
                self.first.weight[:, C:] = -self.first.weight[:, :C]

    def forward(self, classes: Tensor, queries: Tensor) -> Tensor:
        """The relation of classes [T, N, C, H, W] to queries [T, Q, C, H, W], before its sigmoid: [T, Q, N].

        A convolution of maps laid on each other is the sum of one of each, so that the first needs not be done for
        every pair.
        """
        T, N, Q, C = *classes.shape[:2], *queries.shape[1:3]
        halves = self.first.weight.split(C, 1)
        a, b = (
            F.conv2d(x.flatten(0, 1), half, padding=self.first.padding).unflatten(0, x.shape[:2])
            for x, half in zip((classes, queries), halves)
        )
        y = (a[:, None] + b[:, :, None]).flatten(0, 2)  # [T*Q*N, C, H, W]
        y = self.second(shrink(F.relu(self.norms[0](y))))
        y = shrink(F.relu(self.norms[1](y))).flatten(1)
        return self.last(F.relu(self.hidden(y))).view(T, Q, N)


def shrink(y: Tensor) -> Tensor:
    """2x2 maxima, where there are so many."""
    return F.max_pool2d(y, 2) if min(y.shape[-2:]) > 1 else y


@dataclass(frozen=True)
class WithPictures(Embedded):
    """The embedded support set and its pictures [T, S, ...], which the transductive mode embeds beside the queries."""

    xs: Tensor


class Relation(MetricMethod):
    """Relation network.

    Not transductive, batch norm uses its running statistics. Transductive, it uses those of the task at hand, support
    set and queries together, in both networks: the published code did so.

    Args:
        combine: what the maps of a class with K > 1 examples are: their sum (the paper's) or their mean, which does not
            depend on K.
        hidden_units: of the relation module's last hidden layer.
        start: what the relation module's first filters see before training: the difference of the two maps, from which
            it learns to compare at once; or independent random sums of both (the paper's), which stay at the same score
            for every class for a long time.
    """

    about: ClassVar[About] = About(
        title="relation network",
        source="Sung et al., CVPR 2018, eq. 1 and 2",
        idea="a second network learns to compare the feature maps of a class and of a query",
        transductive=True,
    )
    default_backbone = "conv4-maps"

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        combine: Literal["sum", "mean"] = "sum",
        hidden_units: int = 8,
        start: Literal["difference", "independent"] = "difference",
        seed: int = 0,
    ) -> None:
        super().__init__(backbone)
        self.combine = combine
        self.map_shape = getattr(backbone, "map_shape", None) or (feature_size(backbone, input_shape), 1, 1)
        self.relation = RelationModule(self.map_shape, hidden_units, start == "difference", seed + 1)

    def class_maps(self, support: Embedded) -> Tensor:
        """The maps of each class: [T, N, C, H, W]."""
        maps = class_means(support.features, support.ys, support.way)
        if self.combine == "sum":
            maps = maps * F.one_hot(support.ys, support.way).sum(1)[..., None]
        return maps.unflatten(-1, self.map_shape)

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """The relation scores before the sigmoid; their softmax is the share of the odds."""
        return self.relation(self.class_maps(support), features.unflatten(-1, self.map_shape))

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> WithPictures:
        """Embed the support set."""
        return WithPictures(self.embed(xs), ys, way, xs)

    def predict(self, state: Embedded, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """Logits [T, Q, N] of the queries."""
        if not transductive:
            return super().predict(state, xq)
        assert isinstance(state, WithPictures)
        S, dtype = state.xs.shape[1], next(self.parameters()).dtype
        net, relation = with_batch_statistics(self.backbone), with_batch_statistics(self.relation)
        x = torch.cat([as_input(state.xs, dtype), as_input(xq, dtype)], 1)
        features = torch.vmap(net)(x)  # [T, S+Q, D]
        classes = self.class_maps(Embedded(features[:, :S], state.ys, state.way))
        queries = features[:, S:].unflatten(-1, self.map_shape)
        return torch.vmap(lambda a, b: relation(a[None], b[None])[0])(classes, queries)

    def similarity(self, state: Any, xs: Tensor, xq: Tensor) -> Similarity:
        """r of a query and each support example alone."""
        maps = [x.unflatten(-1, self.map_shape) for x in (state.features, self.embed(xq))]
        return Similarity(self.relation(*maps).sigmoid(), "relation score of query and example")

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of the relation scores to 1 for the class of a query and 0 for the others."""
        S = tasks.xs.shape[1]
        features = self.embed(torch.cat([tasks.xs, tasks.xq], 1))  # [T, S+Q, D]
        logits = self.score(Embedded(features[:, :S], tasks.ys, tasks.way), features[:, S:])
        loss = F.mse_loss(logits.sigmoid(), F.one_hot(tasks.yq, tasks.way).to(logits.dtype))
        return loss, query_measures(loss, logits, tasks.yq)
