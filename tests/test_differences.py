"""The docs' tables of paired comparisons are made from the committed records."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

RESULTS = Path(__file__).resolve().parent.parent / "results"
RECORDS = sorted((RESULTS / "compare").glob("*.json"))


def differences() -> ModuleType:
    """results/differences.py."""
    spec = importlib.util.spec_from_file_location("differences", RESULTS / "differences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_made_from_the_records() -> None:
    made = differences()
    for path in made.PAGES.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert text == made.page(text), f"{path.name}: run python results/differences.py"


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_a_record_says_everything(path: Path) -> None:
    record = json.loads(path.read_text())
    assert {"reports", "differences", "command", "commit", "trainings"} <= set(record)
    names = [report["method"] for report in record["reports"]]
    assert set(record["trainings"]) == set(names)
    assert len({report["tasks_digest"] for report in record["reports"]}) == 1
    assert len(record["differences"]) == len(names) * (len(names) - 1) // 2
    assert all(training["config"] for training in record["trainings"].values())
