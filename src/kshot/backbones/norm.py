"""Batch norm without memory, for networks whose parameters are arguments."""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..functional.normalize import batch_norm


class BatchStatistics(_BatchNorm):
    """Batch norm that always uses the statistics of the batch at hand and keeps none."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, eps=norm.eps, affine=False, track_running_stats=False, momentum=None)
        self.weight, self.bias, self.affine = norm.weight, norm.bias, norm.affine

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, ...] -> [B, C, ...]."""
        return batch_norm(x, self.weight, self.bias, self.eps)


def use_batch_statistics(net: nn.Module) -> None:
    """Replace every batch norm layer inside a module by one that uses the statistics of the batch at hand alone."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, BatchStatistics(child))


def with_batch_statistics(net: nn.Module) -> nn.Module:
    """A twin of a module, with the same parameters, whose batch norm uses the statistics of the batch at hand alone."""
    twin = copy.deepcopy(net, {id(p): p for p in net.parameters()})
    use_batch_statistics(twin)
    return twin


def with_running_statistics(net: nn.Module, momentum: float) -> nn.Module:
    """A copy of a module whose batch norm layers keep running statistics, not yet of anything.

    Args:
        momentum: weight of the newest batch.
    """
    net = copy.deepcopy(net)
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, type(child)(child.num_features, child.eps, momentum, child.affine))
    return net


def noting(net: nn.Module, on: bool) -> nn.Module:
    """The module in evaluation mode; if on, its batch norm normalises by the batch at hand and notes it."""
    net.eval()
    for norm in (m for m in net.modules() if isinstance(m, _BatchNorm)):
        norm.train(on)
    return net
