"""A memory that is read by content and written by least recently used access (Santoro et al. 2016, sections 3.1, 3.2).

    K(k, M(i)) = <k, M(i)> / (|k| |M(i)|)
    w^r_t(i)   = softmax_i(beta K(k_t, M_t(i)))             beta = 1 in the paper
    r_t        = sum_i w^r_t(i) M_t(i)
    w^u_t      = gamma w^u_{t-1} + w^r_t + w^w_t            summed over the heads
    w^lu_t(i)  = 1 if w^u_t(i) <= m(w^u_t, n), else 0       m: the n-th smallest entry, n: the number of heads
    w^w_t      = sigma(alpha_t) w^r_{t-1} + (1 - sigma(alpha_t)) w^lu_{t-1}
    M_t(i)     = M_{t-1}(i) + w^w_t(i) k_t                  after the least used row of t-1 was set to zero

B: batch (any number of leading dimensions), H: heads, R: rows of the memory, W: their width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EMPTY = 1e-6  # every entry of an empty memory; a row without direction would have no cosine
SMALLEST = 1e-4  # added to squared lengths: the traces that soft writes leave in every row are no content


def cosine_to_rows(keys: Tensor, memory: Tensor) -> Tensor:
    """K(k, M(i)): keys [B, H, W] and memory [B, R, W] -> [B, H, R]."""
    inner = keys @ memory.mT  # [B, H, R]
    rows = (memory.square().sum(-1) + SMALLEST).rsqrt()  # [B, R]
    return inner * (keys.square().sum(-1) + SMALLEST).rsqrt()[..., None] * rows[..., None, :]


def read_weights(keys: Tensor, memory: Tensor, strength: Tensor) -> Tensor:
    """w^r: keys [B, H, W], memory [B, R, W] and strengths beta [B, H] -> [B, H, R], which sum to 1 over the rows."""
    return torch.softmax(strength[..., None] * cosine_to_rows(keys, memory), -1)


def read(weights: Tensor, memory: Tensor) -> Tensor:
    """r: weights [B, H, R] and memory [B, R, W] -> [B, H, W]."""
    return weights @ memory


def least_used(usage: Tensor, n: int) -> Tensor:
    """The n least used rows, least first: usage [B, R] -> int64 [B, n]. Of equal rows any may be taken."""
    return usage.topk(n, -1, largest=False).indices


def marks(rows: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """w^lu: row numbers [B, n] -> [B, R] with exactly n ones and zeros elsewhere, R = count."""
    return torch.zeros(*rows.shape[:-1], count, dtype=dtype, device=rows.device).scatter(-1, rows, 1.0)


def write_weights(gate: Tensor, last_read: Tensor, least: Tensor) -> Tensor:
    """w^w: gates sigma(alpha) [B, H], w^r of the step before [B, H, R] and its w^lu [B, R] -> [B, H, R]."""
    gate = gate[..., None]
    return gate * last_read + (1 - gate) * least[..., None, :]


def write(memory: Tensor, weights: Tensor, vectors: Tensor, erased: Tensor) -> Tensor:
    """M after one row was erased and vectors [B, H, W] were added by weights [B, H, R].

    Args:
        memory: [B, R, W].
        erased: 1 at the row to set to zero first, 0 elsewhere: [B, R].
    """
    return memory * (1 - erased)[..., None] + weights.mT @ vectors


def next_usage(usage: Tensor, read: Tensor, written: Tensor, decay: float) -> Tensor:
    """w^u: usage of the step before [B, R], and the weights [B, H, R] of this one -> [B, R]."""
    return decay * usage + read.sum(-2) + written.sum(-2)


class Memory(NamedTuple):
    """What a step finds: rows M [B, R, W], weights w^r of the last read [B, H, R], and usage w^u [B, R]."""

    rows: Tensor
    read: Tensor
    usage: Tensor


def empty(batch: int, heads: int, rows: int, width: int, like: Tensor) -> Memory:
    """The memory before the first step: every entry tiny, the first row the one last read and used."""
    first = like.new_zeros(batch, rows)
    first[:, 0] = 1
    return Memory(like.new_full((batch, rows, width), EMPTY), first[:, None].repeat(1, heads, 1), first)


class Wanted(NamedTuple):
    """What a step asks of the memory: keys and vectors [B, H, W], gates sigma(alpha) and strengths beta [B, H]."""

    keys: Tensor
    vectors: Tensor
    gate: Tensor
    strength: Tensor


def access(memory: Memory, wanted: Wanted, decay: float, read_first: bool = False) -> tuple[Memory, Tensor, Tensor]:
    """One step: the memory after it, what was read [B, H, W], and w^w [B, H, R].

    Usage decides where is written, but has no gradient: w^lu is a choice.

    Args:
        read_first: read M_{t-1} and then write, so that a step cannot find what it writes itself.
    """
    n, count = memory.read.shape[-2:]
    low = least_used(memory.usage.detach(), n)  # [B, H]
    least, erased = (marks(rows, count, memory.rows.dtype) for rows in (low, low[..., :1]))  # [B, R]
    written = write_weights(wanted.gate, memory.read, least)
    rows = write(memory.rows, written, wanted.vectors, erased)
    seen = memory.rows if read_first else rows
    weights = read_weights(wanted.keys, seen, wanted.strength)
    usage = next_usage(memory.usage, weights.detach(), written.detach(), decay)
    return Memory(rows, weights, usage), read(weights, seen), written
