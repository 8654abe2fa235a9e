"""Proto-MAML: Triantafillou et al., "Meta-Dataset", ICLR 2020.

MAML whose head starts, for each task, as the linear layer that a prototypical network is:

    -||f(x) - c_n||^2 = w_n . f(x) + b_n + constant,   w_n = 2 c_n,   b_n = -||c_n||^2      (section 3, "Proto-MAML")

and is then fine-tuned with the body on the support set. The meta-gradient flows through the prototypes c_n as well.
Without a learned head, any number of classes will do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..functional.inner import SGD, InnerLoop, Params
from ..functional.linear import linear
from ..functional.prototypes import linear_head
from .base import About
from .gradient import ENGINE
from .maml import MAML


@dataclass(frozen=True, kw_only=True)
class PrototypeSGD(SGD):
    """SGD that starts with the head of the support set's prototypes; labels are rows of one-hot vectors.

    Attributes:
        features: of all parameters and the support inputs: `features(params, xs)`.
    """

    features: Callable[[Params, Tensor], Tensor]

    def start(self, meta: Params, xs: Tensor, ys: Tensor) -> Params:
        """theta, and the head."""
        member = ys.transpose(0, 1)  # [N, S]
        prototypes = member @ self.features(meta, xs) / member.sum(1, keepdim=True)  # [N, D]
        weight, bias = linear_head(prototypes)
        return {**super().start(meta, xs, ys), "head.weight": weight, "head.bias": bias}


class ProtoMAML(MAML):
    """MAML with a head made of prototypes, for any number of classes.

    Args:
        inner_steps: gradient steps on the support set in training; without any, the method is a prototypical network.
        inner_lr: alpha, see MAML: the loss of the inner steps is summed over the classes.
        eval_steps: gradient steps when evaluating and predicting.
        adapt_norm: let the inner steps change scale and shift of normalisation layers.
        first_order: take the inner gradients as constants, as the published results do; the gradient through the
            prototypes stays.
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="Proto-MAML",
        source="Triantafillou et al., ICLR 2020, section 3",
        idea="MAML whose head starts as the prototypical network of the task",
        transductive=True,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        inner_steps: int = 1,
        inner_lr: float = 0.01,
        eval_steps: int = 1,
        adapt_norm: bool = False,
        first_order: bool = False,
        engine: str = ENGINE,
        seed: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            input_shape=input_shape,
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            eval_steps=eval_steps,
            adapt_norm=adapt_norm,
            engine=engine,
            seed=seed,
        )
        self.first_order = first_order

    def make_head(self, features: int, outputs: int, seed: int) -> nn.Module:
        """The head is the task's, not the network's."""
        return nn.Identity()

    def forward_with(self, params: Params, x: Tensor) -> Tensor:
        """The backbone, and the head of a task: [B, ...] -> [B, N]."""
        return linear(self.features_with(params, x), params["head.weight"], params["head.bias"])

    def inner_loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """The loss of the inner steps for one-hot labels [S, N]: summed over classes, averaged over shots."""
        return self.loss_of(self.forward_with(params, x), y) * y.shape[-1]

    def inner_loop(self) -> InnerLoop:
        """Gradient descent from the prototypes on."""
        return PrototypeSGD(
            self.inner_loss,
            self.query_loss,
            self.adapted,
            alpha=self.inner_lr,
            steps=self.inner_steps,
            first_order=self.first_order,
            features=self.features_with,
        )

    def check(self, xs: Tensor, ys: Tensor, way: int) -> tuple[Tensor, Tensor]:
        """Inputs, and labels as one-hot vectors [T, S, N], whose shape tells the way."""
        x, y = super().check(xs, ys, self.way)
        return x, F.one_hot(y, way).to(x.dtype)
