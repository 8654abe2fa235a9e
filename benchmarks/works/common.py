"""What all libraries share in a measurement: the data, the textbook networks, the first weights.

Imports torch alone, so that it works in the environment of every peer.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SINE, PICTURES = "sine", "pictures"


class Running(Protocol):
    """One library at one work, ready to be measured.

    Attributes:
        parameters: the meta-parameters whose gradient the first step fills; none if the work is no training.
        note: what was chosen (an engine, a variant), for the record.
    """

    parameters: list[Tensor]
    note: str

    def first(self) -> float:
        """The first step: a number that all libraries must agree on, NaN if there is none."""

    def seconds(self, steps: int) -> float:
        """The seconds a step takes, the median of so many."""


@dataclass
class Steps:
    """A step as a Running.

    Attributes:
        step: one step; returns its loss, if any.
        parameters, note: see Running.
        check: what is compared among the libraries, by default the first step's loss.
    """

    step: Callable[[], object]
    parameters: list[Tensor] = field(default_factory=list)
    note: str = ""
    check: Callable[[], float] | None = None

    def first(self) -> float:
        """The checked number."""
        found = (self.check or self.step)()
        return found if isinstance(found, float) else float("nan")

    def seconds(self, steps: int) -> float:
        """Each step on its own."""
        taken = []
        for _ in range(steps):
            wait()
            began = time.perf_counter()
            self.step()
            wait()
            taken.append(time.perf_counter() - began)
        return statistics.median(taken)


def wait() -> None:
    """Until a GPU in use has done all it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Batch:
    """T tasks: xs [T, S, ...], ys [T, S, ...], xq [T, Q, ...], yq [T, Q, ...]; pictures are float32 in 0..1."""

    xs: Tensor
    ys: Tensor
    xq: Tensor
    yq: Tensor

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return iter(zip(self.xs, self.ys, self.xq, self.yq))

    def __len__(self) -> int:
        return len(self.xs)

    def to(self, dtype: torch.dtype, device: str = "cpu") -> Batch:
        """With real numbers of another type, on another device."""
        parts = (self.xs, self.ys, self.xq, self.yq)
        return Batch(*(p.to(device, dtype if p.is_floating_point() else p.dtype) for p in parts))


def pictures(classes: int, each: int, seed: int = 0, size: int = 28) -> Tensor:
    """Binary pictures like scanned characters, a tenth of them ink: uint8 [classes, each, 1, size, size], 0 or 255."""
    g = torch.Generator().manual_seed(seed)
    shape = torch.randn(classes, 1, 7, 7, generator=g)
    found = torch.empty(classes, each, 1, size, size, dtype=torch.uint8)
    for i in range(each):  # a picture is its class's pattern and some of its own
        own = shape + 0.5 * torch.randn(classes, 1, 7, 7, generator=g)
        smooth = F.interpolate(own, size=(size, size), mode="bicubic")
        found[:, i] = (smooth > smooth.flatten(1).quantile(0.9, 1)[:, None, None, None]) * 255
    return found


