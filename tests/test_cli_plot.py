"""`kshot plot`: the figures of a run, and of several runs side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli_support import document, fine, mistake, trained

CURVES = ["--data", "sinusoid", "--steps", "2", "--tasks", "2", "--query", "3", "--no-validation", "--out"]
SHORT = ["--episodes", "2", "--query", "3", "--ways", "3", "--shots", "1", "--formats", "svg"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "protonet")


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("curves")
    fine("train", "cnp", "--shot", "1-4", "--method-hidden", "8", *CURVES, folder / "cnp")
    fine("train", "maml", "--shot", "4", "--hidden", "8", *CURVES, folder / "maml")
    return folder / "cnp", folder / "maml"


def test_all_figures_of_a_run_and_again_without_its_model(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "protonet"))
    first = {one["name"]: one for one in document("plot", copy, *SHORT)}
    drawn = {name for name, one in first.items() if one["files"]}
    assert drawn == {"learning", "task", "confusion", "reliability", "similarity", "embedding", "way-shot"}
    assert first["adaptation"]["left_out"] == "prototypical network does not learn a task by steps"
    assert all(one["measured"] for one in first.values() if one["files"])
    assert all(Path(file).parent == copy / "figures" for name in drawn for file in first[name]["files"])
    second = {one["name"]: one for one in document("plot", copy, *SHORT)}
    assert {name for name, one in second.items() if one["measured"]} == {"learning"}, "nothing is measured twice"
    before = {p: p.read_bytes() for p in (copy / "figures").glob("*.svg")}
    for p in [*copy.glob("*.safetensors"), copy / "config.yaml", *before]:
        p.unlink()
    fine("plot", copy, "--redraw", "--formats", "svg")
    assert {p: p.read_bytes() for p in (copy / "figures").glob("*.svg")} == before


def test_left_out_figures_are_told_and_named_ones_are_refused(run: Path, tmp_path: Path) -> None:
    result = fine("plot", run, *SHORT, "--only", "gates,task", "--out", tmp_path / "new")
    assert "left out: gates: prototypical network learns no gates of its steps" in result.stderr
    assert result.stdout.splitlines() == [str(tmp_path / "new" / "task.svg")]
    said = mistake("plot", run, *SHORT, "--only", "gates", "--out", tmp_path / "new")
    assert "nothing to draw: gates: prototypical network learns no gates" in said
    assert "unknown figure 'confuse'; did you mean 'confusion'" in mistake("plot", run, "--only", "confuse")


def test_runs_side_by_side(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures"
    made = {one["name"]: one for one in document("plot", run, "nearest", *SHORT, "--out", out)}
    assert {name for name, one in made.items() if one["files"]} == {"learning", "way-shot", "compare"}
    found = json.loads((out / "compare.json").read_text())
    assert [r["method"] for r in found["reports"]] == ["protonet", "nearest"]
    assert len({r["tasks_digest"] for r in found["reports"]}) == 1
    assert "protonet − nearest" in (out / "compare.svg").read_text(encoding="utf-8")
    said = mistake("plot", run, "nearest", "--only", "confusion", "--out", out)
    assert "confusion: it is drawn of one run, and there are 2" in said
    assert "add --out FOLDER" in mistake("plot", run, "nearest")


def test_curves_by_step_and_together(curves: tuple[Path, Path], tmp_path: Path) -> None:
    process, maml = curves
    fine("plot", maml, "--only", "fits,adaptation", "--shot", "4", *SHORT, "--steps", "5")
    text = (maml / "figures" / "fits.svg").read_text(encoding="utf-8")
    assert all(f">{words}<" in text for words in ("true curve", "0 steps", "1 step", "5 steps"))
    fine("plot", process, maml, "--only", "fits", "--shot", "4", *SHORT, "--out", tmp_path)
    text = (tmp_path / "fits.svg").read_text(encoding="utf-8")
    assert all(f">{words}<" in text for words in ("true curve", "cnp", "maml"))


def test_mistakes_are_explained(run: Path, curves: tuple[Path, Path], tmp_path: Path) -> None:
    assert "nearest has no run folder to write to: add --out" in mistake("plot", "nearest", "--data", "scribbles")
    assert "--formats must be one or more of svg,png,pdf; got 'gif'" in mistake("plot", run, "--formats", "gif")
    assert "--ways must be numbers of at least 2" in mistake("plot", run, "--ways", "1,5")
    assert "--curves must be between 1 and 6" in mistake("plot", curves[1], "--curves", "9")
    assert "--episodes must be at least 2; got 1" in mistake("plot", run, "--episodes", "1")
    assert "--redraw and --again exclude each other" in mistake("plot", run, "--redraw", "--again")
    assert "holds no numbers of figures" in mistake("plot", run, "--redraw", "--out", tmp_path)
    assert "figures does not exist" in mistake("plot", tmp_path, "--redraw")
    assert "cnp has no backbone to which hidden could belong" in mistake("train", "cnp", "--hidden", "8", *CURVES, "x")


def test_a_run_that_is_replaced_loses_its_figures(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "protonet"))
    fine("plot", copy, "--only", "similarity", *SHORT)
    trained(copy, "--overwrite")
    assert sorted(p.name for p in (copy / "figures").iterdir()) == ["learning.json", "learning.svg"]


def test_figures_are_listed() -> None:
    rows = {row["name"]: row for row in document("list", "figures")}
    assert rows["compare"]["runs"] == "several"
    assert rows["memory"]["runs"] == "one"
    assert "which class is taken for which" in rows["confusion"]["what it shows"]
