"""MAML with TorchOpt: its stateful optimiser in a loop over tasks, or its functional one under vmap."""

from __future__ import annotations

from typing import Any

import torchopt
from torch import Tensor
from torch.func import functional_call, grad, vmap

from .common import Running, batch_of, inner_rate, loss_of, meta_training, textbook_net


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """variant: "loop" or "vmap"; both follow TorchOpt's own examples of MAML."""
    net, tasks, loss, rate = textbook_net(kind, start), batch_of(kind), loss_of(kind), inner_rate(kind)

    def looped() -> float:
        inner, total = torchopt.MetaSGD(net, lr=rate), 0.0
        first = torchopt.extract_state_dict(net, by="reference", detach_buffers=True)
        first_inner = torchopt.extract_state_dict(inner, by="reference")
        for xs, ys, xq, yq in tasks:
            for _ in range(kind["steps"]):
                inner.step(loss(net(xs), ys))
            outer = loss(net(xq), yq) / len(tasks)
            outer.backward()
            total += outer.item()
            torchopt.recover_state_dict(net, first)
            torchopt.recover_state_dict(inner, first_inner)
        return total

    optimizer = torchopt.sgd(lr=rate)

    def one_task(xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
        params = dict(net.named_parameters())
        state = optimizer.init(params)
        for _ in range(kind["steps"]):
            grads = grad(lambda p: loss(functional_call(net, p, xs), ys))(params)
            updates, state = optimizer.update(grads, state, inplace=False)
            params = torchopt.apply_updates(params, updates, inplace=False)
        return loss(functional_call(net, params, xq), yq)

    def vmapped() -> float:
        total = vmap(one_task)(tasks.xs, tasks.ys, tasks.xq, tasks.yq).mean()
        total.backward()
        return total.item()

    return meta_training(net, kind, {"loop": looped, "vmap": vmapped}[variant], variant)
