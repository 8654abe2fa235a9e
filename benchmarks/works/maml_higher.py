"""MAML with higher: its context of an unrolled optimiser, backward for each task inside the loop."""

from __future__ import annotations

from typing import Any

import higher
import torch

from .common import Running, batch_of, inner_rate, loss_of, meta_training, textbook_net


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """`copy_initial_weights=False`, or the meta-gradient would be that of a copy."""
    net, tasks, loss = textbook_net(kind, start), batch_of(kind), loss_of(kind)
    inner = torch.optim.SGD(net.parameters(), lr=inner_rate(kind))

    def gradient() -> float:
        total = 0.0
        for xs, ys, xq, yq in tasks:
            with higher.innerloop_ctx(net, inner, copy_initial_weights=False) as (unrolled, optimizer):
                for _ in range(kind["steps"]):
                    optimizer.step(loss(unrolled(xs), ys))
                outer = loss(unrolled(xq), yq) / len(tasks)
                outer.backward()
                total += outer.item()
        return total

    return meta_training(net, kind, gradient)
