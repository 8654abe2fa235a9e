"""Full context embeddings (Vinyals et al. 2016, section 2.1.2 and appendix A): every example seen beside the others.

Gates of the LSTMs are affine: weight [4D, inputs] and bias [4D], in the order of `recurrent.lstm_cell`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .recurrent import lstm_cell
from .scan import scan

Gates = tuple[Tensor, Tensor]  # weight, bias


def lstm_outputs(x: Tensor, gates: Gates) -> Tensor:
    """The outputs of an LSTM that reads x along its axis 1, from zero states: [T, S, D] -> [T, S, D].

    Args:
        gates: weight [4D, 2D] for x_i and the output before.
    """
    weight, bias = gates
    D = x.shape[-1]
    start = x.new_zeros(len(x), D)

    def step(state: tuple[Tensor, Tensor], g: Tensor, back: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        h, c = lstm_cell(g + state[0] @ back, state[1])
        return (h, c), h

    given = F.linear(x, weight[:, :D], bias).transpose(0, 1)  # [S, T, 4D]
    return scan(step, (start, start), given, weight[:, D:].T)[1].transpose(0, 1)


def support_context(x: Tensor, forwards: Gates, backwards: Gates) -> Tensor:
    """g(x_i, S) = h_i forwards + h_i backwards + g'(x_i), where x = g' [T, S, D]."""
    return lstm_outputs(x, forwards) + lstm_outputs(x.flip(1), backwards).flip(1) + x


def read(h: Tensor, g: Tensor) -> Tensor:
    """r = sum_i softmax_i(h . g_i) g_i for h [T, Q, D] and g [T, S, D]: [T, Q, D]."""
    return (h @ g.transpose(-1, -2)).softmax(-1) @ g


def query_context(f: Tensor, g: Tensor, gates: Gates, reads: int) -> Tensor:
    """f(x, S) = h_K after K reads of the support set, each query on its own, from h_0 = f'(x) and c_0 = 0:

        h^_k, c_k = LSTM(f'(x), [h_{k-1}, r_{k-1}], c_{k-1}),    h_k = h^_k + f'(x)

    Args:
        f: f' of the queries [T, Q, D].
        g: the support set [T, S, D].
        gates: weight [4D, 3D] for f', h and r.
        reads: K.
    """
    weight, bias = gates
    D = f.shape[-1]
    given = F.linear(f, weight[:, :D], bias)  # [T, Q, 4D]
    h, c = f, torch.zeros_like(f)
    for _ in range(reads):
        out, c = lstm_cell(given + torch.cat([h, read(h, g)], -1) @ weight[:, D:].T, c)
        h = out + f
    return h
