"""A progress bar for slow loading: on a terminal's standard error only, gone when done."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
MANY = 200  # fewer items than this need no bar


def track(items: Sequence[T], what: str) -> Iterator[T]:
    """The items one by one, with a bar when there are many and somebody is looking."""
    if len(items) < MANY or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as bar

    yield from bar(items, description=what, console=Console(stderr=True), transient=True)
