"""What the methods that compare embeddings share: one encoder, and a score from support features to query features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..tasks import Tasks
from .base import Method, as_input, query_loss

PIXELS = 48 * 784  # of the pictures that a processor embeds at once without gradients: more only miss its cache


@dataclass(frozen=True)
class Embedded:
    """The embedded support set: features [T, S, D], labels [T, S], and N."""

    features: Tensor
    ys: Tensor
    way: int


class MetricMethod(Method):
    """An encoder f and a score of queries against the support set.

    In training, support and query pass through the encoder together, as in the published codes, so that its batch norm
    sees one batch; in evaluation batch norm uses its running statistics, and no query sees another.
    """

    default_backbone = "conv4"

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def embed(self, x: Tensor) -> Tensor:
        """f of every input: [T, P, ...] -> [T, P, D]."""
        flat, dtype = x.flatten(0, 1), next(self.parameters()).dtype
        whole = self.training or torch.is_grad_enabled() or x.is_cuda or torch.compiler.is_compiling()
        pieces = [flat] if whole else flat.split(max(1, PIXELS // math.prod(x.shape[3:])))
        features = [self.backbone(as_input(piece, dtype)) for piece in pieces]
        return torch.cat(features).unflatten(0, x.shape[:2])

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """Logits [T, Q, N] of query features [T, Q, D]."""
        raise NotImplementedError

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Embedded:
        """Embed the support set."""
        return Embedded(self.embed(xs), ys, way)

    def predict(self, state: Embedded, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """Logits [T, Q, N] of the queries."""
        return self.score(state, self.embed(xq))

    def represent(self, state: Any, x: Tensor) -> Tensor:
        """f(x)."""
        return self.embed(x)

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the queries, support and query encoded in one pass."""
        xs, xq = tasks.xs, tasks.xq
        S = xs.shape[1]
        features = self.embed(torch.cat([xs, xq], 1))  # [T, S+Q, D]
        support = Embedded(features[:, :S], tasks.ys, tasks.way)
        return query_loss(self.score(support, features[:, S:]), tasks.yq)
