"""Inner loops: gradient steps on a task that can themselves be differentiated.

Parameters are dicts name -> tensor, as `torch.func.functional_call` takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

Params = dict[str, Tensor]


def gradients(
    loss: Callable[[Params], Tensor], params: Mapping[str, Tensor], adapted: Iterable[str], *, create_graph: bool
) -> Params:
    """d loss / d params for the adapted names.

    With create_graph the result is part of the graph (second order); without, it is a constant.
    """
    names = list(adapted)
    with torch.enable_grad():
        live = dict(params)
        for name in names:
            if not live[name].requires_grad:
                live[name] = live[name].detach().requires_grad_()
        found = torch.autograd.grad(loss(live), [live[n] for n in names], create_graph=create_graph)
    return dict(zip(names, found))


def sgd_step(params: Mapping[str, Tensor], grads: Mapping[str, Tensor], alpha: float) -> Params:
    """theta' = theta - alpha g for the names in grads; the others are passed on."""
    return {n: p - alpha * grads[n] if n in grads else p for n, p in params.items()}


def inner_sgd(
    loss: Callable[[Params], Tensor],
    params: Mapping[str, Tensor],
    adapted: Iterable[str],
    *,
    alpha: float,
    steps: int,
    first_order: bool,
) -> list[Params]:
    """theta_0..theta_k of k steps theta_{i+1} = theta_i - alpha grad loss(theta_i) (Finn et al. 2017, eq. 1).

    With first_order the gradients are constants, so that d theta_k / d theta_0 is the identity.
    """
    names = list(adapted)
    path = [dict(params)]
    create = torch.is_grad_enabled() and not first_order
    for _ in range(steps):
        path.append(sgd_step(path[-1], gradients(loss, path[-1], names, create_graph=create), alpha))
    return path


def adam_step(
    params: Params, grads: Params, second: Params, count: int, *, lr: float, beta2: float = 0.999, eps: float = 1e-8
) -> tuple[Params, Params]:
    """One step of Adam with beta_1 = 0, the inner optimiser of Reptile (Nichol et al. 2018, section 6).

    Args:
        second: running means of the squared gradients.
        count: number of this step, from 1 (for the bias correction).

    Returns:
        the new parameters and the new second moments.
    """
    names = list(grads)
    g = [grads[n] for n in names]
    v = torch._foreach_mul([second[n] for n in names], beta2)
    torch._foreach_addcmul_(v, g, g, value=1 - beta2)
    scale = torch._foreach_sqrt(torch._foreach_div(v, 1 - beta2**count))
    torch._foreach_add_(scale, eps)
    new = torch._foreach_addcdiv([params[n] for n in names], g, scale, value=-lr)
    return params | dict(zip(names, new)), second | dict(zip(names, v))
