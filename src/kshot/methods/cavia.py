"""Fast context adaptation via meta-learning: Zintgraf, Shiarlis, Kurin, Hofmann & Whiteson, ICML 2019.

MAML whose inner loop changes a few context parameters z alone, which are an input of the network and start at zero:

    z_i = 0 - alpha grad_z L_i^support(z, theta) at z = 0           (eq. 3; repeated k times)
    theta <- theta - beta grad_theta sum_i L_i^query(z_i, theta)    (eq. 4)

z stands beside the input of the first layer, which shifts its bias by W_z z; or, in networks with batch norm (where
such a shift would be normalised away), it modulates the channels of one layer ("FiLM"):

    scale = gamma * (1 + W_gamma z),   shift = beta + W_beta z
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..backbones.init import linear_layer
from ..backbones.norm import BatchStatistics
from ..errors import UserError
from ..functional.inner import Params
from .base import About
from .gradient import ENGINE
from .maml import MAML

BESIDE_INPUT, FILM = 5, 100  # context parameters in the paper


class CAVIA(MAML):
    """MAML that adapts context parameters alone.

    Args:
        inner_steps: gradient steps on the support set in training.
        inner_lr: alpha; as in the published code, the loss of the inner steps is the mean.
        eval_steps: gradient steps when evaluating and predicting.
        context: how many context parameters; 0 takes the paper's numbers: 5 beside the input, 100 that modulate.
        layer: number of the batch norm layer that they modulate, from 1. Without batch norm, they are beside the input.
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="CAVIA",
        source="Zintgraf, Shiarlis, Kurin, Hofmann & Whiteson, ICML 2019, eq. 3 and 4",
        idea="MAML whose inner loop changes a few context parameters of the network and nothing else",
        fixed_way=True,
        transductive=True,
        label_symmetric=False,
        targets=("classes", "regression"),
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int = 5,
        output_dim: int = 0,
        inner_steps: int = 1,
        inner_lr: float = 1.0,
        eval_steps: int = 1,
        context: int = 0,
        layer: int = 3,
        engine: str = ENGINE,
        seed: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            input_shape=input_shape,
            way=way,
            output_dim=output_dim,
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            eval_steps=eval_steps,
            engine=engine,
            seed=seed,
        )
        self.layer, width, self.film = self.place(layer)
        self.adapted, size = ["context"], context or (FILM if self.film else BESIDE_INPUT)
        self.register_buffer("context", torch.zeros(size), persistent=False)
        self.conditioning = nn.Parameter(linear_layer(size, width, seed + 2).weight.detach())

    def place(self, layer: int) -> tuple[str, int, bool]:
        """Where the context enters: the layer's name, how many numbers it takes, and whether it is a batch norm."""
        body = [(f"backbone.{n}", m) for n, m in self.net.get_submodule("backbone").named_modules()]
        norms = [(n, 2 * m.num_features) for n, m in body if isinstance(m, BatchStatistics) and m.affine]
        if norms:
            if not 1 <= layer <= len(norms):
                raise UserError(f"layer must be between 1 and {len(norms)}, the batch norm layers of it; got {layer}")
            return (*norms[layer - 1], True)
        for name, module in body:
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                return name, bias.numel(), False
        raise UserError(
            "CAVIA needs a layer where the context parameters can enter: a backbone with a batch norm layer, or whose "
            "first layer has a bias; this one has neither"
        )

    def parameters_now(self) -> Params:
        """theta, with the matrix that leads the context into the network, and z = 0."""
        return super().parameters_now() | {"context": self.get_buffer("context"), "conditioning": self.conditioning}

    def forward_with(self, params: Params, x: Tensor) -> Tensor:
        """The network with the given parameters and context: [B, ...] -> [B, N]."""
        return super().forward_with(self.in_context(params), x)

    def features_with(self, params: Params, x: Tensor) -> Tensor:
        """The backbone with the given parameters and context: [B, ...] -> [B, D]."""
        return super().features_with(self.in_context(params), x)

    def in_context(self, params: Params) -> Params:
        """The parameters as the context changes them."""
        change = params["conditioning"] @ params["context"]
        weight, bias = f"{self.layer}.weight", f"{self.layer}.bias"
        if self.film:
            scale, shift = change.chunk(2)
            changed = {weight: params[weight] * (1 + scale), bias: params[bias] + shift}
        else:
            changed = {bias: params[bias] + change}
        return params | changed

    def inner_loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """The loss of the inner steps: the mean."""
        return self.loss_of(self.forward_with(params, x), y)
