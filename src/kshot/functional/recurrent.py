"""Parts of recurrent networks as pure functions."""

from __future__ import annotations

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
