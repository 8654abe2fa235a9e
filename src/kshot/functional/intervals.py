"""Confidence intervals: Student's t over tasks, paired differences, proportions (Wilson 1927; Clopper & Pearson 1934).

Values of tasks are independent draws, so the mean of n of them has the interval mean +- t_{n-1} s / sqrt(n). A query is
not an independent draw (the queries of a task share its support set): intervals over queries would be too short.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def student_quantile(level: float, freedom: int) -> float:
    """The t for which a Student variable of that many degrees of freedom lies in [-t, t] with probability `level`."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))


def mean_interval(values: Tensor, level: float = 0.95) -> tuple[float, float]:
    """Mean of values [n] and the half-width of its interval, in the unit of the values.

    A single value says nothing about its spread: the half-width is then NaN.
    """
    x = values.detach().to("cpu", torch.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"an interval needs values [n] with n >= 1; got shape {tuple(x.shape)}")
    n = len(x)
    mean = float(x.mean())
    if n == 1:
        return mean, math.nan
    return mean, student_quantile(level, n - 1) * float(x.std()) / math.sqrt(n)


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences a - b.

    Attributes:
        mean: of the differences, in the unit of the values.
        ci95: half-width of its 95 % interval.
        p: two-sided p-value of Student's paired t-test (the probability of such a mean if both were equally good).
        n: number of pairs.
    """

    mean: float
    ci95: float
    p: float
    n: int


def paired_difference(a: Tensor, b: Tensor) -> Difference:
    """Student's paired test of values a [n] and b [n] measured on the same n tasks."""
    if a.shape != b.shape:
        raise ValueError(f"pairs need as many values on both sides; got {tuple(a.shape)} and {tuple(b.shape)}")
    from scipy.special import stdtr

    d = a.detach().to("cpu", torch.float64) - b.detach().to("cpu", torch.float64)
    n = len(d)
    mean, half = mean_interval(d)
    spread = float(d.std()) / math.sqrt(n) if n > 1 else math.nan
    if n == 1:
        p = math.nan
    elif spread == 0.0:  # every pair differs by the same amount
        p = 1.0 if mean == 0.0 else 0.0
    else:
        p = 2.0 * float(stdtr(n - 1, -abs(mean) / spread))
    return Difference(mean, half, p, n)


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (low, high) of a proportion, for independent trials; fractions in 0..1."""
    _check_proportion(successes, trials)
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    p = successes / trials
    centre = p + z * z / (2 * trials)
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == trials else (centre + half) / scale
    return low, high


def binomial_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper & Pearson's exact interval (low, high) of a proportion; it covers at least `level` for every p."""
    _check_proportion(successes, trials)
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high


def _check_proportion(successes: int, trials: int) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"a proportion needs 0 <= successes <= trials and trials >= 1; got {successes} of {trials}")
