"""Many who ask at once, what is remembered, and what cannot be served."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from kshot.errors import UserError
from kshot.serve import Library, limits
from kshot.serve.gate import Busy, Gate, Memory
from kshot.serve.server import listen
from serve_support import answered, client, connected, question, serving

MANY = ("characters", "nearest")


def test_many_tabs_at_once_are_all_answered() -> None:
    """Forty that ask at the same time: each gets its own answer, or is told to ask again."""
    signs = ("circle", "cross", "line", "zed")
    with serving() as address:
        place = urlsplit(address)
        found: list[tuple[str, int, Any]] = []

        def ask(i: int) -> None:
            wanted = signs[i % len(signs)]
            body = json.dumps(question(MANY[i % 2], query=wanted))
            with connected(place) as asked:
                asked.request("POST", "/api/predict", body, {"content-type": "application/json"})
                answer = asked.getresponse()
                found.append((f"{MANY[i % 2]} {wanted}", answer.status, json.loads(answer.read())))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(found) == 40
    assert {status for _, status, _ in found} <= {200, 503}
    good = [(wanted, answer) for wanted, status, answer in found if status == 200]
    assert len(good) > limits.WAITING
    page = client()
    alone = {
        f"{model} {wanted}": answered(page.post("/api/predict", json=question(model, query=wanted)))["predictions"][0]
        for model in MANY
        for wanted in signs
    }
    for asked_for, answer in good:
        assert answer["predictions"][0]["probabilities"] == pytest.approx(alone[asked_for]["probabilities"], abs=1e-6)
    assert all("ask again" in answer["message"] for _, status, answer in found if status == 503)


def test_the_gate_lets_one_in_and_few_wait() -> None:
    door, inside, leave = Gate(waiting=1, seconds=0.1), threading.Event(), threading.Event()

    def stay() -> None:
        with door:
            inside.set()
            leave.wait(10)

    first = threading.Thread(target=stay)
    first.start()
    inside.wait(10)
    with pytest.raises(Busy, match=r"was busy for 0\.1 seconds"), door:
        pass
    door.seconds = 10
    second = threading.Thread(target=stay)
    second.start()
    while door._places._value:  # until the second one waits
        time.sleep(0.001)
    with pytest.raises(Busy, match="as many questions waiting as it takes"), door:
        pass
    leave.set()
    first.join(10)
    second.join(10)
    with door:
        pass


def test_a_memory_keeps_the_last_and_no_failures() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name

    kept: Memory[str] = Memory(2)
    for name in "abacab":
        assert kept.get(name, lambda name=name: make(name)) == name
    assert "".join(made) == "abcb"  # b was forgotten for c
    assert len(kept) == 2
    with pytest.raises(ValueError, match="no"):
        kept.get("d", lambda: (_ for _ in ()).throw(ValueError("no")))
    assert kept.get("d", lambda: "d") == "d"


def test_what_cannot_be_served() -> None:
    with pytest.raises(UserError, match="1 to 12 models, and 0 were named"):
        Library([])
    with pytest.raises(UserError, match="did you mean 'characters'"):
        Library(["characterz"])
    with pytest.raises(UserError, match=r"--port must be between 0 .* got 70000"):
        listen("127.0.0.1", 70000)
    with pytest.raises(UserError, match=r"--host no\.such\.name\.invalid names no computer"):
        listen("no.such.name.invalid", 0)
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1 port {port} .*choose another --port"):
            listen("127.0.0.1", port)
