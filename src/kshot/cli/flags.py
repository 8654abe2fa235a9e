"""Arguments of functions and classes as command-line flags: the documented constructor is the only list of options."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from ..errors import UserError, unknown

KINDS = (bool, int, float, str, Path)


@dataclass(frozen=True)
class Flag:
    """One option of a command.

    Attributes:
        name: the argument behind it; underscores become dashes in the flag.
        kind: bool, int, float, str or Path.
        default: None when leaving it out means "the default of whoever receives it".
        help: one line.
        panel: the group of options under which help shows it.
        choices: the values it may take; () for any.
        optional: whether None is a value.
        shown: the default as help shows it, where it differs from `default`.
        flag: its spelling; by default "--name" (and "--no-name" beside it for a bool).
    """

    name: str
    kind: type
    default: Any = None
    help: str = ""
    panel: str = "Options"
    choices: tuple[str, ...] = ()
    optional: bool = False
    shown: str = ""
    flag: str = ""

    @property
    def spelling(self) -> str:
        """The flag as it is typed."""
        return self.flag or "--" + self.name.replace("_", "-")

    def parameter(self) -> inspect.Parameter:
        """The flag as a parameter of a command's function."""
        both = self.kind is bool and not self.flag
        declared = f"{self.spelling}/--no-{self.spelling[2:]}" if both else self.spelling
        choices = f"({' | '.join(self.choices)})" if self.choices else ""
        shown = self.shown or ("" if self.default is None or self.flag else _word(self.default))
        default = f"[default: {shown}]" if shown else ""
        text = " ".join(part for part in (self.help, choices, default) if part)
        info = typer.Option(declared, help=plain(text), rich_help_panel=self.panel, show_default=False)
        kind: Any = self.kind | None if self.optional or self.default is None else self.kind
        return argument(self.name, kind, info, self.default)

    def check(self, value: object) -> None:
        """Refuse a value that is not among the choices, with the nearest that is."""
        if self.choices and value is not None and value not in self.choices:
            raise unknown(f"value of {self.spelling}", str(value), self.choices)


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def plain(text: str) -> str:
    """Help text whose brackets ([T, Q, D]) are not taken for markup."""
    return text.replace("[", "\\[")


def argument(name: str, kind: Any, info: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """A parameter of a command's function, required unless it has a default."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def flag_of(parameter: inspect.Parameter, help: str, panel: str) -> Flag:
    """The flag of a typed argument: Literal, bool, int, float, str or Path, or one of these or None.

    Raises:
        TypeError: for an argument that no flag can express (a fault of the code, not of the user).
    """
    kind, choices, optional = _kind(parameter.annotation)
    if kind is None:
        raise TypeError(f"argument {parameter.name}: {parameter.annotation} cannot become a flag")
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    return Flag(parameter.name, kind, default, help, panel, choices, optional)


def _kind(annotation: Any) -> tuple[type | None, tuple[str, ...], bool]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        rest = [a for a in get_args(annotation) if a is not type(None)]
        if len(rest) == 1:
            kind, choices, _ = _kind(rest[0])
            return kind, choices, True
        if set(rest) == {int, float}:
            return float, (), type(None) in get_args(annotation)
        return None, (), False
    if origin is Literal:
        return str, tuple(str(a) for a in get_args(annotation)), False
    return (annotation if annotation in KINDS else None), (), False


def left_out(flag: Flag) -> Flag:
    """The same flag whose default is None: what the user does not say is left to the receiver's own default."""
    shown = "" if flag.default is None else _word(flag.default)
    return replace(flag, default=None, optional=True, shown=shown)


def command(
    run: Callable[[dict[str, Any]], None], parameters: Iterable[Flag | inspect.Parameter], doc: str
) -> Callable[..., None]:
    """A function for typer that collects its parameters, checks the choices and passes them on as a dict.

    Args:
        run: receives every value by name.
        parameters: flags, and parameters that no Flag describes (see `argument`), in the order of the help.
        doc: the command's help text.
    """
    parameters = list(parameters)
    flags = [p for p in parameters if isinstance(p, Flag)]
    names = [p.name for p in parameters]
    if len(set(names)) < len(names):
        raise TypeError(f"two options of one name: {sorted(n for n in names if names.count(n) > 1)}")

    def function(**values: Any) -> None:
        for flag in flags:
            flag.check(values[flag.name])
        run(values)

    made = [p.parameter() if isinstance(p, Flag) else p for p in parameters]
    function.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in made}
    function.__doc__ = plain(doc)
    return function


def count(flag: str, text: str) -> int | tuple[int, int]:
    """A number, or a range "2-10" with both ends included."""
    low, dash, high = text.partition("-")
    try:
        return (int(low), int(high)) if dash else int(low)
    except ValueError:
        raise UserError(f"{flag} must be a number (5) or a range (2-10); got {text!r}") from None


def pairs(flag: str, texts: Iterable[str]) -> dict[str, int | float | bool | str]:
    """["width=32", "norm=true"] as a dict with numbers and booleans recognised."""
    found: dict[str, int | float | bool | str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(f"{flag} must look like name=value; got {text!r}")
        found[name.replace("-", "_")] = _value(value)
    return found


def _value(text: str) -> int | float | bool | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def given(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of the named values that the user gave."""
    return {n: values[n] for n in names if values[n] is not None}
