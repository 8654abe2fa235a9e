"""Conv4, the four-block encoder of the few-shot literature, in both published forms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .init import initialise


class PoolBlock(nn.Module):
    """3x3 convolution, batch norm, 2x2 max-pool, ReLU.

    The papers write the ReLU before the pooling; both are monotone, so the order does not change outputs or gradients,
    and pooling first leaves a quarter of the ReLU's work. The convolution has no bias: the normalisation would
    remove it.
    """

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, filters, 3, padding=1, bias=False, device="meta")
        self.norm = nn.BatchNorm2d(filters, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, F, H // 2, W // 2]."""
        return F.relu(F.max_pool2d(self.norm(self.conv(x)), 2))


class Conv4(nn.Module):
    """Vinyals et al. 2016, Snell et al. 2017: four blocks of 3x3x64 convolution, batch norm, ReLU, max-pool, flattened.

    Args:
        input_shape: (C, H, W), sides of at least 16 pixels.
        filters: filters of each block.
        seed: of the weights.
    """

    def __init__(self, input_shape: tuple[int, ...] = (1, 28, 28), *, filters: int = 64, seed: int = 0) -> None:
        super().__init__()
        channels, height, width = picture_shape("conv4", input_shape, least=16)
        self.blocks = nn.Sequential(*(PoolBlock(channels if i == 0 else filters, filters) for i in range(4)))
        self.out_features = filters * (height // 16) * (width // 16)
        initialise(self, seed)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, out_features]."""
        return self.blocks(x).flatten(1)


class StridedBlock(nn.Module):
    """3x3 convolution of stride 2, batch norm, ReLU."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, filters, 3, stride=2, padding=1, bias=False, device="meta")
        self.norm = nn.BatchNorm2d(filters, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, F, ceil(H / 2), ceil(W / 2)]."""
        return F.relu(self.norm(self.conv(x)))


class Conv4Strided(nn.Module):
    """Finn et al. 2017, the Omniglot network of their code: strides in place of pooling, then the mean over positions.

    Args:
        input_shape: (C, H, W).
        filters: filters of each block.
        mean: mean over positions (MAML); without, the positions are flattened (Reptile).
        seed: of the weights (Xavier, as published).
    """

    def __init__(
        self, input_shape: tuple[int, ...] = (1, 28, 28), *, filters: int = 64, mean: bool = True, seed: int = 0
    ) -> None:
        super().__init__()
        channels, height, width = picture_shape("conv4-strided", input_shape, least=2)
        self.blocks = nn.Sequential(*(StridedBlock(channels if i == 0 else filters, filters) for i in range(4)))
        self.mean = mean
        self.out_features = filters if mean else filters * -(-height // 16) * -(-width // 16)
        initialise(self, seed, xavier=True)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, out_features]."""
        x = self.blocks(x)
        return x.mean((2, 3)) if self.mean else x.flatten(1)


def picture_shape(name: str, input_shape: tuple[int, ...], least: int) -> tuple[int, int, int]:
    """(C, H, W), or an error that says what the backbone needs."""
    if len(input_shape) != 3 or min(input_shape[1:]) < least:
        raise UserError(
            f"backbone {name} needs pictures [C, H, W] of at least {least} x {least} pixels; these inputs have the "
            f"shape {tuple(input_shape)}. Use --backbone mlp for vectors, or a larger --size for pictures"
        )
    channels, height, width = input_shape
    return channels, height, width
