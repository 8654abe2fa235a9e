"""`kshot run`: the demonstration, shortened to seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cli_support import document, fine, kshot, mistake
from kshot.cli.demo import MINUTES, parts

SHORT = ("--minutes", "0.01")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "kshot-run"
    text = fine("run", *SHORT, "--out", out).stdout
    assert "prototypical network" in text
    assert str(out / "report.html") in text
    return out


def test_it_trains_measures_and_writes_a_page(shown: Path) -> None:
    assert {p.name for p in shown.iterdir()} == {part.name for part in parts()} | {"results", "report.html"}
    records = [json.loads(p.read_text()) for p in (shown / "results").iterdir()]
    assert {(r["method"], r["way"], r["transductive"]) for r in records} == {
        *[(name, way, False) for name in ("nearest", "pretrained", "protonet") for way in (5, 20)],
        *[("maml", 5, seen) for seen in (False, True)],
    }
    assert all(r["split"] == "test" and r["ci95"] > 0 for r in records)
    assert len({r["tasks_digest"] for r in records if r["way"] == 5}) == 1  # the same tasks for every method


def test_the_page_has_every_figure(shown: Path) -> None:
    text = (shown / "report.html").read_text()
    for heading in ("Results", "A task", "Learning to learn", "Adaptation", "Sine curves by step"):
        assert f"<h2>{heading}</h2>" in text
    assert text.count("<svg") == 3
    assert text.count('class="tile example"') == 5


def test_what_is_done_is_not_done_again(shown: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in shown.rglob("*") if p.name != "report.html" and p.is_file()}
    found = document("run", *SHORT, "--out", shown)
    assert found["report"] == str(shown / "report.html")
    assert len(found["results"]) == 8
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_another_plan_does_not_mix_with_the_runs_in_the_folder(shown: Path) -> None:
    assert "cannot resume" in mistake("run", "--minutes", "0.5", "--out", shown)


def test_ctrl_c_is_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kshot.cli import run

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_train", interrupted)
    result = kshot("run", *SHORT, "--out", tmp_path / "demo")
    assert result.exit_code == 130
    assert f"The same command goes on: kshot run --out {tmp_path / 'demo'}" in result.stderr


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert "holds other files" in mistake("run", "--out", tmp_path)


def test_the_plan_trains_on_other_scripts_than_it_tests(shown: Path) -> None:
    config = yaml.safe_load((shown / "protonet" / "config.yaml").read_text())
    assert config["data"]["spec"] == "glyphs"
    assert all(part.steps > 100 for part in parts(MINUTES))
