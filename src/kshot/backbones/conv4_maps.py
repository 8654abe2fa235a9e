"""The embedding of the relation network: Conv4 with two of its four poolings, so that there are maps to compare."""

from __future__ import annotations

from torch import Tensor, nn

from .conv4 import ConvBlock, PoolBlock, picture_shape
from .init import initialise


class Conv4Maps(nn.Module):
    """Sung et al. 2018: two blocks without padding and with pooling, two with padding and without pooling.

    A picture of 28 pixels gives 64 maps of 5 x 5, one of 84 pixels 64 maps of 19 x 19.

    Args:
        input_shape: (C, H, W), sides of at least 10 pixels.
        filters: filters of each block.
        seed: of the weights.
    """

    def __init__(self, input_shape: tuple[int, ...] = (1, 28, 28), *, filters: int = 64, seed: int = 0) -> None:
        super().__init__()
        channels, height, width = picture_shape("conv4-maps", input_shape, least=10)
        self.blocks = nn.Sequential(
            PoolBlock(channels, filters, padding=0),
            PoolBlock(filters, filters, padding=0),
            ConvBlock(filters, filters),
            ConvBlock(filters, filters),
        )
        self.map_shape = (filters, ((height - 2) // 2 - 2) // 2, ((width - 2) // 2 - 2) // 2)
        self.out_features = filters * self.map_shape[1] * self.map_shape[2]
        initialise(self, seed)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, out_features], the maps [filters, H', W'] flattened."""
        return self.blocks(x).flatten(1)
