"""Calibration: are predictions made with probability p right with frequency p? Guo et al., ICML 2017.

A temperature divides the logits before the softmax, and so makes all probabilities more or less sure without changing
which is the largest:

    p(y = n | x) = softmax_n(z(x) / T)                              (eq. 9)
    ECE = sum_b |B_b| / M * |acc(B_b) - conf(B_b)|                  (eq. 3; bins of equal width over the confidence)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 15
COLDEST, HOTTEST = 1e-2, 1e2  # temperatures; where no query is wrong, the likelihood has no maximum
HALVINGS = 48  # of the logarithm of that range: more than a float64 can tell
NEVER = -1e7  # a logit that no temperature brings back: of a class that the task does not have


def fit_temperature(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> float:
    """The T between 0.01 and 100 that minimises the negative log-likelihood of the labels under softmax(z / T).

    With b = 1 / T it is convex, and its derivative is the mean of sum_n p_n z_n - z_y: the root is found by bisection.
    Logits that say nothing (all of a row equal) leave T = 1.

    Args:
        logits: z [M, N], finite; -inf for a class that a row does not have.
        labels: y int64 [M].
        smoothing: the part of every label that is spread over all classes (which all rows must have then): with few
            rows, none of them wrong, the likeliest temperature is as cold as can be.
    """
    z = logits.detach().to("cpu", torch.float64)
    if z.ndim != 2 or labels.shape != z.shape[:1] or len(z) == 0:
        raise ValueError(f"needs logits [M, N] and labels [M]; got {tuple(z.shape)} and {tuple(labels.shape)}")
    z = (z - z.amax(-1, keepdim=True)).clamp_min(NEVER)
    true = (1 - smoothing) * z.gather(-1, labels.to("cpu")[:, None]).mean() + smoothing * z.mean()

    def slope(log_b: float) -> float:
        return float(((z * math.exp(log_b)).softmax(-1) * z).sum(-1).mean() - true)

    low, high = -math.log(HOTTEST), -math.log(COLDEST)
    if slope(low) == slope(high) == 0:
        return 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def negative_log_likelihood(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> float:
    """The mean over M of -log p(y | x): logits [M, N], labels [M]."""
    z = logits.detach().to("cpu", torch.float64).clamp_min(NEVER) / temperature
    return float(F.cross_entropy(z, labels.to("cpu")))


def confidence(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """The probability of the most probable class: logits [..., N] -> float64 [...]."""
    return (logits.double() / temperature).softmax(-1).amax(-1)


@dataclass(frozen=True)
class Reliability:
    """Predictions by their confidence, in B bins of equal width: bin b holds those in (b / B, (b + 1) / B].

    Two of them add up to that of all their predictions.

    Attributes:
        count: how many predictions a bin holds, float64 [B].
        confidence: the sum of their confidences [B].
        right: how many of them are right [B].
    """

    count: Tensor
    confidence: Tensor
    right: Tensor

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(self.count + other.count, self.confidence + other.confidence, self.right + other.right)

    @property
    def ece(self) -> float:
        """The expected calibration error, in percent; NaN without predictions."""
        gap = (self.right - self.confidence).abs().sum()
        return float(100 * gap / self.count.sum())

    def rows(self) -> list[tuple[int, float, float]]:
        """Of each bin: how many, their mean confidence and the part that is right; zeros where it is empty."""
        n = self.count.clamp_min(1)
        return list(zip(self.count.int().tolist(), (self.confidence / n).tolist(), (self.right / n).tolist()))


def reliability(confidence: Tensor, right: Tensor, bins: int = BINS) -> Reliability:
    """Sort predictions into bins.

    Args:
        confidence: in 0..1, any shape; what is not a number is left out.
        right: bool, the same shape.
        bins: B.
    """
    p, right = confidence.double().flatten(), right.double().flatten()
    known = ~p.isnan()
    p = p.where(known, 0.0)
    b = ((p * bins).ceil().long() - 1).clamp(0, bins - 1)
    empty = torch.zeros(bins, dtype=torch.float64, device=p.device)
    parts = (known.double(), p, right * known)
    return Reliability(*(empty.index_add(0, b, part).cpu() for part in parts))
