"""The page's server in this process, and pictures for it."""

from __future__ import annotations

import base64
import http.client
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult

from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw

from kshot.serve import Library, create_app
from kshot.serve.server import address_of, listen, server

HERE = "http://127.0.0.1"
MODELS = ("characters", "characters-maml", "sine-maml", "sine-pretrained", "nearest")
SIGNS = ("circle", "cross", "line", "tent", "zed")


@lru_cache(maxsize=1)
def library() -> Library:
    """The built-in models and `nearest`, read once."""
    return Library(MODELS)


def app(**options: Any) -> FastAPI:
    """The application, with memories of its own."""
    return create_app(library(), **options)


def client(**options: Any) -> TestClient:
    """Asks the application without a network."""
    return TestClient(app(**options), base_url=HERE, raise_server_exceptions=False)


def answered(response: Any) -> Any:
    """What a request that must succeed was answered."""
    assert response.status_code == 200, response.text
    return response.json()


def refused(response: Any, status: int = 422) -> str:
    """The message of a request that must fail."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"message"}
    return str(response.json()["message"])


def sign(name: str, shift: int = 0, side: int = 56, width: int = 3) -> Image.Image:
    """A sign in dark ink on light paper."""
    made = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(made)
    a, b, m = side // 5 + shift, side - side // 5 + shift, side // 2 + shift
    lines = {
        "line": [[(m, a), (m, b)]],
        "cross": [[(a, a), (b, b)], [(a, b), (b, a)]],
        "tent": [[(a, b), (m, a), (b, b), (a, b)]],
        "zed": [[(a, a), (b, a), (a, b), (b, b)]],
    }
    if name == "circle":
        pen.ellipse((a, a, b, b), outline=0, width=width)
    for line in lines.get(name, []):
        pen.line(line, fill=0, width=width)
    return made


def encoded(picture: Image.Image, kind: str = "PNG") -> str:
    """A picture as base64."""
    stream = io.BytesIO()
    picture.save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


def question(model: str = "characters", shots: int = 1, query: str = "tent", **more: Any) -> dict[str, Any]:
    """A task of five signs, and a query."""
    classes = [{"name": n, "pictures": [encoded(sign(n, i)) for i in range(shots)]} for n in SIGNS]
    return {"model": model, "classes": classes, "queries": [encoded(sign(query, 2, 50, 2))], **more}


def folders(root: Path, shots: int = 2) -> tuple[Path, Path]:
    """The same signs as `kshot predict` takes them, in several sizes and formats: support and query."""
    support, query = root / "support", root / "query"
    query.mkdir(parents=True)
    for k, name in enumerate(SIGNS):
        (support / name).mkdir(parents=True)
        for i in range(shots):
            sign(name, i, 50 + 7 * k).convert("RGB" if i else "L").save(support / name / f"{i}.png")
        sign(name, -2, 64 - 3 * k, 4).save(query / f"{name}.{'jpg' if k % 2 else 'png'}")
    return support, query


def from_folders(model: str, support: Path, query: Path) -> dict[str, Any]:
    """A request with the files of two folders."""

    def read(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    classes = [{"name": c.name, "pictures": [read(f) for f in sorted(c.iterdir())]} for c in sorted(support.iterdir())]
    return {"model": model, "classes": classes, "queries": [read(f) for f in sorted(query.iterdir())]}


@contextmanager
def serving(**options: Any) -> Iterator[str]:
    """A real server in a thread; gives its address."""
    found = listen("127.0.0.1", 0)
    running = server(app(**options))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [found]}, daemon=True)
    thread.start()
    limit = time.monotonic() + 20
    while not running.started and time.monotonic() < limit:
        time.sleep(0.01)
    try:
        yield address_of(found)
    finally:
        running.should_exit = True
        thread.join(10)
        found.close()


@contextmanager
def connected(place: SplitResult) -> Iterator[http.client.HTTPConnection]:
    """A connection to a server."""
    made = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    try:
        yield made
    finally:
        made.close()
