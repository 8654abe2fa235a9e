"""Running the application: where it listens, and until when."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from ..errors import UserError
from . import limits


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free.

    Raises:
        UserError: the name is not one of this computer's, or the port is taken or not allowed.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port must be between 0 (any that is free) and 65535; got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as e:
        raise UserError(f"--host {host} names no computer ({e}): leave it out for 127.0.0.1, this one alone") from e
    found = socket.socket(family, kind, protocol)  # asyncio sends at once (TCP_NODELAY) only where it is told TCP
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
        found.listen(limits.CONNECTIONS)
    except OSError as e:
        found.close()
        raise UserError(
            f"cannot listen on {host} port {port} ({e.strerror}): choose another --port (0 takes any that is free), or "
            f"end the program that uses it"
        ) from e
    return found


def address_of(found: socket.socket) -> str:
    """http://127.0.0.1:8000 of a socket that listens."""
    host, port = found.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_open(found: socket.socket) -> bool:
    """Whether other computers may reach a socket."""
    return not ipaddress.ip_address(found.getsockname()[0]).is_loopback


def server(app: Callable[..., Any]) -> uvicorn.Server:
    """A server with bounds of its own: connections, the size of headers, and how long it waits for them."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            limit_concurrency=limits.CONNECTIONS,
            h11_max_incomplete_event_size=32 << 10,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=3,
            http="h11",
            ws="none",
            lifespan="off",
            server_header=False,
        )
    )


def run(app: Callable[..., Any], found: socket.socket) -> None:
    """Serve until Ctrl-C."""
    with found, contextlib.suppress(KeyboardInterrupt):
        server(app).run(sockets=[found])