def picture_batch(tasks: int, way: int, shot: int, query: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Tasks of the pictures: xs uint8 [T, S, 1, 28, 28], ys [T, S], xq, yq, labels in shuffled order."""
    drawn = pictures(tasks * way, shot + query, seed).unflatten(0, (tasks, way))  # [T, N, K, 1, 28, 28]
    g = torch.Generator().manual_seed(seed + 1)
    parts = []
    for at in (slice(0, shot), slice(shot, None)):
        x = drawn[:, :, at].flatten(1, 2)  # [T, N*K, 1, 28, 28]
        y = torch.arange(way).repeat_interleave(x.shape[1] // way)
        order = torch.stack([torch.randperm(len(y), generator=g) for _ in range(tasks)])
        parts += [torch.stack([one[o] for one, o in zip(x, order)]), y[order]]
    return tuple(parts)


def sine_batch(tasks: int, shot: int, query: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Sine curves with the ranges of Finn et al. 2017: xs [T, K, 1], ys, xq [T, Q, 1], yq."""
    g = torch.Generator().manual_seed(seed)
    amplitude = 0.1 + 4.9 * torch.rand(tasks, 1, 1, generator=g)
    phase = torch.pi * torch.rand(tasks, 1, 1, generator=g)
    x = 10 * torch.rand(tasks, shot + query, 1, generator=g) - 5
    y = amplitude * torch.sin(x - phase)
    return x[:, :shot], y[:, :shot], x[:, shot:], y[:, shot:]


def raw_batch(kind: dict[str, Any]) -> tuple[Tensor, ...]:
    """The tasks of a work as they lie in memory (pictures are uint8)."""
    if kind["data"] == SINE:
        return sine_batch(kind["tasks"], kind["shot"], kind["query"])
    return picture_batch(kind["tasks"], kind["way"], kind["shot"], kind["query"])


def batch_of(kind: dict[str, Any]) -> Batch:
    """The tasks of a work as the peers get them: pictures are already float32 in 0..1."""
    xs, ys, xq, yq = raw_batch(kind)
    if kind["data"] == PICTURES:
        xs, xq = xs.float() / 255, xq.float() / 255
    return Batch(xs, ys, xq, yq).to(dtype_of(kind), device_of(kind))


def dtype_of(kind: dict[str, Any]) -> torch.dtype:
    """float32 unless the work says otherwise."""
    return torch.float64 if kind.get("double") else torch.float32


def device_of(kind: dict[str, Any]) -> str:
    """The processor unless the work says otherwise."""
    return str(kind.get("device", "cpu"))


class Mean(nn.Module):
    """The mean over positions."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C]."""
        return x.mean((2, 3))


def conv4(filters: int, strided: bool, running: bool = False) -> nn.Sequential:
    """Conv4 as its users write it: convolution, batch norm, ReLU, and max-pool or strides.

    Args:
        filters: of each block.
        strided: strides and the mean over positions, in place of max-pools and flattening.
        running: batch norm keeps running statistics, as metric methods need; otherwise it takes those of the batch.
    """
    parts: list[nn.Module] = []
    for inputs in (1, filters, filters, filters):
        parts.append(nn.Conv2d(inputs, filters, 3, stride=2 if strided else 1, padding=1))
        parts.append(nn.BatchNorm2d(filters, track_running_stats=running))
        parts.append(nn.ReLU())
        if not strided:
            parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts, Mean() if strided else nn.Flatten())


def textbook_net(kind: dict[str, Any], start: str | None) -> nn.Sequential:
    """The network of a MAML work with the first weights in `start`: backbone, then head."""
    if kind["data"] == SINE:
        net = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))
    else:
        net = conv4(kind["filters"], kind["strided"]).append(nn.Linear(kind["filters"], kind["way"]))
    net = net.to(dtype_of(kind)).train()
    if start is not None:
        load_start(net, start)
    return net.to(device_of(kind))


def shared_parameters(net: nn.Module) -> list[nn.Parameter]:
    """The parameters in their order, without the biases of convolutions, which a normalisation removes."""
    redundant = {id(m.bias) for m in net.modules() if isinstance(m, nn.Conv2d)}
    return [p for p in net.parameters() if id(p) not in redundant]


def load_start(net: nn.Module, path: str) -> None:
    """Set the first weights to those that kshot's network started with; convolutions' biases become zero."""
    stored = torch.load(path, weights_only=True)
    own = shared_parameters(net)
    if [p.shape for p in own] != [t.shape for t in stored]:
        raise ValueError(f"{path} holds other shapes: {[tuple(t.shape) for t in stored]}")
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.Conv2d) and m.bias is not None:
                m.bias.zero_()
        for p, t in zip(own, stored):
            p.copy_(t)


def loss_of(kind: dict[str, Any]) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of queries: mean squared error or mean cross-entropy."""
    return F.mse_loss if kind["data"] == SINE else F.cross_entropy


def inner_rate(kind: dict[str, Any]) -> float:
    """The step size that goes with the mean loss of the support set.

    kshot follows the published code and multiplies the inner loss with the way; the peers multiply the rate.
    """
    return kind["alpha"] * (1 if kind["data"] == SINE else kind["way"])


def meta_training(
    net: nn.Module,
    kind: dict[str, Any],
    gradient: Callable[[], float],
    note: str = "",
    optimizer: torch.optim.Optimizer | None = None,
) -> Steps:
    """A step of meta-training: clear the gradients, fill them, Adam (torch's, as its users write it, or another)."""
    optimizer = optimizer or torch.optim.Adam(net.parameters(), lr=kind["lr"])

    def step() -> float:
        optimizer.zero_grad()
        loss = gradient()
        optimizer.step()
        return loss

    return Steps(step, shared_parameters(net), note)
