"""What stands before the pages: whose requests are taken, and how large they may be.

A page of somebody else's, open in the visitor's browser, must not use this server: neither by a form (the Origin of a
request must be our own) nor by a name that is made to lead here (the Host must be an address, or a name of ours).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from . import limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOAD = "/api/picture"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class Refused(Exception):
    """A request that is not taken: status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """Checks every request, reads its body within bounds, and adds headers to every answer.

    Args:
        app: what answers.
        names: names under which the server may be called, beside its addresses and localhost.
        opened: whether other computers may ask; otherwise only this one's addresses are taken.
    """

    def __init__(self, app: App, names: Collection[str] = (), opened: bool = False) -> None:
        self.app, self.opened = app, opened
        self.names = {"localhost", *(name.lower().rstrip(".") for name in names)}
        self.held = 0  # bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no web sockets

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in given]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        try:
            self.check(scope)
            if scope["method"] in ("GET", "HEAD", "OPTIONS"):
                await self.app(scope, receive, sent)
                return
            with self.room() as hold:
                await self.app(scope, await self.read(scope, receive, hold), sent)
        except Refused as refused:
            await answer(refused.status, str(refused), sent)

    def check(self, scope: Scope) -> None:
        """Refuse requests that were sent to another name, or by the page of another server."""
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        host = headers.get("host", "")
        if not self.knows(host):
            raise Refused(
                403,
                f"this server was asked as {host!r}, which is not a name it knows: use http://127.0.0.1 with its port, "
                f"or start kshot serve with --allow-host {_name(host) or 'NAME'}",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Refused(403, f"a page of {origin} may not use this server; open the server's own page, http://{host}")
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET":
            raise Refused(403, f"a page of another server may not use this one; open its own page, http://{host}")

    def knows(self, host: str) -> bool:
        """Whether the Host of a request is ours."""
        name = _name(host)
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.opened or address.is_loopback

    @contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """Room for the body of one request among all that are held: call it with what is to be held in addition."""
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            if self.held + size > limits.HELD_BYTES:
                raise Refused(503, "the server holds as many large requests as it takes: ask again in a second")
            mine, self.held = mine + size, self.held + size

        try:
            yield hold
        finally:
            self.held -= mine

    async def read(self, scope: Scope, receive: Receive, hold: Callable[[int], None]) -> Receive:
        """The whole body within bounds of size and time, as what the app receives."""
        most = limits.UPLOAD_BYTES if scope["path"] == UPLOAD else limits.BODY_BYTES
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > most:
            raise _too_large(int(told), most)
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(limits.BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        break
                    parts.append(message.get("body", b""))
                    hold(len(parts[-1]))
                    size, more = size + len(parts[-1]), message.get("more_body", False)
                    if size > most:
                        raise _too_large(size, most)
        except TimeoutError:
            late = f"the request did not arrive whole within {limits.BODY_SECONDS:g} seconds: send it again"
            raise Refused(408, late) from None
        body: Message | None = {"type": "http.request", "body": b"".join(parts), "more_body": False}
        parts.clear()

        async def again() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            whole, body = body, None
            return whole

        return again


def _too_large(size: int, most: int) -> Refused:
    return Refused(
        413,
        f"the request has {size / 1e6:.1f} MB or more; at most {most / 1e6:.1f} MB are taken: send fewer or smaller "
        f"pictures",
    )


def _name(host: str) -> str:
    """The name or address in a Host header, without port and brackets."""
    return (urlsplit(f"//{host}").hostname or "").rstrip(".") if _splits(host) else ""


def _splits(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname is not None
    except ValueError:
        return False


async def answer(status: int, message: str, send: Send) -> None:
    """Send a problem as JSON."""
    body = json.dumps({"message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
