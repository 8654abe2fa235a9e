"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Iterable, Sequence


def note(text: str = "") -> None:
    """A line for the person who waits: standard error, so that results can be piped."""
    print(text, file=sys.stderr, flush=True)


def show_log() -> None:
    """What the library says of its choices (the engine, compiling) becomes notes."""
    log = logging.getLogger("kshot")
    if not any(isinstance(handler, _Notes) for handler in log.handlers):
        log.addHandler(_Notes())
        log.setLevel(logging.INFO)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def emit(document: object) -> None:
    """One JSON document on standard output. What is not a number (nan, inf) becomes null: JSON has no word for it."""
    print(json.dumps(_plain(document), indent=2, ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | bool | None) else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", right: Sequence[str] = ()) -> None:
    """A table on standard output; in a pipe it is as wide as its content.

    Args:
        columns: headings.
        rows: one text for each column.
        title: a line above it.
        right: the columns that are aligned to the right (numbers).
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    if title:
        print(title)
    with console.capture() as lines:
        console.print(grid)
    print("\n".join(line.rstrip() for line in lines.get().rstrip().splitlines()) + "\n")
