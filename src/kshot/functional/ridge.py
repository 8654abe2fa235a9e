"""Ridge regression in closed form, batched over tasks: W = argmin ||x W - y||^2 + lambda ||W||^2.

Two forms give the same W (Woodbury): the primal one solves a system of D unknowns, the dual one of S.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ridge(x: Tensor, y: Tensor, lam: Tensor | float) -> Tensor:
    """W [T, D, N] of inputs x [T, S, D] and targets y [T, S, N], by the smaller of the two systems.

    Computed in single precision at least, also where the network's arithmetic is mixed.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        return (dual if x.shape[-2] < x.shape[-1] else primal)(x, y.to(x.dtype), lam)


def primal(x: Tensor, y: Tensor, lam: Tensor | float) -> Tensor:
    """(x' x + lambda I)^-1 x' y."""
    xt = x.transpose(-1, -2)
    return torch.linalg.solve(xt @ x + lam * eye_like(x, x.shape[-1]), xt @ y)


def dual(x: Tensor, y: Tensor, lam: Tensor | float) -> Tensor:
    """x' (x x' + lambda I)^-1 y (Bertinetto et al. 2019)."""
    xt = x.transpose(-1, -2)
    return xt @ torch.linalg.solve(x @ xt + lam * eye_like(x, x.shape[-2]), y)


def eye_like(x: Tensor, n: int) -> Tensor:
    """The identity [n, n] in the type of x."""
    return torch.eye(n, dtype=x.dtype, device=x.device)
