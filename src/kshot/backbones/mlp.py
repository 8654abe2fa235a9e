"""Multilayer perceptron: the network of the sine curves."""

from __future__ import annotations

import math

from torch import Tensor, nn

from .init import Linear, ReLU, initialise


class MLP(nn.Module):
    """Finn et al. 2017, section 5.1: hidden layers of ReLU units (2 x 40); any input is flattened.

    Args:
        input_shape: shape of one input.
        hidden: units of each layer.
        layers: number of layers.
        seed: of the weights.
    """

    def __init__(
        self, input_shape: tuple[int, ...] = (1,), *, hidden: int = 40, layers: int = 2, seed: int = 0
    ) -> None:
        super().__init__()
        sizes = [math.prod(input_shape)] + [hidden] * layers
        parts: list[nn.Module] = [nn.Flatten()]
        for i in range(layers):
            parts += [Linear(sizes[i], sizes[i + 1], device="meta"), ReLU()]
        self.layers = nn.Sequential(*parts)
        self.out_features = hidden
        initialise(self, seed)

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> [B, hidden]."""
        return self.layers(x)
