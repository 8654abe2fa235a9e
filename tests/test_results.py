"""The committed results: complete records, and a table that is made from them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

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


def test_the_table_is_made_from_the_records() -> None:
    spec = importlib.util.spec_from_file_location("table", RESULTS / "table.py")
    assert spec is not None
    assert spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    assert (RESULTS / "README.md").read_text() == table.page(), "run: python results/table.py"
