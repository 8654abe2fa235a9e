"""`kshot plot`: the figures of a run, or of several side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import UserError
from .console import emit, note
from .evaluate import RUN_HELP
from .flags import Flag, argument, command
from .learners import Learner, evaluation_source, find_learner
from .sources import data_flags, json_flag, machine_flags, task_flags, use_machine

if TYPE_CHECKING:
    from ..evaluation.plots import Asked, Subject
    from ..evaluation.plots.make import Made

FIGURES = "Figures"
CHOICE = ("data", "size", "attributes", "split", "way", "shot", "query", "within", "balanced", "rotations", "seed")


def plot_command() -> Callable[..., None]:
    """The function behind `kshot plot`."""
    out = typer.Option(
        "--out", help="folder for the figures and their numbers [default: RUN/figures]", rich_help_panel="Output"
    )
    return command(
        _plot,
        [
            argument("runs", list[str], typer.Argument(help=RUN_HELP, metavar="RUN...")),
            Flag("only", str, None, "these figures alone, as confusion,embedding; `kshot list figures` names them",
                 FIGURES),
            Flag("redraw", bool, False, "draw from the stored numbers alone, without model and data", FIGURES,
                 flag="--redraw"),
            Flag("again", bool, False, "measure again what is there", FIGURES, flag="--again"),
            Flag("formats", str, "svg,png", "of the drawings: svg, png, pdf", FIGURES),
            Flag("task", int, None, "number of the task that is shown", FIGURES, shown="the first with some mistakes"),
            Flag("steps", int, None, "the most inner steps", FIGURES, shown="10, or as many as the method takes"),
            Flag("ways", str, None, "of the figure way-shot", FIGURES, shown="5,10,20 where they can be"),
            Flag("shots", str, None, "of the figure way-shot", FIGURES, shown="1,2,3,5,10 where they can be"),
            Flag("curves", int, 3, "curves side by side", FIGURES),
            *data_flags(),
            Flag("split", str, "test", "which classes: train, val, test or all", "Data"),
            *task_flags(own=False),
            Flag("episodes", int, 100, "number of tasks of a mean", "Tasks"),
            Flag("seed", int, 0, "of the tasks: another seed draws other tasks", "Tasks"),
            Flag("transductive", bool, False, "let a method see all queries of a task together", "Tasks",
                 flag="--transductive"),
            *machine_flags(),
            argument("out", Path | None, out, None),
            json_flag("what was drawn"),
        ],
        "Draw the figures of a run, or of several runs side by side on the same tasks.\n\n"
        "Example: kshot plot runs/protonet --only confusion,embedding --way 5 --shot 1\n\n"
        "Each figure is NAME.svg and NAME.png beside its numbers, NAME.json or NAME.npz. What was measured before in "
        "the same way is not measured again; --redraw needs the numbers alone. Figures that make no sense for a "
        "method are left out, and the reason is told.",
    )  # fmt: skip


def _plot(values: dict[str, Any]) -> None:
    from ..evaluation.figures import FORMATS
    from ..evaluation.plots.make import check_names, make, redraw

    names = check_names(_words(values["only"]))
    forms = list(dict.fromkeys(_words(values["formats"])))
    if not forms or any(form not in FORMATS for form in forms):
        raise UserError(f"--formats must be one or more of {','.join(FORMATS)}; got {values['formats']!r}")
    if values["redraw"]:
        if values["again"]:
            raise UserError("--redraw and --again exclude each other: one measures nothing, the other everything")
        folder = values["out"] or _stored_folder(values["runs"])
        _tell(redraw(folder, names, forms), values["json"])
        return
    asked = _asked(values)
    learners = [find_learner(name, asked.device) for name in values["runs"]]
    folder = values["out"] or _run_folder(learners)
    made = make(
        subjects_of(learners, values, asked.device),
        asked,
        folder,
        names=names,
        choice={name: values[name] for name in CHOICE},
        forms=forms,
        again=values["again"],
        on_start=lambda name: note(f"{name} ..."),
    )
    if not any(one.files for one in made):
        raise UserError("nothing to draw: " + "; ".join(f"{one.name}: {one.left_out}" for one in made))
    _tell(made, values["json"])


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _numbers(flag: str, text: str | None, least: int) -> tuple[int, ...] | None:
    """Whole numbers with commas between them."""
    if text is None:
        return None
    try:
        found = tuple(sorted({int(word) for word in _words(text)}))
    except ValueError:
        found = ()
    if not found or found[0] < least:
        raise UserError(f"{flag} must be numbers of at least {least} with commas between them (1,5,10); got {text!r}")
    return found


def _asked(values: dict[str, Any]) -> Asked:
    """What the user chose, checked."""
    from ..evaluation.plots import Asked

    for name, least, most in (("episodes", 2, None), ("task", 0, None), ("steps", 1, None), ("curves", 1, 6)):
        value = values[name]
        if value is not None and (value < least or (most is not None and value > most)):
            limit = f"at least {least}" if most is None else f"between {least} and {most}, to be legible side by side"
            raise UserError(f"--{name} must be {limit}; got {value}")
    return Asked(
        episodes=values["episodes"],
        transductive=values["transductive"],
        task=values["task"],
        steps=values["steps"],
        ways=_numbers("--ways", values["ways"], 2),
        shots=_numbers("--shots", values["shots"], 1),
        curves=values["curves"],
        device=use_machine(values),
    )


def _stored_folder(runs: list[str]) -> Path:
    """Where the numbers of one run lie."""
    if len(runs) > 1:
        raise UserError("the figures of several runs lie in a folder of their own: name it with --out")
    folder = Path(runs[0]) / "figures"
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist: give a run folder whose figures were drawn before, or --out FOLDER")
    return folder


def _run_folder(learners: list[Learner]) -> Path:
    """Where the figures of one run go."""
    from ..models import is_builtin
    from ..training.folder import RunFolder

    if len(learners) > 1:
        raise UserError("figures of several runs need a folder of their own: add --out FOLDER")
    if learners[0].run is None or is_builtin(learners[0].run.path):
        raise UserError(f"{learners[0].name} has no run folder to write to: add --out FOLDER")
    return RunFolder(learners[0].run.path).figures


def subjects_of(learners: list[Learner], values: dict[str, Any], device: str) -> list[Subject]:
    """The learners with tasks that are the same for all."""
    from ..evaluation.plots import Subject
    from ..training.folder import RunFolder

    first = next((one for one in learners if one.run is not None), learners[0])
    source = evaluation_source(first, values, device)
    names = _short([one.name for one in learners])
    subjects = []
    for learner, name in zip(learners, names):
        folder = RunFolder(learner.run.path) if learner.run else None
        subjects.append(
            Subject(
                name,
                learner.method,
                learner.tasks(source),
                metrics=folder.metrics if folder else None,
                trained=trained_in_words(learner.run.config) if learner.run else "",
                query=values["query"],
                stamp=_checksum(folder.weights, folder.calibration) if folder else "",
                temperature=learner.run.temperature if learner.run else 1.0,
            )
        )
    return subjects


def trained_in_words(config: Mapping[str, Any]) -> str:
    """The training and validation tasks of a configuration."""

    def tasks(source: Mapping[str, Any]) -> str:
        way, shot = (_count(source.get(name, "?")) for name in ("way", "shot"))
        return f"{shot} points of a curve" if config["spec"]["way"] == 0 else f"{way}-way {shot}-shot"

    words = f"trained on {tasks(config.get('source', {}))} tasks of {config['data']['spec']}"
    validation = config.get("validation")
    return words if validation is None else f"{words}, validated on {tasks(validation)}"


def _count(count: Any) -> str:
    return "-".join(map(str, count)) if isinstance(count, list | tuple) else str(count)


def _short(names: list[str]) -> list[str]:
    """The last parts of the runs' paths, if they tell them apart."""
    last = [Path(name).resolve().name if Path(name).exists() else name for name in names]
    return last if len(set(last)) == len(last) else names


def _checksum(*paths: Path) -> str:
    """Of the files that there are."""
    import hashlib

    return hashlib.sha256(b"".join(path.read_bytes() for path in paths if path.is_file())).hexdigest()


def _tell(made: list[Made], json: bool) -> None:
    """Where the drawings are, and why others are missing."""
    for one in made:
        if one.left_out:
            note(f"left out: {one.name}: {one.left_out}")
    if json:
        emit([one.as_dict() for one in made])
        return
    for one in made:
        for file in one.files:
            typer.echo(str(file))
