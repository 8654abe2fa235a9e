"""Zero-shot on the command line: training, evaluation and prediction from descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cli_support import document, fine, kshot, mistake
from picture_support import make

NAMES = tuple("abcdefghij")
SMALL = ["--query", "2", "--tasks", "2", "--steps", "3", "--filters", "4", "--size", "16", "--val-tasks", "2",
         "--val-query", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("data") / "mine", NAMES)


@pytest.fixture(scope="module")
def table(folder: Path) -> Path:
    path = folder.parent / "words.csv"
    path.write_text(
        "class,description\n" + "".join(f"{n},letter {n} {'round' if n < 'f' else 'tall'}\n" for n in NAMES)
    )
    return path


@pytest.fixture(scope="module")
def run(folder: Path, table: Path) -> Path:
    out = folder.parent / "run"
    fine("train", "protonet-zero", "--data", folder, "--attributes", table, "--way", "2", *SMALL, "--out", out)
    return out


def test_a_table_beside_a_folder_trains_and_evaluates(run: Path, table: Path) -> None:
    report = document("evaluate", run, "--episodes", "4", "--query", "1")
    assert (report["shot"], report["way"], report["episodes"]) == (0, 2, 4)
    config = (run / "config.yaml").read_text()
    assert f"attributes: {table.resolve()}" in config
    assert "- round" in config  # the vocabulary


def test_descriptions_stand_in_place_of_a_support_folder(run: Path, tmp_path: Path) -> None:
    said = tmp_path / "new.csv"
    said.write_text("flat disc,round\nneedle,tall letter\n")
    (tmp_path / "query").mkdir()
    for i in range(2):
        Image.new("L", (20, 20), 40 * i).save(tmp_path / "query" / f"{i}.png")
    found = document("predict", run, "--support", said, "--query", tmp_path / "query")
    assert len(found) == 2
    assert set(found[0]["probabilities"]) == {"flat disc", "needle"}
    alone = document("predict", run, "--support", said, "--query", tmp_path / "query" / "1.png", "--invert", "no")
    together = document("predict", run, "--support", said, "--query", tmp_path / "query", "--invert", "no")
    assert alone[0]["probabilities"] == pytest.approx(together[1]["probabilities"], abs=1e-6)
    said.write_text("disc,rund\nneedle,tall\n")
    wrong = mistake("predict", run, "--support", said, "--query", tmp_path / "query")
    assert "line 1 of" in wrong
    assert "did you mean 'round'?" in wrong
    assert "this model learns from descriptions" in mistake("predict", run, "--support", tmp_path, "--query", tmp_path)
    said.write_text("disc,round\n")
    assert "describes 1 class" in mistake("predict", run, "--support", said, "--query", tmp_path / "query")


def test_a_table_is_no_support_folder(tmp_path: Path, table: Path) -> None:
    Image.new("L", (20, 20)).save(tmp_path / "1.png")
    told = mistake("predict", "nearest", "--support", table, "--query", tmp_path)
    assert "is a file, not a folder" in told


def test_tasks_and_methods_must_fit(run: Path, folder: Path, table: Path) -> None:
    told = mistake("evaluate", run, "--shot", "1", "--query", "1")
    assert "was trained to learn a class from 13 numbers or words (a, b, c, ...)" in told
    assert "give examples: leave out --shot" in told
    plain = mistake("train", "protonet-zero", *SMALL, "--out", folder.parent / "x")
    assert "glyphs does not describe its classes" in plain
    assert "use glyphs:names, add --attributes FILE" in plain
    other = mistake(
        "evaluate", "nearest", "--data", folder, "--attributes", table, "--shot", "0", "--way", "2", "--query", "1"
    )
    assert "nearest learns from examples" in other
    short = folder.parent / "short.csv"
    short.write_text("a,1\nb,2\n")
    few = mistake(
        "train", "protonet-zero", "--data", folder, "--attributes", short, *SMALL, "--out", folder.parent / "x"
    )
    assert "is missing" in few


def test_the_example_of_the_help_is_zero_shot() -> None:
    text = " ".join(kshot("train", "protonet-zero", "--help").stdout.split())
    assert "kshot train protonet-zero --data glyphs:names --way 50" in text
    assert "--description-units" in text
