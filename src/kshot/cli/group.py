"""The root of the command line: turns every way of ending into an exit code and one readable message.

0 done, 2 the user's mistake, 1 a failure, 130 Ctrl-C. KSHOT_DEBUG=1 adds the traceback.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import UserError, unknown
from .console import note

USAGE_ERROR = typer.BadParameter.__mro__[1]  # typer's own mistakes of use: a wrong flag, a missing argument


ORDER = (
    *("run", "train", "evaluate", "predict", "compare", "calibrate", "plot", "export", "card", "serve", "analyze"),
    *("list", "version"),
)


class RootGroup(TyperGroup):
    """The `kshot` command itself."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The sub-command of that name; an unknown one offers the nearest."""
        found = super().get_command(ctx, cmd_name)
        if found is None and not ctx.resilient_parsing and not cmd_name.startswith("-"):
            raise unknown("command", cmd_name, self.list_commands(ctx))
        return found

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, in the order of use."""
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command; Ctrl-C ends it with what the training has to say about going on."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            note(str(stop) or "Interrupted.")
            raise typer.Exit(130) from stop

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code (or return the code, when not standalone)."""
        try:
            done = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
            code = done if isinstance(done, int) else 0
            sys.stdout.flush()
        except BrokenPipeError:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 141
        except KeyboardInterrupt:
            code = 130
        except Exception as error:
            if os.environ.get("KSHOT_DEBUG"):
                traceback.print_exc()
            code, message = explain(error)
            note(message)
        if standalone_mode:
            sys.exit(code)
        return code


def explain(error: Exception) -> tuple[int, str]:
    """The exit code and the message for an error that ended a command."""
    if isinstance(error, UserError):
        return 2, f"Error: {error}"
    if isinstance(error, USAGE_ERROR):
        ctx = getattr(error, "ctx", None)
        hint = f"\nTry: {ctx.command_path} --help" if ctx is not None else ""
        return 2, f"Error: {error.format_message()}{hint}"  # type: ignore[attr-defined]
    if isinstance(error, OSError):
        return 1, f"Error: {error}"
    if isinstance(error, ArithmeticError):  # a training that diverged says all there is to say
        return 1, f"Error: {error}"
    return 1, f"Error: {type(error).__name__}: {error}\nKSHOT_DEBUG=1 shows where."
