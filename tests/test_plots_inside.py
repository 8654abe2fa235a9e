"""The numbers behind the figures of curves, memories, gates and trainings, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kshot.evaluation import evaluating, predictions
from kshot.evaluation.plots import (
    Asked,
    LeftOut,
    Subject,
    confusion,
    embedding,
    fits,
    gates,
    learning,
    memory,
    reliability,
    similarity,
    task,
)
from plot_support import curve_subject, fresh, picture_source, subject
from support import WAY

FEW = Asked(episodes=6)


# curves


def test_a_fit_is_the_prediction_after_its_steps() -> None:
    one = curve_subject("maml", eval_steps=4)
    found = fits.gather([one], Asked(curves=2))["panels"]
    assert len(found) == 2
    t = fits.sorted_queries(one.source.recounted(query=fits.POINTS).batch([0, 1]))
    for i, shown in enumerate(found):
        assert shown["x"] == sorted(shown["x"])
        lines = {f["name"]: f["y"] for f in shown["fits"]}
        assert list(lines) == ["0 steps", "1 step", "5 steps", "10 steps"]
        after = fresh("maml", one.source, eval_steps=5)
        with evaluating(after):
            y = predictions(after, t)[i, :, 0]
        assert lines["5 steps"] == pytest.approx(y.tolist(), abs=1e-5)
        assert shown["points"] == torch.stack([t.xs[i, :, 0], t.ys[i, :, 0]], -1).tolist()


def test_methods_together_have_their_own_names_and_bands() -> None:
    found = fits.gather([curve_subject("cnp", hidden=8), curve_subject("maml")], Asked(curves=1))["panels"][0]
    process, maml = found["fits"]
    assert (process["name"], maml["name"]) == ("cnp", "maml")
    assert min(process["spread"]) >= 2 * 0.1, "two standard deviations, each at least a tenth"
    assert maml["spread"] is None


# traces


def test_memory_weights_are_shares_and_rows_come_in_the_order_of_use() -> None:
    one = subject("mann")
    found = memory.gather([one], Asked(task=2))
    t = one.source.batch([2])
    assert found["labels"] == t.ys[0].tolist()
    assert found["read"].shape == found["written"].shape == (WAY * 2, 2, 8)
    assert found["read"].astype(float).sum(-1) == pytest.approx(np.ones((WAY * 2, 2)), abs=1e-2)
    written, read = np.zeros((4, 2, 6)), np.zeros((4, 2, 6))
    written[1, 0, 3], written[2, 1, 3], written[0, 0, 1], read[2, 1, 3], written[3, 0, 4] = 0.3, 0.9, 1, 1, 0.05
    read[3, 0, 0] = 0.5
    assert memory.used_rows(written, read).tolist() == [0, 1, 3], "row 0 is read alone; rows 2, 4 and 5 hardly at all"


def test_a_memory_that_works_reads_the_rows_of_the_same_class() -> None:
    """Row t is written at step t, when the label of example t - 1 comes."""
    labels = [0, 1, 0, 1, 1, 0]
    S = len(labels)
    written = np.eye(S)[:, None]
    when, of = memory.classes_of_rows(written, labels)
    assert when.tolist() == list(range(S))
    assert of.tolist() == [-1, 0, 1, 0, 1, 1]
    perfect = np.zeros((S, 1, S))
    for t, rows in enumerate([[0], [0], [1], [2], [4], [1]]):  # of its class, once there is one
        perfect[t, 0, rows] = 1
    assert memory.share_of_own_class(written, perfect, labels)[0] == 1
    alike = np.zeros((S, 1, S))
    for t in range(S):
        alike[t, 0, : t + 1] = 1 / (t + 1)
    share, expected = memory.share_of_own_class(written, alike, labels)
    assert share == pytest.approx(expected)
    assert expected == pytest.approx(np.mean([1 / 3, 1 / 4, 2 / 5, 2 / 6]))
    assert np.isnan(memory.share_of_own_class(written[:1, :, :1], perfect[:1, :, :1], [0])[0]), "nothing is known yet"


def test_gates_start_where_the_paper_starts_them() -> None:
    found = gates.gather([subject("lstm-meta-learner")], Asked(episodes=2))
    for gate, bias in (("forget", 4.5), ("input", -4.5)):
        low, middle, high = (np.array(q) for q in found[gate]["all"])
        assert (low <= middle).all()
        assert (middle <= high).all()
        assert len(middle) == 2, "one for each step"
        logits = np.log(middle / (1 - middle))
        assert logits == pytest.approx([bias] * 2, abs=0.6), "within half a unit, and the weights are small"
        assert 1 <= len(found[gate]["layers"]) <= gates.LAYERS


@pytest.mark.parametrize(
    ("plot", "name", "reason"),
    [
        (memory, "protonet", "neither reads nor writes a memory"),
        (gates, "maml", "learns no gates"),
        (fits, "protonet", "classes, not curves"),
        (embedding, "hausdorff", "no features"),
    ],
)
def test_what_makes_no_sense_is_left_out_with_the_reason(plot: object, name: str, reason: str) -> None:
    with pytest.raises(LeftOut, match=reason):
        plot.gather([subject(name)], FEW)  # type: ignore[attr-defined]


def test_figures_of_classes_are_left_out_for_curves() -> None:
    for plot in (task, confusion, reliability, similarity, embedding):
        with pytest.raises(LeftOut, match="curves, not classes"):
            plot.gather([curve_subject("maml")], FEW)


# learning curves


def test_learning_curves_come_from_the_metrics(tmp_path: Path) -> None:
    rows = [
        {"step": 10, "loss": 2.0, "accuracy": 30.0, "seconds": 6.0},
        {"step": 10, "val_accuracy": 25.0, "val_ci95": 4.0, "seconds": 9.0},
        {"step": 20, "loss": None, "accuracy": None, "seconds": 12.0},
        {"step": 20, "val_accuracy": 45.0, "val_ci95": 3.0, "seconds": 15.0},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    one = learning.of_metrics({"a": path})
    assert one["curves"] == [
        {"name": "training tasks", "x": [10.0], "y": [30.0], "spread": None},
        {"name": "validation tasks", "x": [10.0, 20.0], "y": [25.0, 45.0], "spread": [4.0, 3.0]},
    ]
    two = learning.of_metrics({"a": path, "b": path})
    assert two["x"] == "minutes of training"
    assert [c["name"] for c in two["curves"]] == ["a", "b"]
    assert two["curves"][0]["x"] == pytest.approx([0.15, 0.25])
    with pytest.raises(LeftOut, match="nothing was logged"):
        learning.of_metrics({"a": tmp_path / "none.jsonl"})
    with pytest.raises(LeftOut, match="nothing was logged"):
        learning.gather([Subject("nearest", lambda s: fresh("nearest", s), picture_source())], FEW)
