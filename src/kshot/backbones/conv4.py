"""Conv4, the four-block encoder of the few-shot literature, in both published forms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..functional.convolution import conv2d
from ..functional.normalize import affine, pooled_moments
from ..functional.relu import relu
from .init import initialise


class PoolBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU, 2x2 max-pool, in the fastest order with the same outputs and gradients.

    The papers' order is that of the name. ReLU, and batch norm with a positive scale, are monotone and work on each
    channel alone, so both commute with the pooling: only the moments are taken of the whole picture, and the rest has
    a quarter of the work. For a negative scale the sign of the channel's filter is turned. The convolution has no
    bias: the normalisation would remove it. With running statistics, normalising is part of the convolution.
    """

    def __init__(self, inputs: int, filters: int, padding: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, filters, 3, padding=padding, bias=False, device="meta")
        self.norm = nn.BatchNorm2d(filters, device="meta")
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, F, H // 2, W // 2] (of H - 2 and W - 2 without padding)."""
        scale, shift = self.norm.weight, self.norm.bias
        if not uses_batch(self.norm):
            slope = scale * torch.rsqrt(self.norm.running_var + self.norm.eps)  # type: ignore[operator,arg-type]
            offset = shift - self.norm.running_mean * slope  # type: ignore[operator]
            y = conv2d(x, self.conv.weight * slope[:, None, None, None], padding=self.padding)  # [B, F, H, W]
            return F.relu(maxima(y) + offset[:, None, None], inplace=not torch.is_grad_enabled())
        if getattr(self.norm, "group", 0):  # of BatchStatistics: the order of the papers
            return F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        sign = torch.where(scale < 0, -1.0, 1.0).to(scale.dtype)  # [F]
        y = conv2d(x, self.conv.weight * sign[:, None, None, None], padding=self.padding)  # [B, F, H, W]
        largest, mean, variance = pooled_moments(y)
        note_moments(self.norm, mean.detach() * sign, variance.detach(), y.numel() // y.shape[1])
        slope = scale * sign * torch.rsqrt(variance + self.norm.eps)  # [F], not negative
        return relu(affine(largest, mean, slope, shift))


def maxima(y: Tensor) -> Tensor:
    """2x2 maxima [B, C, H // 2, W // 2]; torch's pooling notes on a processor where they were, for the gradient."""
    if y.is_cuda or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return F.max_pool2d(y, 2)
    H, W = (n // 2 * 2 for n in y.shape[-2:])
    rows = torch.maximum(y[..., 0:H:2, :W], y[..., 1:H:2, :W])
    return torch.maximum(rows[..., 0::2], rows[..., 1::2])


def uses_batch(norm: nn.BatchNorm2d) -> bool:
    """Whether the layer normalises by the batch at hand, not by its running statistics."""
    return norm.training or norm.running_mean is None


@torch.no_grad()
def note_moments(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Update the running statistics with those of a batch of `count` values a channel, as torch's layer does."""
    if norm.training and norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None:
        norm.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        variance = variance * (count / max(count - 1, 1))
        norm.running_mean.add_(mean - norm.running_mean, alpha=norm.momentum)
        norm.running_var.add_(variance - norm.running_var, alpha=norm.momentum)


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


class ConvBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, filters, 3, stride=stride, padding=1, bias=False, device="meta")
        self.norm = nn.BatchNorm2d(filters, device="meta")
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, F, ceil(H / stride), ceil(W / stride)]."""
        return relu(self.norm(conv2d(x, self.conv.weight, self.stride, 1)))


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
        self.blocks = nn.Sequential(*(ConvBlock(channels if i == 0 else filters, filters, stride=2) for i in range(4)))
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
