"""Constructors become flags: every argument, with its type, its default and its documentation."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Literal

import pytest

from cli_support import fine
from kshot.backbones import BACKBONES
from kshot.cli.docs import argument_help, summary
from kshot.cli.flags import Flag, count, flag_of, pairs
from kshot.cli.train import backbone_flags, method_flags, shared_flags, training_flags
from kshot.errors import UserError
from kshot.methods import METHODS, method_options
from kshot.training import Settings

TRAINED = [name for name, method in METHODS.items() if method.about.meta_trained]


@pytest.mark.parametrize("name", METHODS)
def test_every_argument_of_a_method_is_a_documented_flag(name: str) -> None:
    flags = method_flags(name)
    assert list(flags) == list(method_options(name))
    for option, flag in flags.items():
        assert flag.help, f"{name}: {option} has no line under Args:"
        assert flag.default is None  # what the user does not say is the constructor's business


@pytest.mark.parametrize("name", TRAINED)
def test_help_of_a_method_shows_every_flag_and_default(name: str) -> None:
    text = " ".join(fine("train", name, "--help").stdout.split())
    for flag in [*method_flags(name).values(), *shared_flags()]:
        assert flag.spelling[:18] in text, flag.spelling


def test_every_argument_of_a_backbone_is_a_flag() -> None:
    found = {f.name for f in backbone_flags()}
    for make in BACKBONES.values():
        assert set(inspect.signature(make).parameters) - {"input_shape", "seed"} <= found


def test_every_setting_of_a_training_is_a_documented_flag() -> None:
    flags = {f.name: f for f in training_flags()}
    assert set(flags) == set(Settings.__dataclass_fields__) - {"device"}
    assert all(f.help for f in flags.values())
    assert flags["lr"].default == Settings(steps=1).lr


def test_no_two_flags_of_a_method_have_one_name() -> None:
    for name in TRAINED:
        names = [f.name for f in [*method_flags(name).values(), *shared_flags()]]
        assert len(names) == len(set(names)), name


@pytest.mark.parametrize(
    ("annotation", "kind", "choices", "optional"),
    [
        (int, int, (), False),
        (bool, bool, (), False),
        (Path, Path, (), False),
        (float | None, float, (), True),
        (Literal["a", "b"], str, ("a", "b"), False),
        (int | float, float, (), False),
    ],
)
def test_a_typed_argument_is_a_flag(annotation: object, kind: type, choices: tuple[str, ...], optional: bool) -> None:
    parameter = inspect.Parameter("a_b", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    flag = flag_of(parameter, "help", "panel")
    assert (flag.kind, flag.choices, flag.optional, flag.spelling) == (kind, choices, optional, "--a-b")


def test_an_argument_that_no_flag_can_express_is_a_fault_of_the_code() -> None:
    parameter = inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, annotation=dict[str, int])
    with pytest.raises(TypeError, match="cannot become a flag"):
        flag_of(parameter, "", "")


def test_a_value_outside_the_choices_is_refused() -> None:
    flag = Flag("order", str, choices=("first", "second"))
    flag.check("first")
    flag.check(None)
    with pytest.raises(UserError, match=r"unknown value of --order 'frist'; did you mean 'first'\?"):
        flag.check("frist")


def test_counts_are_numbers_or_ranges() -> None:
    assert count("--way", "5") == 5
    assert count("--way", "5-20") == (5, 20)
    with pytest.raises(UserError, match=r"--way must be a number \(5\) or a range \(2-10\); got '5-'"):
        count("--way", "5-")


def test_name_value_pairs_know_numbers_and_booleans() -> None:
    texts = ["width=32", "drop-rate=0.1", "norm=true", "kind=leaky=x"]
    assert pairs("--o", texts) == {"width": 32, "drop_rate": 0.1, "norm": True, "kind": "leaky=x"}
    with pytest.raises(UserError, match="--o must look like name=value; got 'width'"):
        pairs("--o", ["width"])


class Base:
    """A base.

    Args:
        first, second: two at
            once (Finn: 2017).
    """


class Derived(Base):
    """A derived class: its summary
    has two lines.

    Args:
        second (int): another text.

    Returns:
        third: not an argument.
    """


def test_help_texts_come_from_the_docstrings_of_a_class_and_its_bases() -> None:
    assert argument_help(Derived) == {"first": "two at once (Finn: 2017).", "second": "another text."}
    assert summary(Derived) == "A derived class: its summary has two lines."
