"""MAML as a hand-written loop over tasks with torch.autograd.grad."""

from __future__ import annotations

from typing import Any

import torch
from torch.func import functional_call

from .common import Running, batch_of, inner_rate, loss_of, meta_training, textbook_net


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """Backward for each task, so that one task's graph is in memory at a time."""
    net, tasks, loss, rate = textbook_net(kind, start), batch_of(kind), loss_of(kind), inner_rate(kind)

    def gradient() -> float:
        total = 0.0
        for xs, ys, xq, yq in tasks:
            params = dict(net.named_parameters())
            for _ in range(kind["steps"]):
                inner = loss(functional_call(net, params, xs), ys)
                grads = torch.autograd.grad(inner, list(params.values()), create_graph=True)
                params = {n: p - rate * g for (n, p), g in zip(params.items(), grads)}
            outer = loss(functional_call(net, params, xq), yq) / len(tasks)
            outer.backward()
            total += outer.item()
        return total

    return meta_training(net, kind, gradient)
