"""`kshot analyze gradients`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ..errors import UserError, unknown
from .console import emit, note, table
from .flags import Flag, argument, command, pairs
from .learners import Learner, evaluation_source, find_learner
from .sources import data_flags, json_flag, machine_flags, use_machine

RUN_HELP = (
    "a run folder (the --out of `kshot train`), a built-in model (sine-maml), or a method with fresh weights: maml, "
    "fomaml, reptile"
)


def gradients_command() -> Callable[..., None]:
    """The function behind `kshot analyze gradients`."""
    option = typer.Option("--option", help="name=value: an argument of the method; repeat it for more")
    backbone_option = typer.Option(
        "--backbone-option", help="name=value: an argument of the encoder, such as filters=32; repeat it for more"
    )
    out = typer.Option(
        "--out", help="folder for gradients.json, .md (the table), .svg and .png", rich_help_panel="Output"
    )
    return command(
        _gradients,
        [
            argument("run", str, typer.Argument(help=RUN_HELP, metavar="RUN")),
            *data_flags(),
            Flag("split", str, "train", "which classes: train, val, test or all", "Data"),
            Flag("way", str, None, "classes of a task", "Tasks", shown="5, or the run's"),
            Flag("shot", str, None, "examples of each class in a batch; for curves, points", "Tasks",
                 shown="1, or the run's"),
            Flag("tasks", int, 2, "tasks to average over", "Tasks"),
            Flag("seed", int, 0, "of the tasks, and of fresh weights", "Tasks"),
            Flag("steps", int, 3, "the largest number of batches or steps, k", "Measurement"),
            Flag("batches", int, None, "batches of a task, of which all ordered choices are taken", "Measurement",
                 shown="--steps"),
            Flag("alphas", str, None, "step sizes, as 1e-4,1e-3,1e-2", "Measurement", shown="1e-6 to 1e-2"),
            Flag("smooth", bool, False, "softplus for ReLU and mean for maximum pooling", "Measurement",
                 flag="--smooth"),
            Flag("backbone", str, None, "the encoder of fresh weights: see `kshot list backbones`", "Backbone"),
            argument("backbone_option", list[str] | None, backbone_option, None),
            argument("option", list[str] | None, option, None),
            *machine_flags(),
            argument("out", Path | None, out, None),
            json_flag("the result"),
        ],
        "What the meta-gradients of MAML, first-order MAML and Reptile are made of: the mean gradient A, the gradient "
        "B of the inner product of two batches' gradients, and how much of each a method takes, measured beside the "
        "theory of Nichol et al. 2018.\n\n"
        "Example: kshot analyze gradients maml --data glyphs --backbone conv4 --out runs/anatomy\n\n"
        "The last columns are the order of what is left: 2 where Taylor's theorem holds. ReLU and max-pooling have "
        "kinks, and with them it is another; --smooth shows it. Everything is in double precision.",
    )  # fmt: skip


def _gradients(values: dict[str, Any]) -> None:
    from ..evaluation.anatomy import ALPHAS, gradient_anatomy
    from ..evaluation.anatomy_figure import HEAD, cells

    device = use_machine(values)
    steps = values["steps"]
    m = max(steps, 2) if values["batches"] is None else values["batches"]
    learner = _learner(values, device)
    shot = _shot(values, learner)
    asked = {**values, "shot": str(shot), "query": shot * max(m - 1, 1), "within": None, "rotations": None}
    source = evaluation_source(learner, asked, device)
    found = gradient_anatomy(
        learner.method(source).to(device),
        source,
        tasks=values["tasks"],
        steps=steps,
        batches=m,
        alphas=ALPHAS if values["alphas"] is None else _numbers(values["alphas"]),
        smooth=values["smooth"],
    )
    document = {"method": learner.name, "backbone": values["backbone"], **found.as_dict()}
    if values["out"] is not None:
        _write(values["out"], found, document)
    if values["json"]:
        emit(document)
        return
    pieces = ", smooth pieces" if values["smooth"] else ""
    table(
        HEAD,
        cells(found),
        title=f"{learner.name}: {found.about['parameters']} parameters, {values['tasks']} tasks of {source.name} "
        f"{source.split}, {found.batches} batches of {found.batch_size}{pieces}\n"
        f"|A| {found.norms[0]:.4g}, |B| {found.norms[1]:.4g}, |C| {found.norms[2]:.4g}, "
        f"cosine of A and B {found.cosine:.3f}; coefficients: measured (theory)",
        right=HEAD[2:],
    )


def _learner(values: dict[str, Any], device: str) -> Learner:
    """The run, or a method of fresh weights."""
    from ..methods import METHODS, build_method
    from ..methods.gradient import GradientMethod
    from ..models import BUILTIN

    name = values["run"]
    if not Path(name).exists() and name not in METHODS and name not in BUILTIN and "/" not in name:
        fresh = [n for n, make in METHODS.items() if issubclass(make, GradientMethod)]
        raise unknown("run folder, built-in model or method", name, [*BUILTIN, *fresh])
    options = pairs("--option", values["option"] or [])
    backbone: dict[str, object] = {**pairs("--backbone-option", values["backbone_option"] or [])}
    if Path(name).exists() or name not in METHODS:
        if values["backbone"] is not None or backbone:
            raise UserError(f"{name} has its own encoder: leave out --backbone and --backbone-option")
        return find_learner(name, device, options)
    return Learner(
        name,
        None,
        lambda spec: build_method(
            name, spec, backbone=values["backbone"], backbone_options=backbone, seed=values["seed"], **options
        ),
    )


def _shot(values: dict[str, Any], learner: Learner) -> int:
    text = values["shot"] or (learner.run.config.get("source", {}).get("shot", 1) if learner.run else 1)
    try:
        return int(text)
    except (TypeError, ValueError):
        raise UserError(f"--shot must be one number here (1), as all batches are equal; got {text!r}") from None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--alphas must be numbers with commas between them (1e-4,1e-3,1e-2); got {text!r}") from None


def _write(folder: Path, found: Any, document: dict[str, Any]) -> None:
    from ..evaluation.anatomy_figure import anatomy_figure, markdown
    from ..evaluation.figures import write_figure
    from ..evaluation.files import write_whole

    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "gradients.json", (json.dumps(document, indent=2) + "\n").encode())
    write_whole(folder / "gradients.md", markdown(found).encode())
    write_figure(anatomy_figure(found), folder, "gradients")
    note(f"gradients.json, .md, .svg and .png are in {folder}")
