"""Parts of recurrent networks: the LSTM cell, and weights whose gradient is taken once for all steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def lstm_cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c after a step (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    Args:
        gates: input, forget and output gate and the candidate, in this order, before their nonlinearities: [..., 4*H].
        c: the cell before [..., H].
    """
    H = c.shape[-1]
    i, f, o = torch.sigmoid(gates[..., : 3 * H]).split(H, -1)
    c = f * c + i * torch.tanh(gates[..., 3 * H :])
    return o * torch.tanh(c), c


class Once:
    """A weight W that every step t of a loop applies to some v_t, with one gradient for all steps.

    Backpropagation through time adds up L products v_t^T g_t, each as large as W, for steps of small batches. The
    same sum is one product of all v and all g, which this takes at the end:

        x = once(x, W)              before the loop, where step t computes x_t + v_t @ W.detach()
        once.inputs = v             after it

    so that the gradient of x_t is g_t, and W gets sum_t v_t^T g_t. Gradients cannot be differentiated again.
    """

    @property
    def inputs(self) -> Tensor:
        """All v [L, B, D]. Kept without their graph: it leads back to this object, and neither would ever be freed."""
        return self._inputs

    @inputs.setter
    def inputs(self, v: Tensor) -> None:
        self._inputs = v.detach()

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        """x [L, B, G] as it is; weight: [D, G]; inputs: [L, B, D]."""
        found: Tensor = _Once.apply(x, weight, self)
        return found


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, once: Once) -> Tensor:
        ctx.once = once
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (g,) = gradients
        v = ctx.once.inputs
        return g, v.flatten(0, 1).T.to(g.dtype) @ g.flatten(0, 1), None
