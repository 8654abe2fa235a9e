"""Weights from a seed, without touching the global generator."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..functional.linear import linear
from ..functional.relu import relu


class Linear(nn.Linear):
    """A linear layer with fast second derivatives."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., D] -> [..., N]."""
        return linear(input, self.weight, self.bias)


class ReLU(nn.ReLU):
    """max(x, 0) with fast second derivatives."""

    def forward(self, input: Tensor) -> Tensor:
        """[...] -> [...]."""
        return relu(input)


def initialise(module: nn.Module, seed: int, *, xavier: bool = False) -> None:
    """Draw all weights of a module made on the "meta" device, from its own generator.

    Convolutions and linear layers are uniform within 1/sqrt(fan-in) (or Xavier's bound), biases zero; normalisation
    starts as the identity.
    """
    module.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            if xavier:
                nn.init.xavier_uniform_(part.weight, generator=generator)
            else:
                nn.init.kaiming_uniform_(part.weight, a=math.sqrt(5), generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.reset_running_stats()
            part.reset_parameters()
        elif isinstance(part, nn.LayerNorm):
            part.reset_parameters()


def linear_layer(inputs: int, outputs: int, seed: int) -> Linear:
    """A linear layer with weights from the seed."""
    layer = Linear(inputs, outputs, device="meta")
    initialise(layer, seed)
    return layer
