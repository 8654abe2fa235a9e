"""What is measured, on which tasks, and what a report says."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from kshot.data.scribbles import Scribbles
from kshot.errors import UserError
from kshot.evaluation import accuracy, correct, evaluate, mse, score_tasks
from kshot.evaluation.score import chunks
from kshot.methods.base import About, Method
from kshot.tasks import Tasks, make_source
from training_support import Blobs, small_method


class Answers(Method):
    """Gives the logits that a function makes of the labels it should not know."""

    about = About(title="answers", source="", idea="", transductive=True)

    def __init__(self, logits: object) -> None:
        super().__init__()
        self.logits, self.modes = logits, []  # type: ignore[var-annotated]
        self.part = nn.Dropout()

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> int:
        return way

    def predict(self, state: int, xq: Tensor, *, transductive: bool = False) -> Tensor:
        self.modes.append((self.training, self.part.training, torch.is_grad_enabled(), transductive))
        return self.logits(xq, state)  # type: ignore[operator, no-any-return]


def constant(xq: Tensor, way: int) -> Tensor:
    """The same score for every class: a collapsed model."""
    return torch.zeros(*xq.shape[:2], way)


def test_a_collapsed_model_is_never_right() -> None:
    """argmax of equal scores is class 0: with sorted labels that would be 100 % for the queries of class 0."""
    logits = torch.zeros(1, 4, 3)
    labels = torch.zeros(1, 4, dtype=torch.int64)
    assert bool((logits.argmax(-1) == labels).all())
    assert not bool(correct(logits, labels).any())
    assert evaluate(Answers(constant), Blobs(), episodes=5).value == 0.0


def test_ties_nan_and_infinities_count_against_the_model() -> None:
    inf, nan = math.inf, math.nan
    rows = [
        ([2.0, 1.0, 0.0], True),
        ([2.0, 2.0, 0.0], False),
        ([1.0, 2.0, 0.0], False),
        ([nan, 1.0, 0.0], False),
        ([2.0, nan, 0.0], False),
        ([nan, nan, nan], False),
        ([inf, inf, 0.0], False),
        ([inf, 1.0, 0.0], True),
        ([-1.0, -inf, -inf], True),
        ([-inf, -inf, -inf], False),
    ]
    logits = torch.tensor([row for row, _ in rows])
    right = correct(logits, torch.zeros(len(rows), dtype=torch.int64))
    assert right.tolist() == [r for _, r in rows]


def test_accuracy_is_in_percent_and_mse_is_a_mean_of_squares() -> None:
    logits = torch.eye(4)[None]  # [1, 4, 4]
    assert accuracy(logits, torch.tensor([[0, 1, 2, 0]])).tolist() == [75.0]
    assert mse(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[[0.0], [1.0]]])).tolist() == [2.5]


def test_the_report_is_the_mean_over_tasks_with_its_interval() -> None:
    method = small_method().eval()
    source = Blobs(seed=3)
    report = evaluate(method, source, episodes=12)
    one_by_one = torch.cat([score_tasks(method, source, [i]).values for i in range(12)])
    torch.testing.assert_close(report.values, one_by_one)
    assert report.value == pytest.approx(float(one_by_one.mean()))
    assert report.ci95 == pytest.approx(2.20099 * float(one_by_one.std()) / math.sqrt(12), rel=1e-4)


@pytest.mark.parametrize("batch", [1, 5, 7, 100])
def test_the_batch_does_not_change_the_result(batch: int) -> None:
    report, whole = (evaluate(small_method(), Blobs(), episodes=20, batch=b) for b in (batch, None))
    torch.testing.assert_close(report.values, whole.values)
    assert report.tasks_digest == whole.tasks_digest


def test_evaluation_mode_without_gradients_and_the_old_modes_afterwards() -> None:
    method = Answers(constant)
    method.train()
    method.part.eval()
    evaluate(method, Blobs(), episodes=3)
    evaluate(method, Blobs(), episodes=3, transductive=True)
    assert method.modes == [(False, False, False, False), (False, False, False, True)]
    assert (method.training, method.part.training) == (True, False)


def test_modes_come_back_after_an_error_too() -> None:
    def fails(xq: Tensor, way: int) -> Tensor:
        raise RuntimeError("no")

    method = Answers(fails).train()
    with pytest.raises(RuntimeError, match="no"):
        evaluate(method, Blobs(), episodes=3)
    assert method.training
    assert torch.is_grad_enabled()


def test_a_method_that_cannot_is_not_evaluated_transductively() -> None:
    with pytest.raises(UserError, match="there is no transductive mode"):
        evaluate(small_method(), Blobs(), episodes=3, transductive=True)


def test_a_time_limit_says_how_many_tasks_were_done() -> None:
    report = evaluate(small_method(), Blobs(), episodes=50, batch=4, max_seconds=0.0)
    assert report.episodes == len(report.values) == 4


def test_a_finite_source_gives_all_its_tasks() -> None:
    class Few(Blobs):
        def __len__(self) -> int:
            return 7

    assert evaluate(small_method(), Few(), episodes=1000).episodes == 7


def test_chunks_bound_the_number_of_pictures_and_keep_blocks_of_ranges_whole() -> None:
    large = Blobs(way=20, shot=5, query=15)
    assert [len(c) for c in chunks(large, range(25))] == [10, 10, 5]
    assert [len(c) for c in chunks(Blobs(way=60, shot=50, query=50), range(3))] == [1, 1, 1]
    ranged = Blobs()
    ranged._ways, ranged.block = (3, 5), 8
    assert [c[0] for c in chunks(ranged, range(4, 20), batch=6)] == [4, 8, 14, 16]
    pictures = make_source(Scribbles(), way=5, shot=1, query=15)
    assert [len(c) for c in chunks(pictures, range(12))] == [5, 5, 2]
    assert [len(c) for c in chunks(pictures, range(60), device="cuda")] == [50, 10]


def test_the_report_as_json_has_all_that_is_needed_to_measure_again() -> None:
    report = json.loads(evaluate(small_method(), Blobs(seed=2), episodes=6).to_json())
    assert {"accuracy", "ci95", "wall_seconds"} <= report.keys()
    expected = {
        "method": "protonet", "episodes": 6, "way": 4, "shot": 2, "query": 3, "seed": 2, "split": "train",
        "data": "blobs", "transductive": False, "device": "cpu", "threads": torch.get_num_threads(),
    }  # fmt: skip
    assert {k: report[k] for k in expected} == expected
    assert set(report["versions"]) == {"kshot", "torch", "python"}
    assert "values" not in report


class AlsoMeasures(Answers):
    """Measures two things more: one that every second task has, and one that none has."""

    def further(self, tasks: Tasks) -> dict[str, Tensor]:
        assert not self.training
        assert not torch.is_grad_enabled()
        index = tasks.indices.double()
        return {
            "odd_accuracy": index.where(tasks.indices % 2 == 1, math.nan),
            "gap": torch.full_like(index, math.nan),
        }


def test_what_a_method_measures_beside_has_its_own_mean_interval_and_count() -> None:
    report = evaluate(AlsoMeasures(constant), Blobs(), episodes=8, batch=3)
    assert report.further["odd_accuracy"].mean == 4.0  # of 1, 3, 5, 7
    assert report.further["odd_accuracy"].ci95 == pytest.approx(3.18245 * math.sqrt(20 / 3) / 2, rel=1e-4)
    further = json.loads(report.to_json())["further"]
    assert further["odd_accuracy"]["count"] == 4
    assert further["gap"] == {"mean": None, "ci95": None, "count": 0}
    assert "\n  odd_accuracy 4.00 +- 4.11 % (4 tasks)\n  gap nan +- ? (0 tasks)" in str(report)
    assert json.loads(evaluate(small_method(), Blobs(), episodes=2).to_json())["further"] == {}


def test_scores_of_a_validation_are_the_main_measure_alone() -> None:
    assert score_tasks(AlsoMeasures(constant), Blobs(), range(4)).further == {}


def test_a_single_task_has_no_interval_and_its_json_is_still_json() -> None:
    report = evaluate(small_method(), Blobs(), episodes=1)
    assert json.loads(report.to_json())["ci95"] is None
    assert "+- ?" in str(report)
    with pytest.raises(UserError, match="episodes must be at least 1"):
        evaluate(small_method(), Blobs(), episodes=0)


def test_an_error_that_overflowed_is_null_in_json() -> None:
    report = replace(evaluate(small_method(), Blobs(), episodes=2), measure="mse", value=math.inf, ci95=math.nan)
    document = json.loads(report.to_json())
    assert (document["mse"], document["ci95"]) == (None, None)


def test_the_report_in_words() -> None:
    text = str(evaluate(small_method(), Blobs(), episodes=6))
    assert text.startswith("protonet: accuracy ")
    assert "% (6 4-way 2-shot tasks of blobs train, seed 0, non-transductive, " in text
