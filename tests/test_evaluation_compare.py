"""Two methods are compared on the same tasks, pair by pair; a record holds what was measured and how."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kshot.errors import UserError
from kshot.evaluation import compare, compare_reports, evaluate, records, write_record
from kshot.functional.intervals import paired_difference
from kshot.methods import Nearest
from training_support import Blobs, small_method, small_training


def test_training_is_shown_to_help() -> None:
    trained = small_training(None).method
    found = compare(
        {"trained": trained, "untrained": small_method(), "nearest": Nearest()}, Blobs(seed=4), episodes=100
    )
    assert [(p.a, p.b) for p in found.pairs] == [
        ("trained", "untrained"),
        ("trained", "nearest"),
        ("untrained", "nearest"),
    ]
    first = found.pairs[0]
    assert first.better == "trained"
    assert first.difference == paired_difference(found.reports[0].values, found.reports[1].values)
    document = json.loads(found.to_json())
    assert [r["method"] for r in document["reports"]] == ["trained", "untrained", "nearest"]
    assert document["differences"][0].keys() == {"a", "b", "difference", "ci95", "p", "episodes", "better"}
    assert "trained - untrained: +" in str(found)
    assert "trained is better" in str(found)


def test_a_method_is_not_better_than_itself() -> None:
    found = compare({"a": small_method(), "b": small_method()}, Blobs(), episodes=10)
    assert (found.pairs[0].better, found.pairs[0].difference.p) == (None, 1.0)
    assert "no difference shown" in str(found)


def test_the_smaller_error_is_better() -> None:
    report = evaluate(small_method(), Blobs(), episodes=10, name="a")
    low = replace(report, measure="mse", values=torch.linspace(0.1, 0.2, 10))
    high = replace(low, method="b", values=torch.linspace(0.5, 0.7, 10))
    assert compare_reports([low, high]).pairs[0].better == "a"


def test_reports_of_different_tasks_are_refused() -> None:
    report = evaluate(small_method(), Blobs(), episodes=10, name="a")
    for other, what in ((Blobs(seed=1), "seed: 0 and 1"), (Blobs(way=5), "way: 4 and 5")):
        with pytest.raises(UserError, match=f"not evaluated on the same tasks .*{what}"):
            compare_reports([report, evaluate(small_method(), other, episodes=10, name="b")])
    with pytest.raises(UserError, match="tasks_digest"):
        compare_reports([report, replace(report, method="b", tasks_digest="00000000")])
    with pytest.raises(UserError, match="different names"):
        compare_reports([report, report])
    with pytest.raises(UserError, match="at least two methods"):
        compare_reports([report])


KEYS = {
    *("method", "data", "split", "way", "shot", "query", "accuracy", "ci95", "episodes", "seed", "transductive"),
    *("train_seconds", "train_steps", "device", "threads", "command", "config", "versions", "commit"),
}


def test_a_record_holds_what_was_measured_and_how(tmp_path: Path) -> None:
    report = evaluate(small_method(), Blobs(), episodes=10)
    path = tmp_path / "results" / "blobs.json"
    made = write_record(
        path, report, config={"method": "protonet"}, train_seconds=12.345, train_steps=7, command="kshot train",
        extra={"note": "small"},
    )  # fmt: skip
    stored = json.loads(path.read_text())
    assert stored == made
    assert stored.keys() >= KEYS
    assert (stored["accuracy"], stored["train_seconds"], stored["note"]) == (report.value, 12.3, "small")
    assert [p.name for p in path.parent.iterdir()] == ["blobs.json"]
    with pytest.raises(UserError, match="its own 'seed'"):
        write_record(path, report, extra={"seed": 3})


@pytest.mark.parametrize("program", ["/usr/bin/kshot", "/x/site-packages/kshot/__main__.py"])
def test_the_command_is_as_one_types_it(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [program, "evaluate", "my run"])
    assert records.running_command() == "kshot evaluate 'my run'"


def test_the_commit_is_that_of_the_source_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    package = tmp_path / "kshot"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(records, "PACKAGE", package)
    assert records.commit() is None
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "other things")
    assert records.commit() is None, "in a work tree that does not hold the source"
    git("add", ".")
    git("commit", "-q", "-m", "first")
    head = git("rev-parse", "HEAD").strip()
    assert records.commit() == head
    (package / "__init__.py").write_text("changed = True\n")
    assert records.commit() == head + "-dirty"
