"""`kshot run`: the main job, small: train, measure on scripts never seen, and a page with figures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from .card import refresh_card
from .console import emit, note, table

if TYPE_CHECKING:
    from .demo import Part


def run_command(
    out: Annotated[Path, typer.Option(help="Folder for the runs, the results and report.html.")] = Path("kshot-run"),
    minutes: Annotated[float, typer.Option(help="About how long it may take on two processor cores.")] = 4.0,
    threads: Annotated[int | None, typer.Option(help="Processor threads (by default torch decides).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the results as one JSON document.")] = False,
) -> None:
    """Show what kshot does: train small models on built-in letters, test them on scripts never seen, draw figures.

    Needs no data and takes about four minutes. Ctrl-C is safe: the same command goes on where it stopped.
    """
    if not minutes > 0:
        raise UserError(f"--minutes must be more than 0; got {minutes:g}")
    from .demo import measure, parts, test_letters
    from .demo_report import result_rows, write_page
    from .sources import use_machine

    use_machine({"threads": threads, "device": "cpu"})
    plan = parts(minutes)
    _check_folder(out, [part.name for part in plan])
    began = time.monotonic()
    try:
        for number, part in enumerate(plan, 1):
            _train(out, number, len(plan), part)
        note("measuring on scripts never seen ...")
        data = test_letters()
        records = measure(out, data, minutes)
        note("drawing the figures ...")
        page = write_page(out, data, records, minutes)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"Stopped; nothing is lost. The same command goes on: kshot run --out {out}") from stop
    if json:
        emit({"results": records, "report": str(page), "seconds": round(time.monotonic() - began, 1)})
        return
    columns, rows = result_rows(records)
    table(columns, rows, title="One-shot tasks on letters of scripts never seen", right=columns[1:-2])
    print(f"Figures and more: {page}")


def _check_folder(out: Path, names: list[str]) -> None:
    """Refuse a folder that holds something else."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; --out needs a folder")
    mine = {*names, "results", "report.html"}
    if out.exists() and any(p.name not in mine for p in out.iterdir()):
        raise UserError(f"{out} holds other files: choose a new or empty folder as --out")


def _train(out: Path, number: int, count: int, part: Part) -> None:
    from ..training import start

    words = f"{number}/{count} {part.title}, {part.steps} steps"
    if part.done(out):
        note(f"{words}: done before")
        return
    note(f"{words} ...")
    result = start(part.config, out / part.name, resume=True)
    refresh_card(out / part.name)
    best = "" if result.best_value is None else f", validation accuracy {result.best_value:.1f} %"
    note(f"    {result.seconds:.0f} s{best}")
