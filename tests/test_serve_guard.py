"""What the page's server refuses, in words, and what many or large requests may cost."""

from __future__ import annotations

import base64
import io
import json
import struct
import time
import zlib
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from kshot.serve import limits
from serve_support import answered, client, connected, encoded, question, refused, serving, sign


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A small PNG file that says it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def with_query(text: str) -> dict[str, Any]:
    asked = question()
    asked["queries"] = [text]
    return asked


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"no picture at all", "query 1 is not a picture of a known format"),
        (bomb(5000, 5000), "query 1 is too large (5000 x 5000 pixels); at most 1,000,000 pixels are read"),
        (base64.b64decode(encoded(sign("tent")))[:120], "query 1 is damaged or truncated"),
    ],
)
def test_bad_pictures_in_a_task(data: bytes, told: str) -> None:
    start = time.monotonic()
    assert told in refused(client().post("/api/predict", json=with_query(base64.b64encode(data).decode())))
    assert time.monotonic() - start < 2


def test_what_is_not_base64_or_empty() -> None:
    page = client()
    assert "query 1 is not base64 ('*** no'" in refused(page.post("/api/predict", json=with_query("*** no")))
    assert "query 1 is empty" in refused(page.post("/api/predict", json=with_query("data:image/png;base64,")))
    assert "queries[0] is empty" in refused(page.post("/api/predict", json=with_query("")))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the body is empty (0 bytes)"),
        (b"GIF89a but no", "the picture is"),
        (bomb(), "at most 25,000,000 pixels are read: make it smaller"),
        (b"%PDF-1.7 ...", "is not a picture of a known format"),
    ],
)
def test_bad_uploads(data: bytes, told: str) -> None:
    assert told in refused(client().post("/api/picture", content=data))


def test_too_much_in_a_task_and_too_little() -> None:
    page = client()
    many = question()
    many["classes"] = [{"name": f"c{i}", "pictures": many["queries"]} for i in range(limits.CLASSES + 1)]
    assert "classes has 21 entries, expected at most 20: leave some out" in refused(
        page.post("/api/predict", json=many)
    )
    shots = question()
    shots["classes"][1]["pictures"] *= limits.EXAMPLES + 1
    assert "classes[1].pictures has 21 entries" in refused(page.post("/api/predict", json=shots))
    full = question(shots=1)
    full["classes"] = [{"name": f"c{i}", "pictures": full["queries"] * 20} for i in range(6)]
    assert "120 examples; at most 100 are allowed" in refused(page.post("/api/predict", json=full))
    asked = question()
    asked["queries"] *= limits.QUERIES + 1
    assert "queries has 61 entries" in refused(page.post("/api/predict", json=asked))
    one = question()
    one["classes"] = one["classes"][:1]
    assert "classes has 1 entries, expected at least 2: add some" in refused(page.post("/api/predict", json=one))
    bare = question()
    bare["classes"][0]["pictures"] = []
    assert "classes[0].pictures has 0 entries" in refused(page.post("/api/predict", json=bare))
    curve = {"model": "sine-maml", "points": [{"x": 0, "y": 0}] * (limits.POINTS + 1)}
    assert "points has 51 entries" in refused(page.post("/api/curves", json=curve))
    curve = {"model": "sine-maml", "points": [{"x": 0, "y": 0}], "steps": limits.STEPS + 1}
    assert "steps is 101: input should be less than or equal to 100" in refused(page.post("/api/curves", json=curve))
    big = {"data": "glyphs", "way": 20, "shot": 20}
    assert "at most 100 examples" in refused(page.post("/api/task", json=big))


def test_names_of_classes_and_models() -> None:
    page = client()
    twice = question()
    twice["classes"][1]["name"] = " circle "
    assert "two classes are called 'circle'" in refused(page.post("/api/predict", json=twice))
    blank = question()
    blank["classes"][1]["name"] = "  "
    assert "a name of spaces alone" in refused(page.post("/api/predict", json=blank))
    assert "did you mean 'characters'" in refused(page.post("/api/predict", json=question("charakters")))
    wrong = refused(page.post("/api/predict", json=question("sine-maml")))
    assert "the model sine-maml learns curves, not pictures: take characters" in wrong
    curve = {"model": "characters", "points": [{"x": 0, "y": 0}]}
    assert "learns pictures, not curves" in refused(page.post("/api/curves", json=curve))
    six = question("characters-maml")
    six["classes"].append({"name": "dot", "pictures": [encoded(sign("line", 9))]})
    assert "characters-maml was made for 5 classes, and these are 6" in refused(page.post("/api/predict", json=six))
    assert "unknown data 'glyfs'; did you mean 'glyphs'" in refused(page.post("/api/task", json={"data": "glyfs"}))


