"""Records of paired comparisons are complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).resolve().parent.parent / "results"
RECORDS = sorted((RESULTS / "compare").glob("*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_a_record_says_everything(path: Path) -> None:
    record = json.loads(path.read_text())
    assert {"reports", "differences", "command", "commit", "trainings"} <= set(record)
    names = [report["method"] for report in record["reports"]]
    assert set(record["trainings"]) == set(names)
    assert len({report["tasks_digest"] for report in record["reports"]}) == 1
    assert len(record["differences"]) == len(names) * (len(names) - 1) // 2
    assert all(training["config"] for training in record["trainings"].values())
