"""`kshot card`: README.md in a run folder, the model card, made of what the folder holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import UserError
from .console import note
from .flags import argument, command

if TYPE_CHECKING:
    from ..evaluation import Report
    from ..training import Run
    from ..training.folder import RunFolder
    from .card_text import Facts

MARK = "<!-- Made by `kshot card` from the files of this run. -->"
YOURS = "<!-- What you write below this line is kept when the card is made again. -->"


def card_command() -> Callable[..., None]:
    """The function behind `kshot card`."""
    return command(
        _card,
        [argument("run", str, typer.Argument(help="a run folder (the --out of `kshot train`)", metavar="RUN"))],
        "Write the model card of a run, README.md in its folder: what it is, how it was trained, what it reached.\n\n"
        "Example: kshot card runs/protonet\n\n"
        "Every fact in it comes from the files of the run. A training writes it when it ends, and `kshot evaluate RUN` "
        "adds what it measured. What you write at its end is kept.",
    )


def _card(values: dict[str, Any]) -> None:
    from ..models import find_run, is_builtin

    run = find_run(values["run"])
    if is_builtin(run):
        raise UserError(
            f"{values['run']} is a built-in model, which stays as it is: `kshot list models` says what it reached, and "
            f"{run} holds its recipe and its record"
        )
    note(f"written to {write_card(run)}")


def write_card(run: Path) -> Path:
    """Make the card of a run folder (again); one that says the same is not touched.

    Raises:
        UserError: no run folder; or README.md is not a card.
    """
    from ..evaluation.files import write_whole
    from ..training.folder import RunFolder
    from .card_text import card_text

    folder = RunFolder(run)
    facts = read_facts(folder)
    before = folder.card.read_text(encoding="utf-8") if folder.card.exists() else ""
    if before and not before.startswith(MARK):
        raise UserError(f"{folder.card} was not made by kshot and is left as it is: move it, and make the card again")
    yours = before.partition(YOURS)[2] or "\n"
    text = f"{MARK}\n\n{card_text(facts)}\n{YOURS}{yours}"
    if text != before:
        write_whole(folder.card, text.encode())
    return folder.card


def refresh_card(run: Path) -> None:
    """Make the card where a command has changed what it says; where that cannot be, say why and go on."""
    try:
        write_card(run)
    except (UserError, OSError) as error:
        note(f"The model card was not written: {error}")


def read_facts(folder: RunFolder) -> Facts:
    """What the files of a run say."""
    from ..evaluation.calibration import read_calibration
    from ..training.checkpoint import load_note
    from ..training.folder import CONFIG, read_config
    from ..training.run import last_metrics
    from .card_text import Facts

    if not folder.config.is_file():
        raise UserError(f"{folder.path} is not a run folder: it has no {CONFIG}. Give the --out of a `kshot train`")
    config = read_config(folder.config)
    if "method" not in config or "spec" not in config:
        raise UserError(
            f"{folder.config} does not say how its method was built (it was trained from Python without `config`): "
            f"there is too little for a card"
        )
    if not folder.weights.is_file():
        raise UserError(f"{folder.weights} does not exist: the run was stopped before its first checkpoint")
    digest = weights_digest(folder)
    records = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.evaluations.glob("*.json"))]
    return Facts(
        config=config,
        step=load_note(folder.weights).get("step"),
        state=dict(load_note(folder.state)) if folder.state.exists() else last_metrics(folder.metrics),
        size=folder.weights.stat().st_size,
        records=[r for r in records if r.get("weights") == digest],
        stale=sum(r.get("weights") != digest for r in records),
        calibration=asdict(read_calibration(folder.calibration)) if folder.calibration.exists() else None,
        figures=sorted(p.relative_to(folder.path) for p in (folder.path / "figures").glob("*.svg")),
    )


def weights_digest(folder: RunFolder) -> str:
    """What tells the weights of an evaluation from others."""
    return hashlib.sha256(folder.weights.read_bytes()).hexdigest()


def keep_evaluation(run: Run, report: Report, options: dict[str, Any], training: dict[str, Any]) -> None:
    """Keep what was measured in the run folder, and show it on its card.

    The same tasks measured again replace the older record.

    Args:
        options: arguments of the method that differed from the training's.
        training: how it was trained, as in write_record.
    """
    from ..evaluation import write_record
    from ..training.folder import RunFolder

    folder = RunFolder(run.path)
    extra: dict[str, Any] = {"options": options, "weights": weights_digest(folder)}
    try:
        write_record(folder.evaluations / f"{evaluation_name(report, options)}.json", report, extra=extra, **training)
    except OSError as error:
        note(f"The result was not kept in the run folder: {error}")
        return
    refresh_card(run.path)


def evaluation_name(report: Report, options: dict[str, Any]) -> str:
    """A name that says the tasks, and differs for different measurements: glyphs-test-5w1s-1f3a..."""
    key = [report.description, report.tasks_digest, report.query, report.transductive, options]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:8]
    way, shot = ("-".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in (report.way, report.shot))
    name = f"{report.data}-{report.split}-{f'{way}w' if report.way else ''}{shot}s-{digest}"
    return "".join(c if c.isalnum() else "-" for c in name)
