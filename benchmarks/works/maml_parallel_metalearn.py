"""MAML with parallel-metalearn: vmap over chunks of tasks, or its sequential backend."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import torch
from metalearn.algorithms import MAML
from metalearn.inner_optimizers import InnerSGD
from metalearn.loss.base import BaseLoss
from metalearn.model_wrappers import MAML_Model
from metalearn.nn_models.basic_layers.BatchNormalization import BatchNorm
from torch import Tensor, nn

from .common import (
    SINE,
    Mean,
    Running,
    Steps,
    batch_of,
    device_of,
    dtype_of,
    inner_rate,
    load_start,
    loss_of,
    shared_parameters,
)


class Block(nn.Module):
    """A block of Conv4 with the library's own batch norm; every module's forward must take keyword arguments."""

    def __init__(self, inputs: int, filters: int, strided: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, filters, 3, stride=2 if strided else 1, padding=1)
        self.norm = BatchNorm(filters, track_running_stats=False)
        self.pool = nn.Identity() if strided else nn.MaxPool2d(2)

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """[B, C, H, W] -> [B, F, H', W']."""
        return self.pool(torch.relu(self.norm(self.conv(x), **kwargs)))


class Chain(nn.Module):
    """Modules one after the other, with or without keyword arguments."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """The last module's output."""
        for part in self.parts:
            x = part(x, **kwargs) if isinstance(part, Block) else part(x)
        return x


class Loss(BaseLoss):
    """A loss in the form that the library expects."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, out_dict: Any, targets: Any, model_states: Any = None, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """The loss, and the same again as the measure."""
        value = self.function(out_dict["logits"], targets["labels"])
        return value, value.detach()


def network(kind: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
    """Backbone and head."""
    if kind["data"] == SINE:
        return Chain(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU()), Chain(nn.Linear(40, 1))
    filters, strided = kind["filters"], kind["strided"]
    blocks = [Block(1 if i == 0 else filters, filters, strided) for i in range(4)]
    return Chain(*blocks, Mean() if strided else nn.Flatten()), Chain(nn.Linear(filters, kind["way"]))


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """variant: "sequential", or "vmap:C" with C tasks in a chunk."""
    torch.manual_seed(0)
    model = MAML_Model(*network(kind)).to(dtype_of(kind)).train()
    if start is not None:
        load_start(model, start)
    model = model.to(device_of(kind))
    inner = InnerSGD(model.get_fast_weights(), learn_lr=False, max_inner_steps=kind["steps"]).to(dtype_of(kind))
    for rate in inner.parameters():
        rate.data.fill_(inner_rate(kind))  # its own argument is rounded to float32
    optimizer = torch.optim.Adam(model.parameters(), lr=kind["lr"])
    backend, _, chunk = variant.partition(":")
    algorithm = MAML(
        model=model,
        optimizer=optimizer,
        inner_optimizer=inner,
        support_loss_fn=Loss(loss_of(kind)),
        inner_steps=kind["steps"],
        chunk_size=int(chunk or 1),
        device=torch.device(device_of(kind)),
        backend=backend,
    )
    tasks = batch_of(kind)
    batches = repeat((tasks.xs, {"labels": tasks.ys}, tasks.xq, {"labels": tasks.yq}))
    factor = len(tasks) if backend == "sequential" else 1  # that backend divides the loss it reports twice

    def step() -> float:
        return algorithm.step(batches, training=True)[0] * factor

    return Steps(step, shared_parameters(model), variant)
