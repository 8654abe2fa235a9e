"""Inner loops: gradient steps on a task that can themselves be differentiated and batched over tasks.

Parameters are dicts name -> tensor, as `torch.func.functional_call` takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor
from torch.func import grad

Params = dict[str, Tensor]


def inner_sgd(
    loss: Callable[[Params], Tensor],
    params: Params,
    adapted: Collection[str],
    *,
    alpha: float,
    steps: int,
    first_order: bool,
) -> list[Params]:
    """theta_0..theta_k of k steps theta_{i+1} = theta_i - alpha grad loss(theta_i) (Finn et al. 2017, eq. 1).

    Args:
        loss: of a dict with all parameters.
        params: theta_0; what is not adapted is passed on unchanged.
        adapted: names of the parameters that the steps change.
        first_order: take the inner gradients as constants, so that d theta_k / d theta_0 is the identity.
    """
    path = [params]
    for _ in range(steps):
        at = {n: p.detach() for n, p in path[-1].items()} if first_order else path[-1]
        fixed = {n: p for n, p in at.items() if n not in adapted}
        g = grad(lambda a, fixed=fixed: loss(fixed | a))({n: at[n] for n in adapted})
        path.append({n: p - alpha * g[n] if n in g else p for n, p in path[-1].items()})
    return path


def adam_step(
    params: Params, grads: Params, second: Params, count: int, *, lr: float, beta2: float = 0.999, eps: float = 1e-8
) -> tuple[Params, Params]:
    """One step of Adam with beta_1 = 0, the inner optimiser of Reptile (Nichol et al. 2018, section 6).

    Args:
        params: what the step changes, where it has a gradient.
        grads: gradients by name.
        second: running means of the squared gradients, by the same names.
        count: number of this step, from 1 (for the bias correction).
        lr: step size.
        beta2: decay of the running means.
        eps: added to the root.

    Returns:
        the new parameters and the new second moments.
    """
    moments = {n: beta2 * second[n] + (1 - beta2) * g * g for n, g in grads.items()}
    correction = 1 - beta2**count
    new = {n: params[n] - lr * g / (torch.sqrt(moments[n] / correction) + eps) for n, g in grads.items()}
    return params | new, moments
