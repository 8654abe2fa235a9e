"""`kshot evaluate` and `kshot compare`: never a bare number, and the same tasks for everyone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_support import document, fine, mistake, trained

PROMISED = {"accuracy", "ci95", "episodes", "way", "shot", "split", "seed", "transductive", "query", "method", "data"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: trained(folder / name, method=name) for name in ("protonet", "maml", "siamese")}


def test_a_report_has_all_that_belongs_to_a_number(runs: dict[str, Path]) -> None:
    told = ["--way", "4", "--shot", "2", "--query", "3", "--episodes", "6", "--seed", "9"]
    report = document("evaluate", runs["protonet"], *told)
    assert set(report) >= PROMISED
    assert (report["way"], report["shot"], report["query"], report["episodes"], report["seed"]) == (4, 2, 3, 6, 9)
    assert report["split"] == "test"
    assert report["transductive"] is False
    assert 0 <= report["accuracy"] <= 100


def test_what_is_not_said_is_as_in_training(runs: dict[str, Path]) -> None:
    report = document("evaluate", runs["protonet"], "--episodes", "2")
    assert (report["data"], report["way"], report["shot"], report["query"]) == ("scribbles", 3, 1, 2)


def test_the_sentence_says_the_same(runs: dict[str, Path]) -> None:
    text = fine("evaluate", runs["protonet"], "--episodes", "3").stdout
    assert "protonet: accuracy" in text
    assert "+-" in text
    assert "3 3-way 1-shot tasks of scribbles test" in text
    assert "non-transductive" in text


def test_transductive_is_asked_for_and_said(runs: dict[str, Path]) -> None:
    assert document("evaluate", runs["maml"], "--episodes", "3", "--transductive")["transductive"] is True
    assert "no transductive mode" in mistake("evaluate", runs["protonet"], "--episodes", "3", "--transductive")


def test_a_head_that_fixes_the_way_says_so(runs: dict[str, Path]) -> None:
    assert "was made for 3-way tasks and got a 4-way task" in mistake("evaluate", runs["maml"], "--way", "4")


def test_other_data_are_brought_to_the_size_of_the_run(runs: dict[str, Path]) -> None:
    report = document("evaluate", runs["protonet"], "--data", "scribbles", "--episodes", "2")
    assert report["accuracy"] >= 0
    assert "pictures read at 16 px" in report["description"]
    other = document("evaluate", runs["protonet"], "--data", "scribbles", "--size", "20", "--episodes", "2")
    assert "20 x 20 grey pictures brought to 16 x 16 grey pictures" in other["description"]


def test_methods_without_training_take_the_place_of_a_run() -> None:
    told = ["--data", "scribbles", "--size", "12", "--episodes", "3", "--query", "2"]
    assert document("evaluate", "nearest", *told)["method"] == "nearest"
    assert document("evaluate", "hausdorff", *told, "--option", "threshold=0.3")["method"] == "hausdorff"


def test_a_record_says_how_to_measure_it_again(runs: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "results" / "x.json"
    report = document("evaluate", runs["protonet"], "--episodes", "3", "--record", path)
    record = json.loads(path.read_text())
    assert record["accuracy"] == report["accuracy"]
    assert record["further"] == report["further"] == {}
    assert record["train_steps"] == 4
    assert record["config"]["method"] == "protonet"
    assert {"train_seconds", "command", "versions", "commit", "device", "threads"} <= set(record)


def test_what_a_method_measures_beside_is_printed_and_recorded(runs: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    further = document("evaluate", runs["siamese"], "--episodes", "3", "--record", path)["further"]
    assert further.keys() == {"verification_accuracy"}
    assert further["verification_accuracy"]["count"] == 3
    assert 0 <= further["verification_accuracy"]["mean"] <= 100
    assert json.loads(path.read_text())["further"] == further
    assert "\n  verification_accuracy " in fine("evaluate", runs["siamese"], "--episodes", "3").stdout


def test_a_run_can_be_measured_with_other_options(runs: dict[str, Path]) -> None:
    told = ["evaluate", runs["maml"], "--episodes", "4"]
    one, same = (document(*told, "--option", f"eval_steps={steps}")["accuracy"] for steps in (0, 3))
    assert document(*told)["accuracy"] == same
    assert one != same
    assert "did you mean 'eval_steps'" in mistake(*told, "--option", "eval_step=1")


def test_a_comparison_is_paired(runs: dict[str, Path], tmp_path: Path) -> None:
    told = ["--data", "scribbles", "--episodes", "8", "--way", "3"]
    found = document("compare", runs["protonet"], "nearest", runs["maml"], *told)
    digests = {report["tasks_digest"] for report in found["reports"]}
    assert len(digests) == 1
    assert len(found["differences"]) == 3
    first = found["differences"][0]
    assert (first["a"], first["b"]) == (str(runs["protonet"]), "nearest")
    a, b = (report["accuracy"] for report in found["reports"][:2])
    assert first["difference"] == pytest.approx(a - b)
    assert first["episodes"] == 8
    path = tmp_path / "results" / "compare.json"
    text = fine("compare", runs["protonet"], "nearest", *told, "--record", path).stdout
    record = json.loads(path.read_text())
    assert record["differences"][0] == first
    assert record["trainings"][str(runs["protonet"])]["train_steps"] == 4
    assert record["trainings"]["nearest"]["config"]["method"] == "nearest"
    assert {"commit", "command", "reports"} <= set(record)
    assert "±" in text
    assert "better" in text
