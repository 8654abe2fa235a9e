"""Learning-rate schedules are pure functions of the step."""

from __future__ import annotations

import math

import pytest

from kshot.errors import UserError
from kshot.training.schedules import SCHEDULES, build_schedule


def test_constant_is_one() -> None:
    assert {build_schedule("constant", 10)(s) for s in range(10)} == {1.0}


def test_step_halves_every_2000_steps_as_in_snell_2017() -> None:
    factor = build_schedule("step", 10_000, decay_every=2000, decay_factor=0.5)
    assert [factor(s) for s in (0, 1999, 2000, 3999, 4000, 9999)] == [1, 1, 0.5, 0.5, 0.25, 1 / 16]


def test_step_decays_after_each_third_by_default() -> None:
    factor = build_schedule("step", 30)
    assert [factor(s) for s in (0, 9, 10, 19, 20, 29)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_cosine_falls_from_one_to_zero() -> None:
    factor = build_schedule("cosine", 100)
    assert factor(0) == 1.0
    assert factor(50) == pytest.approx(0.5)
    assert factor(25) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert 0 < factor(99) < 0.001
    assert factor(100) == 0.0


def test_linear_falls_to_zero() -> None:
    assert [build_schedule("linear", 4)(s) for s in range(5)] == [1, 0.75, 0.5, 0.25, 0]


@pytest.mark.parametrize("name", SCHEDULES)
def test_warmup_grows_to_the_whole_rate_and_then_the_schedule_begins(name: str) -> None:
    factor = build_schedule(name, 100, warmup=4)
    assert [factor(s) for s in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factor(10) == build_schedule(name, 96)(6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_factor_lies_between_zero_and_one_and_never_rises(name: str) -> None:
    factors = [build_schedule(name, 50)(s) for s in range(50)]
    assert all(0 < f <= 1 for f in factors)
    assert factors == sorted(factors, reverse=True)


def test_mistakes_are_explained() -> None:
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        build_schedule("cosin", 10)
    with pytest.raises(UserError, match=r"warmup must be .* less than the 10 steps"):
        build_schedule("cosine", 10, warmup=10)
