"""`kshot fits`: several runs on the same curves, in one figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_support import fine, mistake, trained

CURVES = ["--data", "sinusoid", "--steps", "2", "--tasks", "2", "--query", "3", "--no-validation", "--out"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    fine("train", "cnp", "--shot", "1-4", "--method-hidden", "8", *CURVES, folder / "cnp")
    fine("train", "maml", "--shot", "4", "--hidden", "8", *CURVES, folder / "maml")
    return folder / "cnp", folder / "maml"


def test_one_figure_holds_all_runs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    fine("fits", *runs, "--shot", "4", "--out", tmp_path / "new" / "fits.svg")
    text = (tmp_path / "new" / "fits.svg").read_text(encoding="utf-8")
    assert all(str(run) in text for run in runs)
    assert "true curve" in text
    fine("fits", *runs, "--shot", "4", "--out", tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8").count("<path") == text.count("<path")


def test_what_cannot_be_drawn_is_explained(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert "--out must end in .svg, .png, .pdf; got fits.txt" in mistake("fits", *runs, "--out", "fits.txt")
    assert "cnp has no backbone to which hidden could belong" in mistake("train", "cnp", "--hidden", "8", *CURVES, "x")
    assert "--curves must be between 1 and 6" in mistake("fits", *runs, "--curves", "9")
    classes = trained(tmp_path / "protonet")
    assert "learns classes: use kshot compare" in mistake("fits", classes, "--out", tmp_path / "x.svg")
