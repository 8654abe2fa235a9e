"""Prototypes and attention: from embedded support sets to class scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def class_means(features: Tensor, ys: Tensor, way: int) -> Tensor:
    """Prototypes c_n = mean of the features of class n (Snell et al. 2017, eq. 1).

    Args:
        features: [T, S, D].
        ys: labels 0..way-1, int64 [T, S]; every class needs at least one example.

    Returns:
        [T, N, D].
    """
    member = F.one_hot(ys, way).to(features.dtype).transpose(-1, -2)  # [T, N, S]
    return (member @ features) / member.sum(-1, keepdim=True)


def linear_head(prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """The linear layer that a prototypical network is (Snell et al. 2017, eq. 8): w = 2 c, b = -||c||^2.

    w.f + b = -||f - c||^2 + ||f||^2, so the softmax over classes is the same.

    Args:
        prototypes: c, [..., N, D].

    Returns:
        weight [..., N, D] and bias [..., N].
    """
    return 2 * prototypes, -prototypes.square().sum(-1)


def nearest_scores(similarity: Tensor, ys: Tensor, way: int) -> Tensor:
    """The largest similarity of each class: similarity [T, Q, S], labels [T, S] -> [T, Q, N]."""
    other = ~F.one_hot(ys, way).bool()  # [T, S, N]
    return similarity[..., None].masked_fill(other[:, None], -torch.inf).amax(2)


def attention_log_probs(similarity: Tensor, ys: Tensor, way: int) -> Tensor:
    """log P(y | x, S) with P = sum_i softmax_i(similarity) y_i (Vinyals et al. 2016, eq. 1).

    Computed as a difference of log-sum-exps, so that it neither underflows nor needs a clamp; a class without
    support has probability 0.

    Args:
        similarity: c(f(x), g(x_i)), [T, Q, S].
        ys: labels [T, S].

    Returns:
        [T, Q, N].
    """
    other = ~F.one_hot(ys, way).bool()  # [T, S, N]
    per_class = similarity[..., None].masked_fill(other[:, None], -torch.inf).logsumexp(2)  # [T, Q, N]
    return per_class - similarity.logsumexp(-1, keepdim=True)
