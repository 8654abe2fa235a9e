"""`kshot train METHOD`: one sub-command for each method, made from its constructor when it is asked for.

`kshot train --recipe NAME` is the same with the flags of a recipe.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup

from ..errors import unknown
from .console import emit, note, show_log
from .docs import argument_help
from .flags import Flag, argument, command, flag_of, given, left_out, pairs
from .recipes import OPTION, expand
from .sources import (
    augment_flag,
    data_choice,
    data_flags,
    json_flag,
    machine_flags,
    task_choice,
    task_flags,
    use_machine,
)

if TYPE_CHECKING:
    from ..training import RunConfig

METHOD, BACKBONE, TRAINING, RUN = "Method", "Backbone", "Training", "Run folder"
NOT_BACKBONE_OPTIONS = ("input_shape", "seed")


def train_app() -> typer.Typer:
    """`kshot train` with its methods."""
    app = typer.Typer(cls=TrainGroup)

    @app.callback()
    def train(
        recipe: Annotated[
            str, typer.Option(OPTION, metavar="NAME", help="A recipe in the place of METHOD and its flags.")
        ] = "",
    ) -> None:
        """Meta-train a method: kshot train METHOD --data NAME --out DIR, or kshot train --recipe NAME.

        Recipes are listed by `kshot list recipes`; flags given beside one come in the place of its own, and its run
        goes to runs/NAME unless --out says otherwise.
        """

    return app


class TrainGroup(TyperGroup):
    """`kshot train`: its sub-commands are the methods that can be trained."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """A recipe's name gives way to what it stands for."""
        return super().parse_args(ctx, expand(args))

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the methods."""
        from ..methods import METHODS

        return [name for name, method in METHODS.items() if method.about.meta_trained]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command that trains this method."""
        if cmd_name not in self.list_commands(ctx):
            if ctx.resilient_parsing or cmd_name.startswith("-"):
                return None
            raise _no_such_method(cmd_name, self.list_commands(ctx))
        from ..methods import METHODS

        app = typer.Typer(add_completion=False)
        app.command(cmd_name, short_help=METHODS[cmd_name].about.idea)(train_command(cmd_name))
        return typer.main.get_command(app)


def _no_such_method(name: str, trained: list[str]) -> Exception:
    from ..errors import UserError
    from ..methods import METHODS

    if name in METHODS:
        return UserError(f"{name} needs no training: use it as it is, `kshot evaluate {name} --data NAME`")
    return unknown("method", name, trained)


def train_command(name: str, run: Callable[[dict[str, Any]], None] | None = None) -> Callable[..., None]:
    """The function behind `kshot train NAME`; `run` receives its values in the place of the training."""
    from ..methods import METHODS

    about = METHODS[name].about
    doc = (
        f"{about.title[0].upper()}{about.title[1:]} ({about.source}): {about.idea}.\n\n"
        f"Example: kshot train {name} --data {_example(about)} --steps 500 --out runs/{name}"
    )
    own = method_flags(name)

    def train(values: dict[str, Any]) -> None:
        _train(name, own, values)

    return command(run or train, [_out(), *own.values(), *shared_flags(), _backbone_option()], doc)


def _example(about: Any) -> str:
    """Data and tasks that a method can learn."""
    if about.support == "descriptions":
        return "glyphs:names --way 50"
    return "glyphs --way 5 --shot 1" if "classes" in about.targets else "sinusoid --shot 10"


def _out() -> inspect.Parameter:
    text = "folder to write: weights, config.yaml, metrics.jsonl, figures"
    return argument("out", Path, typer.Option("--out", help=text, rich_help_panel=RUN))


def _backbone_option() -> inspect.Parameter:
    text = "name=value: an argument of your own backbone; repeat it for more"
    info = typer.Option("--backbone-option", help=text, rich_help_panel=BACKBONE)
    return argument("backbone_option", list[str] | None, info, None)


def method_flags(name: str) -> dict[str, Flag]:
    """A flag for each argument of the method; one that has the name of a shared flag is spelt --method-NAME."""
    from ..methods import METHODS, method_options

    help = argument_help(METHODS[name])
    taken = {f.name for f in shared_flags()}
    found = {}
    for option, parameter in method_options(name).items():
        flag = left_out(flag_of(parameter, help.get(option, ""), METHOD))
        found[option] = replace(flag, name=f"method_{option}") if option in taken else flag
    return found


