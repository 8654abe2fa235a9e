"""One step of a neural Turing machine: a controller, and heads that read and write a memory (see lrua.py).

    h_t = controller(x_t, r_{t-1});           k_t, a_t, alpha_t, beta_t = linear(h_t)
    M_t = write(a_t, M_{t-1}, alpha_t);       r_t = read(k_t, M_t, beta_t)

B: batch, U: units of the controller, H: heads, R: rows of the memory, W: their width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import lrua
from .recurrent import lstm_cell


@dataclass(frozen=True)
class Sizes:
    """What a step must know: H units of the controller, heads (0 without a memory), R rows of W entries, options."""

    units: int
    heads: int
    rows: int
    width: int
    controller: str
    separate: bool
    learn_strength: bool
    strength: float
    decay: float
    read_first: bool

    @property
    def output(self) -> int:
        """Length of [h, r]."""
        return self.units + self.heads * self.width

    @property
    def parameters(self) -> int:
        """What the heads want of the controller: a key, perhaps a vector, a gate and perhaps a strength each."""
        return self.heads * (self.width * (1 + self.separate) + 1 + self.learn_strength)

    @property
    def gates(self) -> int:
        """Length of what the controller's nonlinearities get."""
        return self.units * (4 if self.controller == "lstm" else 1)

    @property
    def fed(self) -> int:
        """Length of what is fed back."""
        return self.output - (0 if self.controller == "lstm" else self.units)

    def fed_back(self, output: Tensor) -> Tensor:
        """What the next step sees of [h, r]: without recurrence in the controller only r."""
        return output if self.controller == "lstm" else output[..., self.units :]


class State(NamedTuple):
    """Before step t: [h_{t-1}, r_{t-1}] together [B, D], the cell c_{t-1} [B, H], and the memory."""

    output: Tensor
    cell: Tensor
    memory: lrua.Memory


class Inputs(NamedTuple):
    """What the steps add: to the controller's gates [L, B, G], and to the heads' parameters [L, B, P]."""

    gates: Tensor
    heads: Tensor


def first_state(sizes: Sizes, like: Tensor) -> State:
    """Before the first step of B sequences; like: [B, ...]."""
    B = len(like)
    rows, width = (sizes.rows, sizes.width) if sizes.heads else (1, 1)
    memory = lrua.empty(B, max(sizes.heads, 1), rows, width, like)
    return State(like.new_zeros(B, sizes.output), like.new_zeros(B, sizes.units), memory)


def heads_of(raw: Tensor, sizes: Sizes) -> lrua.Wanted:
    """Keys and vectors in (-1, 1), gates sigma(alpha) in (0, 1), strengths above 0: raw [..., P]."""
    H, W = sizes.heads, sizes.width
    pieces = raw.split([H * W] * (2 if sizes.separate else 1) + [H] * (2 if sizes.learn_strength else 1), -1)
    keys = torch.tanh(pieces[0]).unflatten(-1, (H, W))
    vectors = torch.tanh(pieces[1]).unflatten(-1, (H, W)) if sizes.separate else keys
    gate = torch.sigmoid(pieces[1 + sizes.separate])
    strength = F.softplus(pieces[-1]) if sizes.learn_strength else torch.full_like(gate, sizes.strength)
    return lrua.Wanted(keys, vectors, gate, strength)


def control(gates: Tensor, cell: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """h and c of the controller."""
    return lstm_cell(gates, cell) if sizes.controller == "lstm" else (torch.tanh(gates), cell)


def step(
    state: State, x: Inputs, recurrent: Tensor, to_heads: Tensor, *, sizes: Sizes, traced: bool = False
) -> tuple[State, Any]:
    """One step; y: what the output layer sees, [h_t, r_t], and if traced, the weights w^r, w^w and w^u."""
    h, cell = control(x.gates + sizes.fed_back(state.output) @ recurrent, state.cell, sizes)
    if not sizes.heads:
        return State(h, cell, state.memory), h
    wanted = heads_of(x.heads + h @ to_heads, sizes)
    memory, r, written = lrua.access(state.memory, wanted, sizes.decay, sizes.read_first)
    output = torch.cat([h, r.flatten(-2)], -1)
    return State(output, cell, memory), (output, memory.read, written, memory.usage) if traced else output