def test_what_is_not_as_described() -> None:
    page = client()
    assert "the body is not JSON" in refused(
        page.post("/api/predict", content=b"{", headers={"content-type": "application/json"})
    )
    assert "model is missing" in refused(page.post("/api/predict", json={}))
    assert "clases is not known here" in refused(page.post("/api/predict", json={**question(), "clases": []}))
    infinite = '{"model": "sine-maml", "points": [{"x": 1e999, "y": 0}]}'
    sent = page.post("/api/curves", content=infinite, headers={"content-type": "application/json"})
    assert "points[0].x is inf" in refused(sent)
    assert "there is no /api/nothing here" in refused(page.get("/api/nothing"), 404)
    assert "does not take GET" in refused(page.get("/api/predict"), 405)


@pytest.mark.parametrize(
    ("host", "opened", "names", "taken"),
    [
        ("127.0.0.1:8000", False, (), True),
        ("localhost:8000", False, (), True),
        ("[::1]:8000", False, (), True),
        ("LOCALHOST.", False, (), True),
        ("evil.example", False, (), False),
        ("127.0.0.1.evil.example", False, (), False),
        ("192.168.1.5:8000", False, (), False),
        ("192.168.1.5:8000", True, (), True),
        ("evil.example", True, (), False),
        ("box.example:8000", True, ("box.example",), True),
        ("", False, (), False),
        ("[::1", False, (), False),
    ],
)
def test_only_names_of_ours_are_answered(host: str, opened: bool, names: tuple[str, ...], taken: bool) -> None:
    """A name that is made to lead here (DNS rebinding) opens nothing."""
    response = client(opened=opened, names=names).get("/api/curve", headers={"host": host})
    if taken:
        answered(response)
    else:
        assert "is not a name it knows" in refused(response, 403)


def test_pages_of_other_servers_may_not_ask() -> None:
    page = client()
    curve = {"model": "sine-maml", "points": [{"x": 0, "y": 0}]}
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
    ):
        assert "may not use" in refused(page.post("/api/curves", json=curve, headers=headers), 403)
    answered(page.post("/api/curves", json=curve, headers={"origin": "http://127.0.0.1"}))


def test_every_answer_keeps_scripts_of_others_out() -> None:
    page = client()
    for path in ("/", "/docs", "/api/about", "/static/main.js", "/nothing"):
        policy = page.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy


def test_large_bodies_are_refused_before_they_are_held() -> None:
    with serving() as address:
        place = urlsplit(address)

        def post(path: str, size: int, chunked: bool) -> tuple[int, str]:
            parts = iter([b"x" * (1 << 16)] * (size >> 16))
            headers = {"content-type": "application/json"} | ({} if chunked else {"content-length": str(size)})
            with connected(place) as asked:
                with suppress(BrokenPipeError, ConnectionResetError):  # the answer may come before all was sent
                    asked.request("POST", path, body=parts, headers=headers, encode_chunked=chunked)
                answer = asked.getresponse()
                return answer.status, json.loads(answer.read())["message"]

        for chunked in (True, False):
            status, message = post("/api/predict", limits.BODY_BYTES + (1 << 20), chunked)
            assert status == 413
            assert "at most 8.4 MB are taken: send fewer or smaller pictures" in message
        status, message = post("/api/picture", limits.UPLOAD_BYTES + (1 << 20), True)
        assert status == 413
        assert "at most 16.8 MB" in message
        assert post("/api/picture", limits.BODY_BYTES + (1 << 20), False)[0] == 422  # not too large, but no picture


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    with ExitStack() as stack:
        address = stack.enter_context(serving())
        asked = stack.enter_context(connected(urlsplit(address)))
        asked.putrequest("POST", "/api/predict")
        asked.putheader("content-length", "100")
        asked.endheaders(b"{")
        answer = asked.getresponse()
        assert answer.status == 408
        assert "did not arrive whole within 0.3 seconds" in json.loads(answer.read())["message"]


def test_all_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELD_BYTES", 1000)
    page = client()
    assert "holds as many large requests as it takes" in refused(page.post("/api/predict", json=question()), 503)
    answered(page.post("/api/curves", json={"model": "sine-maml", "points": [{"x": 0, "y": 0}]}))


def test_a_fault_of_ours_is_told_without_its_insides(monkeypatch: pytest.MonkeyPatch) -> None:
    from kshot.serve import app

    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(app, "draw_curve", fail)
    message = refused(client().get("/api/curve"), 500)
    assert "planted" in message
    assert "Traceback" not in message


def test_an_upload_at_the_limit_of_pixels_is_read() -> None:
    stream = io.BytesIO()
    Image.new("L", (5000, 5000), 255).save(stream, "PNG")
    assert answered(client().post("/api/picture", content=stream.getvalue()))["width"] == 5000


def test_an_answer_is_sent_at_once() -> None:
    """Not 40 ms later, when the kernel gives up waiting for more to send."""
    taken = []
    with serving() as address, connected(urlsplit(address)) as connection:
        for _ in range(12):
            began = time.perf_counter()
            connection.request("GET", "/api/about")
            connection.getresponse().read()
            taken.append(time.perf_counter() - began)
    assert min(taken[2:]) < 0.03  # the first answers of a connection are never held back
