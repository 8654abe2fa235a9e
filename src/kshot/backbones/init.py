"""Weights from a seed, without touching the global generator."""

from __future__ import annotations

import math

import torch
from torch import nn


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


def linear(inputs: int, outputs: int, seed: int) -> nn.Linear:
    """A linear layer with weights from the seed."""
    layer = nn.Linear(inputs, outputs, device="meta")
    initialise(layer, seed)
    return layer
