"""`kshot predict`: labels for a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import UserError
from .console import emit, note, table
from .evaluate import RUN_HELP
from .flags import Flag, argument, command, pairs
from .learners import Learner, chosen_encoder, find_learner
from .sources import encoder_flags, json_flag, machine_flags, use_machine

if TYPE_CHECKING:
    from ..evaluation.prediction import Prediction


def predict_command() -> Callable[..., None]:
    """The function behind `kshot predict`."""
    support = typer.Option(
        "--support",
        help="the labelled examples: a folder with a folder of pictures for each class; with an encoder of sentences, "
        "a table (.csv) with columns text and label; for protonet-zero, a table that describes each class",
    )
    query = typer.Option(
        "--query", help="what to label: a folder of pictures, or a file; of sentences, .txt or .csv; repeat it for more"
    )
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
            *encoder_flags(),
            *machine_flags(),
            json_flag("the predictions"),
        ],
        "Learn new classes from a few pictures or sentences of each, and label others.\n\n"
        "Example: kshot predict runs/protonet --support examples --query unsorted\n\n"
        "where examples/cat/1.png, examples/dog/1.png, ... show the classes. Pictures of any size and format are "
        "brought to the size the run was trained on. With --backbone, a method learns from the features of somebody's "
        "network without any training: kshot predict r2d2 --backbone timm:NAME ...",
    )  # fmt: skip


def _predict(values: dict[str, Any]) -> None:
    from ..data.folder import in_colour
    from ..evaluation.prediction import predict_folders
    from ..models import is_builtin

    device = use_machine(values)
    options = pairs("--option", values["option"] or [])
    encoder = chosen_encoder(values, [values["run"]], device, options)
    learner = find_learner(values["run"], device, options, encoder)
    if learner.encoder is not None:
        _show(values, *_frozen(learner, values, device))
        return
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
    if learner.run is not None and is_builtin(learner.run.path) and in_colour(values["support"]):
        note(
            f"The examples are in colour: {learner.name} was made for characters, sees photos small and grey, and is "
            "far too sure of them. A model or an encoder trained on photos does better: docs/models.md says how."
        )
    _show(values, found, left_out)


def _frozen(learner: Learner, values: dict[str, Any], device: str) -> tuple[list[Prediction], list[str]]:
    """Predictions from the features of a frozen encoder."""
    from ..evaluation.frozen import predict_frozen

    for flag, left in (("--size", None), ("--invert", "auto"), ("--transductive", False)):
        if values[flag[2:]] != left:
            raise UserError(f"{flag} has no meaning with --backbone, which prepares its inputs itself: leave it out")
    assert learner.encoder is not None  # the caller's reason for asking
    query: list[Path] = values["query"]
    return predict_frozen(
        learner.build(_spec((learner.encoder.dim,))),
        learner.encoder,
        values["support"],
        query[0] if len(query) == 1 and query[0].is_dir() else query,
        skip_bad=values["skip_bad"],
        device=device,
    )


def _show(values: dict[str, Any], found: list[Prediction], left_out: list[str]) -> None:
    for message in left_out:
        note(f"left out: {message}")
    if values["json"]:
        emit([p.as_dict() for p in found])
        return
    table(
        ["sentence" if found[0].text is not None else "picture", "label", "probability"],
        [[p.text or p.path, p.label, f"{100 * p.probability:.1f} %"] for p in found],
        right=["probability"],
    )


def _picture(shape: tuple[int, ...]) -> str:
    colour = {1: "grey", 3: "colour"}.get(shape[0], f"{shape[0]}-channel")
    return f"{shape[1]} x {shape[2]} {colour} pixels" if len(shape) == 3 else str(shape)


def _spec(shape: tuple[int, ...] | None) -> Any:
    """What a method without training may ask about the tasks: nothing of it depends on the pictures."""
    from ..tasks import TaskSpec

    return TaskSpec(shape or (1, 28, 28), way=2, num_classes=None)
