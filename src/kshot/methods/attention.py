"""The black box: a transformer over (x, y) pairs, after SNAIL (Mishra, Rohaninejad, Chen & Abbeel, ICLR 2018) and the
in-context learners of Kirsch, Harrison, Sohl-Dickstein & Metz, 2022.

The training set and the test inputs go in, predictions come out; learning a task is one forward pass:

    s_i = P f(x_i) + e(y_i),   q = P f(x) + e(?)                    (tokens)
    s <- s + Attention(s; s),  q <- q + Attention(q; s)             (in every layer, each followed by an MLP)
    P(y | x, S) = softmax(V q)

Every token attends to the support set and to nothing else: no query sees another. Which label stands for which class is
drawn anew in every task, so that labels can only be learned from the support set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import feature_size
from ..backbones.init import initialise
from ..errors import UserError
from .base import About, check_way
from .metric import Embedded, MetricMethod

SHARPNESS = 10.0  # what the cosines of queries and keys are multiplied with at the start


@dataclass(frozen=True)
class Context:
    """The support set as every layer sees it: tokens [T, S, W] for each layer."""

    layers: tuple[Tensor, ...]


class Layer(nn.Module):
    """Attention to the support set, then an MLP, each on normalised tokens and added to them (pre-norm).

    Queries and keys have unit length (Henry et al. 2020), and each head its own sharpness. Keys start as the queries'
    projection: attention begins by similarity, and training does not have to find that first.
    """

    def __init__(self, width: int, heads: int, seed: int) -> None:
        super().__init__()
        self.norm, self.norm_mlp = (nn.LayerNorm(width, device="meta") for _ in range(2))
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, device="meta") for _ in range(4))
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width, device="meta"), nn.GELU(), nn.Linear(2 * width, width, device="meta")
        )
        initialise(self, seed)
        self.key.load_state_dict(self.query.state_dict())
        self.sharpness = nn.Parameter(torch.full((heads, 1, 1), SHARPNESS))

    def forward(self, tokens: Tensor, support: Tensor) -> Tensor:
        """Tokens [T, P, W] after attending to the support tokens [T, S, W]."""
        s = self.norm(support)
        q, k, v = (self.split(t) for t in (self.query(self.norm(tokens)), self.key(s), self.value(s)))  # [T, H, P, W/H]
        q, k = self.sharpness * F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        found = F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).flatten(2)  # [T, P, W]
        tokens = tokens + self.out(found)
        return tokens + self.mlp(self.norm_mlp(tokens))

    def split(self, t: Tensor) -> Tensor:
        """[T, P, W] -> [T, H, P, W / H]."""
        return t.unflatten(-1, (len(self.sharpness), -1)).transpose(1, 2)


class Attention(MetricMethod):
    """In-context transformer: an encoder, tokens of feature and label, and layers that attend to the support set.

    Args:
        width: size of a token.
        layers: number of layers.
        heads: attention heads of a layer.
    """

    about: ClassVar[About] = About(
        title="attention over examples",
        source="after Mishra et al., ICLR 2018 (SNAIL), and Kirsch et al. 2022",
        idea="a transformer reads the examples with their labels and then the queries, and names them",
        fixed_way=True,
        label_symmetric=False,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int = 5,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__(backbone)
        if width % heads:
            raise UserError(f"width must be a multiple of heads; got width {width} and {heads} heads")
        self.way = way
        self.project = nn.Linear(feature_size(backbone, input_shape), width, device="meta")
        self.labels = nn.Linear(way + 1, width, bias=False, device="meta")  # the last is "unknown"
        self.layers = nn.ModuleList(Layer(width, heads, seed + 10 + i) for i in range(layers))
        self.norm = nn.LayerNorm(width, device="meta")
        self.head = nn.Linear(width, way, device="meta")
        for number, part in enumerate((self.project, self.labels, self.norm, self.head), 1):
            initialise(part, seed + number)

    def tokens(self, features: Tensor, ys: Tensor) -> Tensor:
        """Tokens [T, P, W] of features [T, P, D] with labels [T, P]."""
        label = F.one_hot(ys, self.way + 1).to(features.dtype)
        return self.project(features) + self.labels(label)

    def read(self, support: Embedded) -> Context:
        """The support set, layer by layer."""
        check_way(self, self.way, support.way)
        s, seen = self.tokens(support.features, support.ys), []
        for layer in self.layers:
            seen.append(s)
            s = layer(s, s)
        return Context(tuple(seen))

    def answer(self, context: Context, features: Tensor) -> Tensor:
        """Logits [T, Q, N] of query features [T, Q, D]."""
        q = self.tokens(features, torch.full(features.shape[:2], self.way, device=features.device))
        for layer, support in zip(self.layers, context.layers):
            q = layer(q, support)
        return self.head(self.norm(q))

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """Logits [T, Q, N]."""
        return self.answer(self.read(support), features)

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Any:
        """Read the support set: a Context."""
        return self.read(super().adapt(xs, ys, way))

    def predict(self, state: Any, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """Logits [T, Q, N] of the queries."""
        return self.answer(state, self.embed(xq))
