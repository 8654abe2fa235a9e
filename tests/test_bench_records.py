"""The committed speed records: complete, and the table is made from them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "results" / "bench"
KEYS = {
    *("work", "ours", "ours_s", "peer", "peer_s", "ratio", "spread", "threads", "device"),
    *("ours_peak_mb", "ours_differs", "versions", "commit", "command", "rounds", "date", "bar"),
}
BESIDE = {"peer_peak_mb", "peer_differs", "peer_counts"}
WORKS = [p for p in sorted(RECORDS.glob("*.json")) if isinstance(json.loads(p.read_text()), list)]


def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_table", ROOT / "benchmarks" / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", WORKS, ids=lambda p: p.stem)
def test_a_record_says_everything(path: Path) -> None:
    records = json.loads(path.read_text())
    assert records
    for record in records:
        assert not KEYS - set(record)
        assert record["work"] == path.stem
        assert record["commit"]
        assert record["ours_s"] > 0
        if record["peer"] is not None:
            assert not BESIDE - set(record)
            low, high = record["spread"]
            assert 0 < low <= record["ratio"] <= high


def test_what_does_not_work_has_an_error() -> None:
    peers = json.loads((RECORDS / "peers.json").read_text())["peers"]
    assert len(peers) >= 7
    assert all(bool(p["error"]) != p["works"] for p in peers)


def test_the_table_is_made_from_the_records() -> None:
    assert (RECORDS / "README.md").read_text() == table().page(), "run: python benchmarks/table.py"


def example(ratio: float, **changes: object) -> dict[str, object]:
    bar = {"text": "twice", "ratio": 2.0, "memory": None, "seconds": None}
    record = {"ours": "kshot", "ours_s": 1.0, "peer": "p", "ratio": ratio, "bar": bar, "rate": None}
    return {**record, "peer_counts": True, "peer_differs": "", "ours_differs": "", **changes}


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([example(2.5), example(3.0)], "2.50 times: met"),
        ([example(1.5), example(3.0)], "1.50 times: missed"),
        ([example(1.5, peer_counts=False), example(3.0)], "3.00 times: met"),
        ([example(1.5, peer_differs="another loss"), example(3.0)], "3.00 times: met"),
    ],
)
def test_the_bar_is_held_against_the_fastest_peer_that_is_right(others: list[dict[str, object]], said: str) -> None:
    assert said in table().verdict(others)


def test_memory_is_held_against_the_bar_with_and_without_what_was_there_before() -> None:
    bar = {"text": "a third", "ratio": None, "memory": 1 / 3, "seconds": None}
    sizes = {"ours_peak_mb": 400, "peer_peak_mb": 500, "ours_step_mb": 50, "peer_step_mb": 200}
    said = table().verdict([example(2.0, **{**sizes, "bar": bar})])
    assert "memory of the process 0.80 times: missed; memory of the steps alone 0.25 times: met" in said
