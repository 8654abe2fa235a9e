"""Distances and similarities between sets of vectors, batched over tasks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def squared_euclidean(a: Tensor, b: Tensor) -> Tensor:
    """||a_i - b_j||^2 of a [..., Q, D] and b [..., N, D]: [..., Q, N].

    Expanded to ||a||^2 - 2 a.b + ||b||^2 (one matrix product); rounding may make a zero slightly negative, so it is
    clamped at 0.
    """
    squares = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :]
    return (squares - 2 * a @ b.transpose(-1, -2)).clamp_min(0)


def cosine(a: Tensor, b: Tensor, eps: float = 1e-8) -> Tensor:
    """Cosine similarity of a [..., Q, D] and b [..., N, D]: [..., Q, N] in [-1, 1]."""
    return F.normalize(a, dim=-1, eps=eps) @ F.normalize(b, dim=-1, eps=eps).transpose(-1, -2)
