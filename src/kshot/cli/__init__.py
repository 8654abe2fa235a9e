"""The command line. `main` is the `kshot` command; everything it needs loads when a command runs."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process; exits with its code."""
    from .app import app

    app(prog_name="kshot")
