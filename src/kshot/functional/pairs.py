"""Verification pairs: which pictures of a task are compared with which."""

from __future__ import annotations

import torch
from torch import Tensor

from . import random


def draw_pairs(labels: Tensor, key: Tensor, partners: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Partners of the same and of another class for every picture, at random and never the picture itself.

    Args:
        labels: int64 [T, P].
        key: int64 [T], of the random numbers.
        partners: of each kind that a picture gets, all different; at most P.

    Returns:
        same: numbers of the partners of the same class, int64 [T, P, partners].
        has_same: which of them exist (a class may have too few pictures), bool [T, P, partners].
        other, has_other: likewise of other classes.
    """
    alike = labels[:, :, None] == labels[:, None]  # [T, P, P]
    itself = torch.eye(labels.shape[1], dtype=torch.bool, device=labels.device)
    ticket = random.uniform(key, *alike.shape[1:])  # [T, P, P]
    same = ticket.masked_fill(~alike | itself, -1).topk(partners, -1)
    other = ticket.masked_fill(alike, -1).topk(partners, -1)
    return same.indices, same.values >= 0, other.indices, other.values >= 0


def mean_of(values: Tensor, which: Tensor) -> Tensor:
    """Mean of those values [T, ...] of each task that `which` marks: [T]; NaN where there is none."""
    return (values * which).flatten(1).sum(1) / which.flatten(1).sum(1)
