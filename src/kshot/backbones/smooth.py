"""The smooth twin of a network: softplus in the place of ReLU, mean in the place of maximum pooling, same parameters.

Taylor's theorem asks for derivatives that ReLU and max-pooling do not have; where a claim rests on it, the twin shows
what is due to their kinks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..functional.relu import relu
from .conv4 import PoolBlock


def _softplus(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return F.softplus(x)


def _mean_pool(x: Tensor, size: Any, stride: Any = None, padding: Any = 0, *_: Any, **__: Any) -> Tensor:
    return F.avg_pool2d(x, size, stride, padding)


SMOOTH: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.relu: _softplus,
    relu: _softplus,
    torch.relu: _softplus,
    Tensor.relu: _softplus,
    F.leaky_relu: _softplus,
    F.max_pool2d: _mean_pool,
    torch.max_pool2d: _mean_pool,
}


class Smoothed(TorchFunctionMode):
    """While it lasts, torch's kinked functions are their smooth relatives."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return SMOOTH.get(func, func)(*args, **(kwargs or {}))


class PlainBlock(nn.Module):
    """A PoolBlock in the order of its name: convolution, batch norm, ReLU, max-pool."""

    def __init__(self, block: PoolBlock) -> None:
        super().__init__()
        self.conv, self.norm = block.conv, block.norm

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, F, H // 2, W // 2]."""
        return F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)


def smooth(net: nn.Module) -> nn.Module:
    """A copy of the network that computes with smooth pieces; its parameters keep their names."""
    net = copy.deepcopy(net)
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, PoolBlock):
                setattr(parent, name, PlainBlock(child))
    kinked = net.forward

    def forward(x: Tensor) -> Tensor:
        with Smoothed():
            return kinked(x)

    net.forward = forward
    return net
