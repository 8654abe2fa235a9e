"""Intervals agree with scipy's, with numbers worked by hand, and cover what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kshot.functional.intervals import (
    binomial_interval,
    mean_interval,
    paired_difference,
    student_quantile,
    wilson_interval,
)

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=40)


def test_four_values_by_hand() -> None:
    """1, 2, 3, 4: s = sqrt(5/3), t_3 = 3.18245, half = 3.18245 * 1.29099 / 2."""
    mean, half = mean_interval(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert half == pytest.approx(2.05426, abs=1e-5)


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.7062), (4, 2.7764), (30, 2.0423), (599, 1.9639), (999, 1.9623)])
def test_student_quantiles_of_the_printed_tables(freedom: int, t: float) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(t, abs=5e-5)


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_mean_interval_is_scipys(values: list[float]) -> None:
    mean, half = mean_interval(torch.tensor(values, dtype=torch.float64))
    error = stats.sem(values)
    low, high = (
        (np.mean(values),) * 2 if error == 0 else stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
    )
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=1e-9, rel=1e-9)


def test_one_value_says_nothing_about_its_spread() -> None:
    mean, half = mean_interval(torch.tensor([3.0]))
    assert mean == 3.0
    assert math.isnan(half)
    with pytest.raises(ValueError, match=r"values \[n\] with n >= 1"):
        mean_interval(torch.tensor([]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=3, max_size=30))
def test_paired_difference_is_scipys_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    a, b = (torch.tensor(side, dtype=torch.float64) for side in zip(*pairs))
    found = paired_difference(a, b)
    if float((a - b).std()) < 1e-9:
        return
    expected = stats.ttest_rel(a.numpy(), b.numpy())
    low, high = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert (found.mean - found.ci95, found.mean + found.ci95) == pytest.approx((low, high), abs=1e-8)


def test_pairs_that_all_differ_alike() -> None:
    x = torch.tensor([1.0, 5.0, 2.0])
    assert paired_difference(x, x).p == 1.0
    assert paired_difference(x + 1, x).p == 0.0
    assert paired_difference(x + 1, x).ci95 == 0.0
    with pytest.raises(ValueError, match="as many values"):
        paired_difference(x, x[:2])


def test_pairing_removes_what_the_tasks_have_in_common() -> None:
    """Hard and easy tasks spread both methods by 10 points; the difference of 1 is still plain."""
    draw = torch.Generator().manual_seed(0)
    task = torch.randn(200, generator=draw, dtype=torch.float64) * 10
    a, b = (task + gain + torch.randn(200, generator=draw, dtype=torch.float64) for gain in (1.0, 0.0))
    paired = paired_difference(a, b)
    assert paired.mean - paired.ci95 > 0.5
    assert mean_interval(a)[1] > 1.0


def test_wilson_by_hand() -> None:
    """7 of 10 with z = 1.959964: centre (0.7 + z^2/20) / (1 + z^2/10)."""
    assert wilson_interval(7, 10) == pytest.approx((0.396774, 0.892210), abs=1e-5)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (1, 5), (5, 5), (7, 10), (317, 400), (0, 400)])
def test_proportions_are_scipys(k: int, n: int) -> None:
    test = stats.binomtest(k, n)
    for found, method in ((wilson_interval(k, n), "wilson"), (binomial_interval(k, n), "exact")):
        expected = test.proportion_ci(0.95, method)
        assert found == pytest.approx((expected.low, expected.high), abs=1e-9)
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(n + 1, n)


def test_the_interval_covers_the_truth_95_times_of_100() -> None:
    """Accuracies of 30 tasks of 15 queries each, 2,000 times; three standard errors of the count are 1.5 points."""
    draw = torch.Generator().manual_seed(0)
    values = torch.rand(2000, 30, 15, generator=draw, dtype=torch.float64).lt(0.8).double().mean(-1)
    covered = sum(abs(mean - 0.8) <= half for mean, half in map(mean_interval, values))
    assert 0.935 <= covered / 2000 <= 0.965
