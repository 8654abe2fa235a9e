"""The commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .analyze import gradients_command
from .calibrate import calibrate_command
from .card import card_command
from .evaluate import compare_command, evaluate_command
from .export import export_command
from .group import RootGroup
from .listing import list_command
from .plot import plot_command
from .predict import predict_command
from .run import run_command
from .serve import serve_command
from .train import train_app

app = typer.Typer(
    cls=RootGroup,
    help="kshot learns to learn: it trains a model over many small tasks, so that a new task is learned from a few "
    "examples of each class.",
    epilog="Begin with `kshot run`: it needs no data and takes four minutes. Every command explains itself: "
    "`kshot train --help`.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Print the version or, without a command, the help."""
    if version:
        show_version()
        raise typer.Exit()
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command("run")(run_command)
app.add_typer(train_app(), name="train")
app.command("evaluate")(evaluate_command())
app.command("predict")(predict_command())
app.command("compare")(compare_command())
app.command("calibrate")(calibrate_command())
app.command("plot")(plot_command())
app.command("export")(export_command())
app.command("card")(card_command())
analyze = typer.Typer(help="What a method learns from: kshot analyze gradients RUN.", no_args_is_help=True)
analyze.callback()(lambda: None)  # a group of commands, though there is but one
analyze.command("gradients")(gradients_command())
app.add_typer(analyze, name="analyze")
app.command("serve")(serve_command())
app.command("list")(list_command)


@app.command("version")
def show_version() -> None:
    """Print the version of kshot."""
    from .. import __version__

    typer.echo(f"kshot {__version__}")
