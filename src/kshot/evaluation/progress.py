"""A progress bar on standard error, if somebody is looking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def wanted(progress: bool | None) -> bool:
    """Whether to show a bar: as asked, and by default if standard error is a terminal."""
    return sys.stderr.isatty() if progress is None else progress


@contextmanager
def bar(title: str, total: int, progress: bool | None = None) -> Iterator[Callable[[int], None] | None]:
    """A bar from 0 to total; yields the function that sets how much is done, or None without a bar."""
    if not wanted(progress):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as shown:
        task = shown.add_task(title, total=total)
        yield lambda done: shown.update(task, completed=done)
