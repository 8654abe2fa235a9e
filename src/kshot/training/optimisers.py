"""The outer optimisers, and their state as named tensors that can be stored without pickling."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ..errors import unknown

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": Adam, "adamw": AdamW, "sgd": SGD}
FUSED = ("cpu", "cuda")  # where Adam's step is one pass: a third of the time of a small network's step


def build_optimizer(
    name: str, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0, momentum: float = 0.0
) -> Optimizer:
    """Adam, AdamW or SGD over the parameters; momentum belongs to SGD alone."""
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    if name == "sgd":
        return SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=momentum)
    parameters = list(parameters)
    fused = all(p.is_floating_point() and p.device.type in FUSED for p in parameters)
    optimizer = OPTIMIZERS[name](parameters, lr=lr, weight_decay=weight_decay, fused=fused)
    if fused:
        optimizer.register_step_pre_hook(align_gradients)
    return optimizer


def align_gradients(optimizer: Optimizer, *_: object) -> None:
    """Lay gradients out in memory as their parameters are: fused optimisers pair the numbers by their place there."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            grad = parameter.grad
            if grad is not None and grad.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter, requires_grad=False).copy_(grad)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The state as tensors named "<number of the parameter>.<name of the state>" (a None of SGD is left out)."""
    found: dict[str, Tensor] = {}
    for i, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            if value is None:
                continue
            if not isinstance(value, Tensor):
                raise TypeError(f"cannot store optimiser state {name!r} of type {type(value).__name__}")
            found[f"{i}.{name}"] = value
    return found


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put the state of `optimizer_tensors` back, in the memory layout of the parameters: steps go on bit by bit."""
    parameters = _parameters(optimizer)
    optimizer.state.clear()
    fused = bool(optimizer.defaults.get("fused"))
    for key, stored in tensors.items():
        number, _, name = key.partition(".")
        parameter = parameters[int(number)]
        if stored.shape == parameter.shape and name != "step":
            value = torch.empty_like(parameter, dtype=stored.dtype, requires_grad=False).copy_(stored)
        else:  # Adam keeps its step count on the CPU, unless its steps are fused
            value = stored.to(parameter.device if fused else stored.device, copy=True)
        optimizer.state[parameter][name] = value
