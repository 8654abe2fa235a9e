"""ResNet-12, the larger encoder of the few-shot literature (Oreshkin et al. 2018; Lee et al. 2019)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .conv4 import picture_shape
from .init import initialise


class ResidualBlock(nn.Module):
    """Three 3x3 convolutions with batch norm and leaky ReLU (0.1), a 1x1 shortcut, 2x2 max-pool."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        sizes = [inputs, filters, filters, filters]
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], filters, 3, padding=1, bias=False, device="meta") for i in range(3)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(filters, device="meta") for _ in range(3))
        self.shortcut = nn.Conv2d(inputs, filters, 1, bias=False, device="meta")
        self.shortcut_norm = nn.BatchNorm2d(filters, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, F, H // 2, W // 2]."""
        y = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            y = norm(conv(y))
            if i < 2:
                y = F.leaky_relu(y, 0.1)
        y = F.leaky_relu(y + self.shortcut_norm(self.shortcut(x)), 0.1)
        return F.max_pool2d(y, 2)


class ResNet12(nn.Module):
    """Four residual blocks of three convolutions (64, 160, 320, 640 filters) and the mean over positions.

    Layers and order are those of Lee et al. 2019 (12.4 million parameters). What published trainings add is not part of
    it: DropBlock in the last two blocks, and their first weights (normal, by fan-out; here uniform, by fan-in).

    Args:
        input_shape: (C, H, W), sides of at least 16 pixels.
        width: filters of the first block; the others are 2.5, 5 and 10 times as many.
        seed: of the weights.
    """

    def __init__(self, input_shape: tuple[int, ...] = (3, 84, 84), *, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        channels, _, _ = picture_shape("resnet12", input_shape, least=16)
        sizes = [channels, width, width * 5 // 2, width * 5, width * 10]
        self.blocks = nn.Sequential(*(ResidualBlock(sizes[i], sizes[i + 1]) for i in range(4)))
        self.out_features = sizes[-1]
        initialise(self, seed)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, out_features]."""
        return self.blocks(x).mean((2, 3))
