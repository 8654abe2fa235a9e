"""`kshot predict`: labels for a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ..errors import UserError
from .console import emit, note, table
from .evaluate import RUN_HELP
from .flags import Flag, argument, command, pairs
from .learners import find_learner
from .sources import json_flag, machine_flags, use_machine


def predict_command() -> Callable[..., None]:
    """The function behind `kshot predict`."""
    support = typer.Option(
        "--support",
        help="the labelled examples: a folder with a folder of pictures for each class; or, for protonet-zero, a table "
        "(.csv) that describes each class",
    )
    query = typer.Option("--query", help="the pictures to label: a folder, or a file; repeat it for more")
    option = typer.Option("--option", help="name=value: an argument of the method; repeat it for more")
    return command(
        _predict,
        [
            argument("run", str, typer.Argument(help=RUN_HELP, metavar="RUN")),
            argument("support", Path, support),
            argument("query", list[Path], query),
            Flag("invert", str, "auto", "dark ink on light paper becomes light ink, as in the built-in data",
                 choices=("auto", "yes", "no")),
            Flag("size", int, None, "side of the pictures, for a method without training"),
            Flag("skip_bad", bool, False, "leave out pictures that cannot be used, and count them", flag="--skip-bad"),
            Flag("transductive", bool, False, "let the method see all queries together", flag="--transductive"),
            argument("option", list[str] | None, option, None),
            *machine_flags(),
            json_flag("the predictions"),
        ],
        "Learn new classes from a few pictures of each, and label other pictures.\n\n"
        "Example: kshot predict runs/protonet --support examples --query unsorted\n\n"
        "where examples/cat/1.png, examples/dog/1.png, ... show the classes. Pictures of any size and format are "
        "brought to the size the run was trained on.",
    )  # fmt: skip


def _predict(values: dict[str, Any]) -> None:
    from ..data.folder import in_colour
    from ..evaluation.prediction import predict_folders
    from ..models import is_builtin

    device = use_machine(values)
    learner = find_learner(values["run"], device, pairs("--option", values["option"] or []))
    shape, size = learner.input_shape, values["size"]
    if shape is not None and len(shape) == 3:
        if size not in (None, shape[1]):
            raise UserError(
                f"{learner.name} was trained at {shape[1]} pixels; it cannot use --size {size}: leave it out"
            )
        note(f"Pictures are read as {_picture(shape)}, as {learner.name} was trained.")
    query: list[Path] = values["query"]
    found, left_out = predict_folders(
        learner.build(_spec(shape)),
        values["support"],
        query[0] if len(query) == 1 and query[0].is_dir() else query,
        input_shape=shape,
        attributes=learner.run.config["spec"].get("attributes", ()) if learner.run else (),
        size=size,
        invert=values["invert"],
        skip_bad=values["skip_bad"],
        transductive=values["transductive"],
        temperature=learner.run.temperature if learner.run else 1.0,
        device=device,
    )
    for message in left_out:
        note(f"left out: {message}")
    if learner.run is not None and is_builtin(learner.run.path) and in_colour(values["support"]):
        note(
            f"The examples are in colour: {learner.name} was made for characters, sees photos small and grey, and is far "
            f"too sure of them. A model or an encoder that was trained on photos does better: docs/models.md says how."
        )
    if values["json"]:
        emit([p.as_dict() for p in found])
        return
    table(
        ["picture", "label", "probability"],
        [[p.path, p.label, f"{100 * p.probability:.1f} %"] for p in found],
        right=["probability"],
    )


def _picture(shape: tuple[int, ...]) -> str:
    colour = {1: "grey", 3: "colour"}.get(shape[0], f"{shape[0]}-channel")
    return f"{shape[1]} x {shape[2]} {colour} pixels" if len(shape) == 3 else str(shape)


def _spec(shape: tuple[int, ...] | None) -> Any:
    """What a method without training may ask about the tasks: nothing of it depends on the pictures."""
    from ..tasks import TaskSpec

    return TaskSpec(shape or (1, 28, 28), way=2, num_classes=None)
