"""Which examples of which classes make a task: index arithmetic alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional import random
from ..functional.instances import instance_numbers

SMALL_CLASS = 64  # below this many pictures, sorting random keys is the fastest way to pick some of them


@dataclass(frozen=True)
class Episode:
    """Where the parts of T tasks come from.

    Attributes:
        classes: int64 [T, N].
        support, query: int64 [T, S] and [T, Q], numbers of examples within their class.
        ys, yq: int64 [T, S] and [T, Q], labels.
    """

    classes: Tensor
    support: Tensor
    query: Tensor
    ys: Tensor
    yq: Tensor


def draw_episode(
    key: Tensor, classes: Tensor, counts: Tensor, bounds: tuple[int, int], shot: int, query: int, balanced: bool = True
) -> Episode:
    """Pick shot + query different examples of every class, in shuffled order of the whole query (and support) set.

    Args:
        key: int64 [T].
        classes: int64 [T, N].
        counts: int64 [T, N], how many examples each class has.
        bounds: the smallest and the largest number of examples that any class of the data has.
        balanced: otherwise the class of each of the N * shot support examples is drawn by itself.
    """
    N = classes.shape[1]
    fewest, most = bounds
    k = shot + query if balanced else min(N * shot + query, fewest)
    per_class = random.fold(key[:, None], torch.arange(1, N + 1))  # [T, N]
    if most <= SMALL_CLASS:
        words = random.bits(per_class, most)  # [T, N, most]
        if fewest < most:
            words = words.masked_fill(torch.arange(most) >= counts[..., None], torch.iinfo(torch.int64).max)
        picks = random.order(words)[..., :k]  # [T, N, k]
    else:
        picks = random.distinct(per_class, k, counts)  # [T, N, k]
    shuffles = random.fold(key, torch.tensor([[-1], [-2]]))  # [2, T]
    support, ys = (shuffled if balanced else sequence)(shuffles[0], picks[..., : k - query], shot)
    queries, yq = shuffled(shuffles[1], picks[..., k - query :], query)
    return Episode(classes, support, queries, ys, yq)


def shuffled(key: Tensor, picks: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """All of picks [T, N, size] and their labels in random order: [T, N*size] both."""
    order = random.permutation(key, picks.shape[1] * size)  # [T, N*size]
    return picks.flatten(1).gather(1, order), order // size


def sequence(key: Tensor, picks: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """N * size examples of random classes, those of a class in the order of picks [T, N, P], which may repeat."""
    N, P = picks.shape[1:]
    ys = random.integers(key, N * size, high=N)  # [T, N*size]
    return picks.flatten(1).gather(1, ys * P + instance_numbers(ys) % P), ys
