"""The command line, called in this process, and a training of a second for it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result

from kshot.cli.app import app
from kshot.cli.group import RootGroup
from kshot.cli.recipes import expand

TINY = [
    *["--data", "scribbles", "--size", "16", "--way", "3", "--query", "2", "--tasks", "2"],
    *["--steps", "4", "--log-every", "2", "--val-every", "2", "--val-tasks", "3", "--filters", "4"],
]


def kshot(*arguments: object) -> Result:
    """The result of `kshot arguments`: exit_code, stdout, stderr."""
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="kshot")


def fine(*arguments: object) -> Result:
    """The result of a command that must succeed."""
    result = kshot(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def document(*arguments: object) -> Any:
    """What a command with --json prints: all of standard output is one JSON document."""
    return json.loads(fine(*arguments, "--json").stdout)


def mistake(*arguments: object) -> str:
    """What a command says to a user who made a mistake: exit code 2, nothing on standard output, no traceback."""
    result = kshot(*arguments)
    assert result.exit_code == 2, (result.exit_code, result.stderr)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def trained(out: Path, *more: object, method: str = "protonet") -> Path:
    """A run folder after four steps on scribbles of 16 pixels."""
    fine("train", method, *TINY, *more, "--out", out)
    return out


def understand(command: str) -> None:
    """Parse a command to the end, without running it; a mistake in it is an error."""
    words = shlex.split(command)
    assert words[0] == "kshot"
    group = typer.main.get_command(app)
    assert isinstance(group, RootGroup)
    ctx = group.make_context("kshot", ["list"])
    name, found, words = group.resolve_command(ctx, words[1:])
    if name == "train":
        words = expand(words)
        name, found, words = found.resolve_command(ctx, words)  # type: ignore[union-attr]
    assert found is not None
    found.make_context(name, words, parent=ctx)


def process(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """`kshot arguments` as a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "kshot", *(str(a) for a in arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )
