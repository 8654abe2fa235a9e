"""The committed results: complete records, and a table that is made from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import table
from kshot.methods import METHODS

RESULTS = Path(__file__).resolve().parent.parent / "results"
RECORDS = sorted(RESULTS.glob("*.json"))
KEYS = [
    *(
        "method",
        "data",
        "split",
        "way",
        "shot",
        "query",
        "ci95",
        "episodes",
        "seed",
        "transductive",
        "device",
        "threads",
    ),
    *("train_seconds", "train_steps", "command", "config", "versions", "commit"),
]


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_a_record_says_everything(path: Path) -> None:
    record = json.loads(path.read_text())
    assert not [k for k in KEYS if k not in record]
    assert any(measure in record for measure in ("accuracy", "mse"))
    assert record["ci95"] > 0
    assert record["episodes"] >= 200
    assert record["commit"]


def test_the_tables_are_made_from_the_records() -> None:
    for path, text in table.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python results/table.py"


def test_the_page_says_why_ours_is_lower() -> None:
    below = table.shortfalls()
    assert below
    assert not [row for row in below if not row[-1]]


MEASURED = sorted({str(json.loads(path.read_text())["method"]) for path in RECORDS})


@pytest.mark.parametrize("name", MEASURED)
def test_every_measured_method_has_a_page_with_its_results(name: str) -> None:
    page = (RESULTS.parent / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
    assert f"<!-- results:{name} -->" in page
    assert "<!-- /results -->" in page
    assert "kshot train " + name in page or not METHODS[name].about.meta_trained


def accuracy(stem: str) -> float:
    return float(json.loads((RESULTS / f"{stem}.json").read_text())["accuracy"])


@pytest.mark.parametrize("shot", [1, 5])
def test_a_trained_model_is_ten_points_above_raw_pixels_on_photographs(shot: int) -> None:
    assert accuracy(f"protonet-caltech101-5w{shot}s") > accuracy(f"nearest-caltech101-5w{shot}s") + 10