def shared_flags() -> list[Flag]:
    """The flags of every method."""
    return [
        Flag("resume", bool, False, "go on with the run in --out", RUN, flag="--resume"),
        Flag("overwrite", bool, False, "replace the run in --out", RUN, flag="--overwrite"),
        Flag("tensorboard", bool, False, "also write event files for TensorBoard, into OUT/tensorboard", RUN,
             flag="--tensorboard"),
        *data_flags("glyphs"),
        *task_flags(),
        augment_flag(),
        Flag("seed", int, 0, "of the weights and the tasks: another seed is another training", TRAINING),
        *training_flags(),
        Flag("validation", bool, True, "choose the best weights on validation classes", TRAINING),
        Flag("val_way", str, None, "way of the validation tasks (by default as in training)", TRAINING),
        Flag("val_shot", str, None, "shot of the validation tasks (by default as in training)", TRAINING),
        Flag("val_query", int, None, "queries of each class in validation", TRAINING, shown="15"),
        *machine_flags(),
        json_flag("how it ended"),
        Flag("backbone", str, None, "the encoder: see `kshot list backbones`, or package.module:function", BACKBONE),
        *backbone_flags(),
    ]  # fmt: skip


def backbone_flags(backbones: Mapping[str, Any] | None = None) -> list[Flag]:
    """A flag for each argument of the built-in backbones."""
    from ..backbones import BACKBONES

    found: dict[str, Flag] = {}
    owners: dict[str, list[str]] = {}
    for name, make in (BACKBONES if backbones is None else backbones).items():
        help = argument_help(make)
        for option, parameter in inspect.signature(make, eval_str=True).parameters.items():
            if option not in NOT_BACKBONE_OPTIONS:
                owners.setdefault(option, []).append(name)
                found.setdefault(option, left_out(flag_of(parameter, help.get(option, ""), BACKBONE)))
    return [replace(f, help=f"{', '.join(owners[n])}: {f.help}") for n, f in found.items()]


def training_flags() -> list[Flag]:
    """A flag for each argument of `train` that is kept with a run."""
    from ..training import Settings, train
    from ..training.optimisers import OPTIMIZERS
    from ..training.schedules import SCHEDULES
    from ..training.settings import PRECISIONS

    help, hints = argument_help(train), get_type_hints(Settings)
    choices = {"optimizer": tuple(OPTIMIZERS), "schedule": tuple(SCHEDULES), "precision": PRECISIONS}
    flags = []
    for field in fields(Settings):
        if field.name == "device":
            continue
        default = 1000 if field.name == "steps" else None if field.default is MISSING else field.default
        parameter = inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )
        flag = flag_of(parameter, help.get(field.name, ""), TRAINING)
        flags.append(replace(flag, choices=choices.get(field.name, flag.choices)))
    return flags


def _check_backbone(name: str | None) -> None:
    from ..backbones import BACKBONES, refuse_frozen

    refuse_frozen(name or "")
    if name is not None and name not in BACKBONES and ":" not in name:
        raise unknown("backbone", name, [*BACKBONES, "package.module:function"])


def configured(words: list[str]) -> RunConfig:
    """The training that `kshot train` with these words would start."""
    name, *flags = expand(words)
    values: dict[str, Any] = {}
    app = typer.Typer(add_completion=False)
    app.command(name)(train_command(name, values.update))
    typer.main.get_command(app).main(flags, prog_name=f"kshot train {name}", standalone_mode=False)
    return _config(name, method_flags(name), values)


def _config(name: str, own: Mapping[str, Flag], values: Mapping[str, Any]) -> RunConfig:
    from ..training import RunConfig

    _check_backbone(values["backbone"])  # before the data are loaded
    backbone = given(values, (f.name for f in backbone_flags()))
    backbone |= pairs("--backbone-option", values["backbone_option"] or [])
    training = {f.name: values[f.name] for f in training_flags() if values[f.name] is not None}
    return RunConfig(
        method=name,
        data=data_choice(values),
        training={**training, "device": values["device"]},
        options={option: values[f.name] for option, f in own.items() if values[f.name] is not None},
        backbone=values["backbone"],
        backbone_options=backbone,
        source=task_choice(values),
        validation=task_choice(values, "val_") if values["validation"] else None,
        seed=values["seed"],
    )


def _train(name: str, own: Mapping[str, Flag], values: dict[str, Any]) -> None:
    from ..evaluation.plots.make import make_learning
    from ..training import TensorBoard, start
    from ..training.folder import RunFolder, read_config
    from .card import refresh_card
    from .plot import trained_in_words

    show_log()
    use_machine(values)
    config, out = _config(name, own, values), values["out"]
    callbacks = [TensorBoard(out)] if values["tensorboard"] else []
    result = start(config, out, resume=values["resume"], overwrite=values["overwrite"], callbacks=callbacks)
    if int(os.environ.get("RANK", "0")):
        return  # under torchrun, process 0 speaks for all
    folder = RunFolder(out)
    make_learning(out.resolve().name, folder.metrics, folder.figures, trained_in_words(read_config(folder.config)))
    refresh_card(out)
    if values["json"]:
        emit({**{k: v for k, v in vars(result).items() if k != "method"}, "out": str(out)})
        return
    best = "" if result.best_value is None else f"; best validation {result.best_value:.4g} at step {result.best_step}"
    note(f"{result.reason}: {result.step} steps in {result.seconds:.0f} s{best}. The run is in {out}")
    if result.finished:
        note(f"Next: kshot evaluate {out} --split test")
    else:
        note("The same command with --resume goes on.")
