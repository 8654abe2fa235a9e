"""Meta networks: Munkhdalai & Yu, "Meta networks", ICML 2017.

Loss gradients tell a network how to rewrite itself. An embedding u and a base learner b have slow weights Q and W,
which training changes, and fast weights Q* and W*, which two small networks compute from gradients (Algorithm 1):

    Q*   = d(grad_Q L^emb_1, ..., grad_Q L^emb_T)                   one for the task: d is an LSTM
    W*_i = m(grad_W L(b(W, r_i), y_i)),  r_i = u(Q, Q*, x_i)        one for each support example: m is an MLP
    W*   = softmax(cos(r, r_i))^T (W*_i)                            for a query with r = u(Q, Q*, x)
    logits = b(W, W*, r)

d and m treat every coordinate alike. A layer with both kinds of weights gives phi(W h) + phi(W* h), and the last one
the sum of its logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import feature_size
from ..errors import unknown
from ..functional.coordinates import lstm_step, preprocess
from ..functional.fast_weights import (
    affine,
    augmented,
    contrastive,
    coordinatewise,
    example_gradients,
    read,
    verification_pairs,
)
from ..functional.inner import Params
from ..functional.scan import scan
from .base import About, check_way
from .metric import Embedded, MetricMethod

P = 7.0  # of the preprocessing of gradients
SMALL = 0.1  # the weights of d and m start uniform within this
NEAR = 1e-12  # squared distance below which two points are one


@dataclass(frozen=True)
class Memory:
    """What a task has written: keys R [T, S, E], values M [T, S, |W|], and Q* [T, E, D + 1]."""

    keys: Tensor
    values: Tensor
    fast: Tensor


class MetaNet(MetricMethod):
    """Meta network whose fast weights belong to the layers behind the encoder.

    The encoder has slow weights alone. Behind it, u is one layer and b a hidden and an output layer that read r (the
    alternative that Algorithm 1 names). So what a support example writes is a few thousand weights, and the tasks of a
    batch are computed together.

    Args:
        units: E, outputs of u, and units of b's hidden layer.
        meta_units: units of the LSTM d and of both layers of the MLP m (the paper's 20).
        examples: T, how many support examples (or pairs of them) Q* is computed from; the paper takes fewer than N.
        representation: the loss L^emb whose gradients d sees: classes (cross-entropy, the paper's for one example of
            each class), contrastive (on pairs, the paper's for more), or verification (on pairs: the cross-entropy
            of sigma(w |u(x_1) - u(x_2)|)).
        differentiate: let training differentiate through the gradients that d and m see; otherwise they are inputs.
        temperature: what the cosine is multiplied with before the softmax (the paper: 1).
    """

    about: ClassVar[About] = About(
        title="meta network",
        source="Munkhdalai & Yu, ICML 2017, Algorithm 1",
        idea="networks that read loss gradients write fast weights, which a memory keeps beside the slow ones",
        fixed_way=True,
        support_order=True,
        label_symmetric=False,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int = 5,
        units: int = 64,
        meta_units: int = 20,
        examples: int = 4,
        representation: Literal["classes", "contrastive", "verification"] = "classes",
        differentiate: bool = False,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        losses = {"classes": way, "contrastive": 0, "verification": 1}  # outputs that their own layer has
        if representation not in losses:
            raise unknown("representation", representation, losses)
        super().__init__(backbone)
        self.way, self.examples, self.representation = way, examples, representation
        self.differentiate, self.temperature = differentiate, temperature
        D, generator = feature_size(backbone, input_shape), torch.Generator().manual_seed(seed + 1)

        def uniform(*shape: int, bound: float = 0.0) -> nn.Parameter:
            bound = bound or 1 / math.sqrt(shape[-1])
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        self.embedding = uniform(units, D + 1)  # Q
        self.base = nn.ParameterDict({"hidden": uniform(units, units + 1), "output": uniform(way, units + 1)})  # W
        self.task_level = nn.ParameterDict(  # of d
            {
                "weight": uniform(4 * meta_units, 2 + meta_units, bound=SMALL),
                "bias": uniform(4 * meta_units, bound=SMALL),
                "output": uniform(1, meta_units + 1, bound=SMALL),
            }
        )
        self.example_level = nn.ParameterDict(  # of m
            {
                "first": uniform(meta_units, 3, bound=SMALL),
                "second": uniform(meta_units, meta_units + 1, bound=SMALL),
                "output": uniform(1, meta_units + 1, bound=SMALL),
            }
        )
        # L^emb is never minimised: its own layer learns only where its gradient is differentiated.
        outputs = losses[representation]
        self.head = uniform(outputs, units + 1).requires_grad_(differentiate and outputs > 0)

    def representation_loss(self, embedding: Params, a: Tensor, b: Tensor, y: Tensor, head: Tensor) -> Tensor:
        """L^emb of one example a [D] of class y, or of a pair a, b whose classes are the same if y."""
        r = affine(embedding["Q"], a[None]).relu()  # [1, E]
        if self.representation == "classes":
            return F.cross_entropy(affine(head, r), y[None])
        apart = r - affine(embedding["Q"], b[None]).relu()
        if self.representation == "contrastive":
            return contrastive(apart.square().sum().clamp(min=NEAR).sqrt(), y)
        return F.binary_cross_entropy_with_logits(affine(head, apart.abs()).squeeze(), y.to(r.dtype))

    def task_weights(self, support: Embedded) -> Tensor:
        """Q* [T, E, D + 1], by d from the gradients of some examples, one after the other."""
        S = support.ys.shape[1]
        L = min(self.examples, S)
        a, b, y = verification_pairs(support.ys, L)  # [T, L]
        if self.representation == "classes":
            b, y = a, support.ys.gather(1, a)
        x = [support.features.gather(1, i[..., None].expand(-1, -1, support.features.shape[-1])) for i in (a, b)]
        head = self.head if self.differentiate else self.head.detach()

        def loss(p: Params, a: Tensor, b: Tensor, y: Tensor) -> Tensor:
            return self.representation_loss(p, a, b, y, head)

        found = example_gradients(loss, {"Q": self.embedding}, *x, y, differentiable=self.differentiate)["Q"]
        g = preprocess(found.flatten(2), P)  # [T, L, 2, |Q|]
        d, H = self.task_level, self.task_level["output"].shape[1] - 1
        start = g.new_zeros(len(g), H, g.shape[-1])  # [T, H, |Q|]

        def step(state: tuple[Tensor, Tensor], x: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[()]]:
            return lstm_step(x, *state, d["weight"], d["bias"]), ()

        (h, _), _ = scan(step, (start, start), g.transpose(0, 1))
        return coordinatewise(d["output"], h).squeeze(-2).unflatten(-1, self.embedding.shape)

    def base_loss(self, base: Params, r: Tensor, y: Tensor) -> Tensor:
        """The loss of b with slow weights alone, of one example r [E] of class y."""
        return F.cross_entropy(affine(base["output"], affine(base["hidden"], r[None]).relu()), y[None])

    def example_weights(self, r: Tensor, ys: Tensor) -> Tensor:
        """W*_i [T, S, |W|] of the support representations r [T, S, E], by m from the gradient of each."""
        grads = example_gradients(self.base_loss, dict(self.base), r, ys, differentiable=self.differentiate)
        x = preprocess(torch.cat([grads[n].flatten(2) for n in self.base], -1), P)  # [T, S, 2, |W|]
        for name in ("first", "second"):
            x = coordinatewise(self.example_level[name], x).relu()
        return coordinatewise(self.example_level["output"], x).squeeze(-2)

    def write(self, support: Embedded) -> Memory:
        """Algorithm 1, lines 1 to 14, of support features [T, S, D]."""
        check_way(self, self.way, support.way)
        fast = self.task_weights(support)
        r = augmented(self.embedding, fast, support.features)  # [T, S, E]
        return Memory(r, self.example_weights(r, support.ys), fast)

    def answer(self, memory: Memory, features: Tensor) -> Tensor:
        """Algorithm 1, lines 17 to 20: logits [T, Q, N] of query features [T, Q, D]."""
        r = augmented(self.embedding, memory.fast, features)  # [T, Q, E]
        flat = read(memory.keys, memory.values, r, self.temperature)  # [T, Q, |W|]
        parts = flat.split([w.numel() for w in self.base.values()], -1)
        fast = {n: part.unflatten(-1, w.shape) for part, (n, w) in zip(parts, self.base.items())}
        h = augmented(self.base["hidden"], fast["hidden"], r[..., None, :])  # [T, Q, 1, E]
        return (affine(self.base["output"], h) + affine(fast["output"], h)).squeeze(-2)

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """Logits of the queries."""
        return self.answer(self.write(support), features)

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Memory:  # type: ignore[override]
        """Write the support set into the memory."""
        return self.write(Embedded(self.embed(xs), ys, way))

    def predict(self, state: Memory, xq: Tensor, *, transductive: bool = False) -> Tensor:  # type: ignore[override]
        """Logits [T, Q, N] of the queries."""
        return self.answer(state, self.embed(xq))
