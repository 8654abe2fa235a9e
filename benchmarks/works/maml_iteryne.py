"""MAML with iteryne: its own trainer's step."""

from __future__ import annotations

from typing import Any

import torch
from iteryne.maml import MAML
from iteryne.tasks import Task
from iteryne.trainer import MetaTrainer

from .common import Running, Steps, batch_of, inner_rate, loss_of, shared_parameters, textbook_net


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """A meta-step clears the gradients, loops over the tasks with a backward for each, and moves the weights."""
    net = textbook_net(kind, start)
    maml = MAML(net, inner_lr=inner_rate(kind), inner_steps=kind["steps"])
    tasks = [Task(*parts) for parts in batch_of(kind)]
    optimizer = torch.optim.Adam(maml.parameters(), lr=kind["lr"])
    trainer = MetaTrainer(maml, optimizer, loss_of(kind), task_sampler=None)
    return Steps(lambda: trainer.meta_step(tasks), shared_parameters(net))
