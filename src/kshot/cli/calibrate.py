"""`kshot calibrate`: the temperature of a run's probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import typer

from ..errors import UserError
from .card import refresh_card
from .console import emit, note, table
from .flags import Flag, argument, command, given, pairs
from .learners import find_learner
from .sources import data_choice, data_flags, json_flag, machine_flags, task_choice, task_flags, use_machine

SPLITS = ("val", "train", "all")


def calibrate_command() -> Callable[..., None]:
    """The function behind `kshot calibrate`."""
    option = typer.Option(
        "--option", help="name=value: an argument of the method with which it will be used; repeat it for more"
    )
    return command(
        _calibrate,
        [
            argument("run", str, typer.Argument(help="a run folder", metavar="RUN")),
            *data_flags(),
            Flag("split", str, "val", "which classes; not those that measure", "Data", SPLITS),
            *task_flags(own=False),
            Flag("episodes", int, 100, "number of tasks", "Tasks"),
            Flag("seed", int, None, "of the tasks", "Tasks", shown="the validation's"),
            Flag("transductive", bool, False, "let the method see all queries of a task together", "Tasks",
                 flag="--transductive"),
            argument("option", list[str] | None, option, None),
            *machine_flags(),
            json_flag("what was found"),
        ],
        "Fit the temperature of a run's probabilities on validation tasks, and keep it as calibration.json in the run "
        "folder.\n\n"
        "Example: kshot calibrate runs/protonet --way 5 --shot 5\n\n"
        "A training with validation does that at its end, with the way and shot of its validation. The temperature "
        "makes probabilities more or less sure, and changes no label. `kshot evaluate` reports the error with and "
        "without it.",
    )  # fmt: skip


def _calibrate(values: dict[str, Any]) -> None:
    from ..evaluation.calibration import calibrate, write_calibration
    from ..models import is_builtin
    from ..training.folder import RunFolder

    device, name = use_machine(values), values["run"]
    options = pairs("--option", values["option"] or [])
    learner = find_learner(name, device, options)
    run = learner.run
    if run is None:
        raise UserError(f"{name} is a method without training, and has no folder to keep a temperature in")
    if is_builtin(run.path):
        raise UserError(f"{name} is a built-in model, which stays as it is: copy {run.path} and calibrate the copy")
    if run.config["spec"]["output_dim"]:
        raise UserError(f"{name} learns curves, not classes: it has no probabilities to calibrate")
    data = data_choice(values)
    other = {"data": data.pop("spec")} if "spec" in data else {}
    tasks = {**task_choice(values), **given(values, ("seed",))}
    source = learner.tasks(run.validation(values["split"], device=device, **other, **data, **tasks))
    found = calibrate(
        learner.method(source),
        source,
        episodes=values["episodes"],
        transductive=values["transductive"],
        device=device,
        step=run.step,
        options=run.others,
    )
    write_calibration(RunFolder(run.path).calibration, found)
    refresh_card(run.path)
    if values["json"]:
        emit(asdict(found))
        return
    table(
        ["", "calibration error", "log-likelihood"],
        [
            ["as it is", f"{found.ece_before:.2f} %", f"{-found.nll_before:.4f}"],
            [f"temperature {found.temperature:.4g}", f"{found.ece:.2f} %", f"{-found.nll:.4f}"],
        ],
        title=f"{found.tasks}",
        right=["calibration error", "log-likelihood"],
    )
    note(f"written to {RunFolder(run.path).calibration}")
