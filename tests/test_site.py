"""The documentation's site: it builds without a warning, loads nothing from elsewhere, and leaves no page out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest

from kshot.methods import METHODS

ROOT = Path(__file__).resolve().parent.parent
LOADED = re.compile(r"<(?:script|img|iframe)[^>]+src=\"(?P<a>https?://[^\"]+)|<link[^>]+href=\"(?P<b>https?://[^\"]+)")


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    told = ["build", "--strict", "--config-file", str(config), "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", *told]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_pages_made_from_the_code_are_current() -> None:
    for path, text in pages.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python tools/pages.py"


def test_the_site_builds_strictly_and_needs_no_network(tmp_path: Path) -> None:
    done = build(ROOT / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    shown = {path.relative_to(tmp_path / "site"): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert len(shown) > 70
    loaded = {found[0] for text in shown.values() for found in LOADED.finditer(text)}
    assert not loaded
    methods = shown[Path("methods/index.html")]
    assert all(f'href="{name}.html"' in methods for name in METHODS)
    assert ">adapt<" in shown[Path("api/methods.html")]
    assert 'href="results/index.html"' in shown[Path("data.html")]  # a link that leads out of docs/


@pytest.mark.slow
def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Title\n\n[nowhere](none.md)\n")
    kept = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("not_in_nav")[0]
    text = kept.replace("docs_dir: docs", f"docs_dir: {docs}").replace("tools/", f"{ROOT}/tools/")
    (tmp_path / "mkdocs.yml").write_text(text)
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert "none.md" in done.stderr
