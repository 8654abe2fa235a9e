"""Batch norm without memory, for networks whose parameters are arguments."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..functional.normalize import batch_norm, batch_norm_in_groups


class BatchStatistics(_BatchNorm):
    """Batch norm that always uses the statistics of the batch at hand and keeps none.

    Attributes:
        group: if not 0, every `group` examples of a batch are normalised by their own statistics.
    """

    group: int = 0

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, eps=norm.eps, affine=False, track_running_stats=False, momentum=None)
        self.weight, self.bias, self.affine = norm.weight, norm.bias, norm.affine

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, ...] -> [B, C, ...]."""
        if self.group:
            return batch_norm_in_groups(x, self.weight, self.bias, self.eps, self.group)
        return batch_norm(x, self.weight, self.bias, self.eps)


@contextmanager
def normalised_in_groups(net: nn.Module, group: int) -> Iterator[None]:
    """While it lasts, every `group` examples of a batch are normalised by their own statistics."""
    norms = [m for m in net.modules() if isinstance(m, BatchStatistics)]
    for norm in norms:
        norm.group = group
    try:
        yield
    finally:
        for norm in norms:
            norm.group = 0


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
