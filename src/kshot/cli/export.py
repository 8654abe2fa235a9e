"""`kshot export`: a classifier of the user's own classes, for programs without kshot."""

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
    from ..encoders import Encoder
    from ..export import Fitted


def export_command() -> Callable[..., None]:
    """The function behind `kshot export`."""
    support = typer.Option(
        "--support",
        help="the labelled examples: a folder with a folder of pictures for each class; or, for protonet-zero, a table "
        "(.csv) that describes each class",
    )
    out = typer.Option("--out", help="folder to write: model.onnx, model.pt2, export.json", rich_help_panel="Output")
    option = typer.Option("--option", help="name=value: an argument of the method; repeat it for more")
    return command(
        _export,
        [
            argument("run", str, typer.Argument(help=RUN_HELP, metavar="RUN")),
            argument("support", Path, support),
            argument("out", Path, out, Path("export")),
            Flag("format", str, "onnx,torch", "what to write: onnx, torch or both", "Output"),
            Flag("pixels", str, "uint8", "what the files take: pixels 0..255, or floats 0..1", "Output",
                 choices=("uint8", "float")),
            Flag("invert", str, "auto", "dark ink on light paper becomes light ink, as in the built-in data",
                 choices=("auto", "yes", "no")),
            Flag("size", int, None, "side of the pictures, for a method without training"),
            Flag("skip_bad", bool, False, "leave out pictures that cannot be used, and count them", flag="--skip-bad"),
            argument("option", list[str] | None, option, None),
            *encoder_flags(),
            *machine_flags(),
            json_flag("what was written"),
        ],
        "Learn new classes from a few pictures of each, and write the classifier for programs without kshot.\n\n"
        "Example: kshot export runs/protonet --support examples --out classifier\n\n"
        "model.onnx runs wherever ONNX does, model.pt2 wherever torch does; export.json says what they take, and how "
        "far their answers are from those of `kshot predict`.",
    )  # fmt: skip


def _export(values: dict[str, Any]) -> None:
    from ..export import export
    from ..export.files import check_formats

    formats = [word.strip() for word in values["format"].split(",") if word.strip()]
    check_formats(formats, values["pixels"])  # before anything is read
    device = use_machine(values)
    options = pairs("--option", values["option"] or [])
    encoder = chosen_encoder(values, [values["run"]], device, options)
    learner = find_learner(values["run"], device, options, encoder)
    fitted: Any
    if learner.encoder is not None:
        fitted = _on_features(learner.encoder, values, options, device)
    elif learner.run is not None and learner.run.method.about.support == "descriptions":
        fitted = _described(learner, values)
    else:
        fitted = _fitted(learner, values, options, device)
    written = export(fitted, values["out"], formats=formats, pixels=values["pixels"], about={"run": values["run"]})
    if values["json"]:
        emit({"out": str(values["out"]), **written})
        return
    files: Any = written["files"]
    rows = []
    for name, file in files.items():
        logits, p = (max(d[kind] for d in file["differences"]) for kind in ("logits", "probabilities"))
        rows.append([str(values["out"] / name), f"{file['bytes'] / 1000:.0f} kB", f"{logits:.1e}", f"{p:.1e}"])
    sizes = ", ".join(str(d["batch"]) for d in next(iter(files.values()))["differences"])
    table(
        ["file", "size", "logits differ by", "probabilities by"],
        rows,
        title=f"Compared with kshot predict on batches of {sizes} pictures",
        right=["size", "logits differ by", "probabilities by"],
    )
    names: Any = written["classes"]
    note(f"Classes: {', '.join(names)}. What goes in and comes out: {values['out'] / 'export.json'}")


def _on_features(encoder: Encoder, values: dict[str, Any], options: dict[str, Any], device: str) -> Any:
    """The estimator, fitted to the features of a folder of examples."""
    from ..data.classes import find_classes
    from ..data.problems import Problems
    from ..estimator import FewShotClassifier
    from ..export.encoded import Network

    for flag, left in (("--size", None), ("--invert", "auto"), ("--skip-bad", False)):
        if values[flag[2:].replace("-", "_")] != left:
            raise UserError(f"{flag} has no meaning with --backbone, which prepares its inputs itself: leave it out")
    Network.of(encoder)  # whether it can be exported, before anything is computed
    classes = find_classes(values["support"], Problems())
    files = [(str(path), c.name) for c in classes for path in c.files]
    classifier = FewShotClassifier(values["run"], options=options, device=device, backbone=encoder)
    return classifier.fit([path for path, _ in files], [name for _, name in files])


def _fitted(learner: Learner, values: dict[str, Any], options: dict[str, Any], device: str) -> Any:
    """The estimator, fitted to the folder of examples."""
    from ..data.folder import read_support
    from ..data.problems import Problems
    from ..estimator import FewShotClassifier

    shape, size = learner.input_shape, values["size"]
    if shape is not None and len(shape) != 3:
        raise UserError(
            f"{learner.name} was trained on inputs of shape {shape}, not on pictures: export it from Python, "
            f"kshot.export.export(estimator, folder), with an estimator that was fitted to such inputs"
        )
    if shape is not None:
        if size not in (None, shape[1]):
            raise UserError(
                f"{learner.name} was trained at {shape[1]} pixels; it cannot use --size {size}: leave it out"
            )
        size = shape[1]
    problems = Problems(skip=values["skip_bad"])
    xs, ys, names = read_support(values["support"], size, None if shape is None else shape[0], "no", problems)
    for message in problems.messages:
        note(f"left out: {message}")
    classifier = FewShotClassifier(values["run"], options=options, size=size, invert=values["invert"], device=device)
    return classifier.fit(xs.numpy(), [names[y] for y in ys.tolist()])


def _described(learner: Learner, values: dict[str, Any]) -> Fitted:
    """What a table of descriptions teaches a method that learns from them."""
    from ..export import Fitted

    run = learner.run
    assert run is not None
    shape = learner.input_shape
    if shape is None or len(shape) != 3:
        raise UserError(f"{learner.name} was trained on inputs of shape {shape}, not on pictures: nothing to export")
    if values["invert"] == "auto":
        raise UserError(
            "descriptions do not show whether the pictures will have dark ink on light paper: say --invert yes (they "
            "do) or --invert no"
        )
    return Fitted.described(
        run.method,
        values["support"],
        attributes=run.config["spec"].get("attributes", ()),
        input_shape=shape,
        inverted=values["invert"] == "yes",
        temperature=run.temperature,
    )
