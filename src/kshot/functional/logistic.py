"""Multinomial logistic regression, batched over tasks: the linear head of frozen features.

    W, b = argmin  sum_s CE(x_s W + b, y_s) + lambda / 2 ||W||^2

which is scikit-learn's objective with C = 1 / lambda (b is not penalised).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .ridge import eye_like

STEPS = 2000  # at most; unit features need about 50
CHECKS = 10  # steps between looks at whether all tasks are done


def logistic(x: Tensor, ys: Tensor, way: int, lam: float) -> tuple[Tensor, Tensor]:
    """The solution W [T, D, N], b [T, N] for inputs x [T, S, D] and labels ys [T, S].

    The Hessian of the softmax is at most half that of least squares (Boehning 1992), so a fixed matrix, inverted once,
    gives steps that never overshoot; they are accelerated (Nesterov 1983) and start anew where the momentum points
    uphill (O'Donoghue & Candes 2015). W lies in the span of the inputs: where there are fewer examples than features,
    it is sought there. Every task stops by itself, so its solution does not depend on its companions.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if x.shape[1] < x.shape[2]:
        basis, small = torch.linalg.qr(x.transpose(-1, -2))  # [T, D, S], [T, S, S]: x = small' basis'
        w, b = _solve(small.transpose(-1, -2), ys, way, lam)
        return basis @ w, b
    return _solve(x, ys, way, lam)


def _solve(x: Tensor, ys: Tensor, way: int, lam: float) -> tuple[Tensor, Tensor]:
    target = F.one_hot(ys, way).to(x.dtype)  # [T, S, N]
    x = F.pad(x, (0, 1), value=1.0)  # the last input is the bias
    xt = x.transpose(-1, -2)
    penalty = torch.full_like(x[0, 0], lam)
    penalty[-1] = 0
    inverse = torch.linalg.inv(xt @ x / 2 + penalty * eye_like(x, x.shape[-1]))  # [T, D, D]

    def gradient(v: Tensor) -> Tensor:
        return xt @ ((x @ v).softmax(-1) - target) + penalty[:, None] * v

    enough = 10 * torch.finfo(x.dtype).eps
    v = ahead = xt @ target * 0  # [T, D, N]
    age = x.new_zeros(len(x), 1, 1)
    done = torch.zeros_like(age, dtype=torch.bool)
    for i in range(1, STEPS + 1):
        g = gradient(ahead)
        new = torch.where(done, v, ahead - inverse @ g)
        move = new - v
        age = torch.where((g * move).sum((1, 2), keepdim=True) > 0, 0.0, age + 1)
        ahead = new + age / (age + 3) * move
        done = done | (move.abs().amax((1, 2), keepdim=True) <= enough * new.abs().amax((1, 2), keepdim=True))
        v = new
        if i % CHECKS == 0 and bool(done.all()):
            break
    return v[:, :-1], v[:, -1]
