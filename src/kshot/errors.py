"""The one error for mistakes of the user: says what was wrong (with the value), what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what the caller asked for. The command line prints it without a traceback and exits with code 2."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for an unknown name: offers the nearest known one, or lists them all.

    >>> str(unknown("method", "protnet", ["protonet", "maml"]))
    "unknown method 'protnet'; did you mean 'protonet'? Known: maml, protonet"
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UserError(f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}")
