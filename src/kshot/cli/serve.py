"""`kshot serve`: the page to draw on, to watch and to look into."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ..errors import UserError
from .console import note
from .flags import Flag, argument, command
from .sources import machine_flags, use_machine

NETWORK = "Network"
PLAIN = ("nearest",)  # what the others are compared with


def serve_command() -> Callable[..., None]:
    """The function behind `kshot serve`."""
    runs = typer.Argument(
        help="run folders and built-in models; the built-in ones are there in any case", metavar="[RUN]..."
    )
    hosts = typer.Option(
        "--allow-host", help="a name under which the server may be called; repeat it for more", rich_help_panel=NETWORK
    )
    return command(
        _serve,
        [
            argument("runs", list[str] | None, runs, None),
            Flag("port", int, 8000, "where it listens; 0 takes any port that is free", NETWORK),
            Flag("host", str, "127.0.0.1", "who may reach it: 127.0.0.1 this computer alone, 0.0.0.0 all", NETWORK),
            argument("allow_host", list[str] | None, hosts, None),
            Flag("data_dir", Path, None, "folder that holds the archives of named data sets", "Data"),
            *machine_flags(),
        ],
        "Open a page in which you draw examples and see what models make of them.\n\n"
        "Example: kshot serve runs/letters\n\n"
        "Needs the extra `serve` (pip install 'kshot[serve]') and nothing from the network. Ctrl-C ends it.",
    )


def _serve(values: dict[str, Any]) -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as e:
        raise UserError(
            f"kshot serve needs FastAPI and uvicorn, and {e.name} is not installed: pip install 'kshot[serve]'"
        ) from e
    from ..models import BUILTIN
    from ..serve import Library, create_app
    from ..serve.server import address_of, is_open, listen, run

    device = use_machine(values)
    library = Library([*(values["runs"] or []), *BUILTIN, *PLAIN], device)
    library.warm_up()
    found = listen(values["host"], values["port"])
    opened, hosts = is_open(found), values["allow_host"] or []
    if opened:
        hosts = [*hosts, values["host"], socket.gethostname(), f"{socket.gethostname()}.local"]
        note(
            "Warning: every computer that reaches this one can use the page; it has no password. Without --host, only "
            "this computer can."
        )
    app = create_app(library, data_dir=values["data_dir"], names=hosts, opened=opened)
    note(f"Models: {', '.join(library.models)}")
    note(f"Open {address_of(found)} (Ctrl-C ends it; the JSON API is told at {address_of(found)}/docs)")
    run(app, found)
