"""The pages as files: nothing comes from elsewhere, all that is named exists; the API is documented; `kshot serve`."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli_support import fine, mistake, process, trained
from kshot.serve import server
from kshot.serve.app import STATIC
from serve_support import SIGNS, answered, client, encoded, folders, serving, sign

PAGES = {"/": "index.html", "/docs": "docs.html"}
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.js"))}


class Page(HTMLParser):
    """What a page names: its ids, the files it loads, its controls and their labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.files: list[str] = []
        self.controls: list[dict[str, str | None]] = []
        self.labelled: set[str] = set()
        self.inside = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.files += [str(v) for k, v in attrs if k in ("href", "src") and v and not v.startswith("#")]
        if tag == "label":
            self.inside += 1
            self.labelled |= {str(given["for"])} if "for" in given else set()
        if tag in ("input", "select", "textarea"):
            self.controls.append({**given, "within": "label" if self.inside else None})

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "label"


def page(name: str) -> Page:
    return Page((STATIC / name).read_text(encoding="utf-8"))


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}, path.name
        assert "@import" not in text


@pytest.mark.parametrize("path", PAGES)
def test_every_file_that_a_page_names_is_served_with_its_type(path: str) -> None:
    asks = client()
    html = asks.get(path)
    assert html.headers["content-type"].startswith("text/html")
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "json": "application/json"}
    files = [f for f in page(PAGES[path]).files if f not in PAGES]
    assert files
    for file in files:
        found = asks.get(file)
        assert found.status_code == 200, file
        assert found.headers["content-type"].startswith(types[file.rpartition(".")[2]]), file


def test_scripts_import_what_exists_and_find_what_the_page_has() -> None:
    ids = {"main.js": page("index.html").ids, "docs.js": page("docs.html").ids}
    for name, text in SCRIPTS.items():
        for imported, source in re.findall(r'import \{([^}]*)\} from "\./([\w.]+)"', text):
            for one in imported.split(","):
                declared = rf"export (async )?(function|class|const) {re.escape(one.strip())}[\s(]"
                assert re.search(declared, SCRIPTS[source]), (name, one)
        known = ids["docs.js"] if name == "docs.js" else ids["main.js"]
        for one in re.findall(r'\$\("#([\w-]+)"\)', text):
            assert one in known, (name, one)


@pytest.mark.parametrize("name", PAGES.values())
def test_ids_are_unique_and_controls_have_labels(name: str) -> None:
    found = page(name)
    assert len(set(found.ids)) == len(found.ids)
    for control in found.controls:
        hidden = control.get("aria-hidden") == "true"
        assert hidden or control["within"] or control.get("id") in found.labelled or "aria-label" in control, control


def test_the_api_is_documented() -> None:
    told = answered(client().get("/openapi.json"))
    assert set(told["paths"]) == {
        "/api/about", "/api/predict", "/api/inside", "/api/task", "/api/picture", "/api/curves", "/api/curve",
    }  # fmt: skip
    for path, verbs in told["paths"].items():
        for verb, operation in verbs.items():
            assert operation["summary"], path
            assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"], path
            assert operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
            assert verb == "get" or operation["requestBody"]["required"], path
    classes = told["components"]["schemas"]["TaskRequest"]["properties"]["classes"]
    assert (classes["minItems"], classes["maxItems"]) == (2, 20)


def test_the_command_serves_until_it_is_interrupted() -> None:
    running = process("serve", "--port", "0")
    assert running.stderr is not None
    try:
        lines = [running.stderr.readline() for _ in range(2)]
        assert "characters" in lines[0]
        found = re.search(r"Open (http://127\.0\.0\.1:\d+) ", lines[1])
        assert found, lines
        place = urlsplit(found[1])
        asked = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        asked.request("GET", "/")
        assert b"<title>kshot</title>" in asked.getresponse().read()
        asked.close()
    finally:
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (0, ""), err


@pytest.fixture
def not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """`kshot serve` ends where it would begin to serve."""
    monkeypatch.setattr(server, "run", lambda app, found: found.close())


@pytest.mark.usefixtures("not_run")
def test_runs_stand_before_the_built_in_models(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    told = fine("serve", run, "--port", "0").stderr
    assert f"Models: {run}, characters, characters-maml" in told
    assert "Warning" not in told


@pytest.mark.usefixtures("not_run")
def test_opening_it_to_others_is_said() -> None:
    told = fine("serve", "--host", "0.0.0.0", "--port", "0").stderr
    assert "Warning: every computer that reaches this one can use the page; it has no password" in told


@pytest.mark.usefixtures("not_run")
def test_mistakes_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "unknown run folder, built-in model or method 'charakters'" in mistake("serve", "charakters")
    assert "protonet has to be trained first" in mistake("serve", "protonet")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1 port {port}" in mistake("serve", "--port", port)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'kshot[serve]'" in mistake("serve")


def test_a_model_of_another_size_is_served_beside_the_others(tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    from kshot.serve import Library, create_app

    run = str(trained(tmp_path / "run"))  # 16 pixels
    asks = TestClient(create_app(Library([run, "characters", "nearest"])), base_url="http://127.0.0.1")
    shapes = {m["name"]: m["shape"] for m in answered(asks.get("/api/about"))["models"]}
    assert shapes == {run: [1, 16, 16], "characters": [1, 28, 28], "nearest": [1, 16, 16]}
    import base64

    upload = answered(asks.post("/api/picture", content=base64.b64decode(encoded(sign("zed")))))
    assert set(upload["inputs"]) == {"1x16x16", "1x28x28"}


def test_the_program_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parent.parent / "docs" / "page.md").read_text(encoding="utf-8")
    code = re.findall(r"```python title=\"ask.py\"\n(.*?)```", page, re.DOTALL)[0]
    support, query = folders(tmp_path)
    support.rename(tmp_path / "examples")
    query.rename(tmp_path / "unsorted")
    monkeypatch.chdir(tmp_path)
    shown: list[str] = []
    with serving() as address:
        scope = {"print": lambda found: shown.append([p["label"] for p in found["predictions"]])}
        exec(compile(code.replace("http://127.0.0.1:8000", address), "docs/page.md", "exec"), scope)
    assert [len(labels) for labels in shown] == [len(SIGNS)]
