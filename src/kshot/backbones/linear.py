"""One linear map: for features that somebody's network made."""

from __future__ import annotations

import math

from torch import Tensor, nn

from .init import initialise


class Linear(nn.Module):
    """Snell et al. 2017, section 3.3: a linear map of given features; any input is flattened.

    Args:
        input_shape: shape of one input.
        features: numbers that come out.
        seed: of the weights.
    """

    def __init__(self, input_shape: tuple[int, ...] = (1024,), *, features: int = 1024, seed: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(input_shape), features, device="meta")
        self.out_features = features
        initialise(self, seed)

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> [B, features]."""
        return self.layer(x.flatten(1))
