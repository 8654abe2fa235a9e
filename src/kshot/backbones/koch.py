"""The twin encoder of Koch, Zemel & Salakhutdinov, ICML deep learning workshop 2015 (figure 4)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv4 import picture_shape
from .init import initialise

LEAST = 65  # pixels a side for which one position is left
KERNELS, FILTERS = (10, 7, 4, 4), (64, 128, 128, 256)


class Koch(nn.Module):
    """Koch et al. 2015: convolutions of 64 10x10, 128 7x7, 128 4x4 and 256 4x4 filters with pooling, a sigmoid layer.

    Args:
        input_shape: (C, H, W), sides of at least 65 pixels; the paper's are 105.
        units: of the last layer.
        init: scaled to the fan-in; or the paper's normal numbers, with which the last layer saturates at 105
            pixels (weights of deviation 0.2 on 9,216 inputs): little of a gradient passes it.
        seed: of the weights.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...] = (1, 105, 105),
        *,
        units: int = 4096,
        init: Literal["scaled", "paper"] = "scaled",
        seed: int = 0,
    ) -> None:
        super().__init__()
        channels, *sides = picture_shape("koch", input_shape, least=LEAST)
        inputs = (channels, *FILTERS)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, kernel, device="meta") for i, o, kernel in zip(inputs, FILTERS, KERNELS)
        )
        for i, kernel in enumerate(KERNELS):
            sides = [(side - kernel + 1) // (2 if i < 3 else 1) for side in sides]
        self.last = nn.Linear(FILTERS[-1] * math.prod(sides), units, device="meta")
        self.out_features = units
        initialise(self, seed)
        self._draw(init == "paper", torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _draw(self, paper: bool, generator: torch.Generator) -> None:
        for layer in (*self.convs, self.last):
            weight, bias = layer.weight, layer.bias
            fan_in = math.prod(weight.shape[1:])
            if paper:
                weight.normal_(0, 0.2 if layer is self.last else 0.01, generator=generator)
                bias.normal_(0.5, 0.01, generator=generator)
            else:
                weight.normal_(0, math.sqrt((1 if layer is self.last else 2) / fan_in), generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, units], each in 0..1."""
        for conv in self.convs[:-1]:
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return torch.sigmoid(self.last(F.relu(self.convs[-1](x)).flatten(1)))
