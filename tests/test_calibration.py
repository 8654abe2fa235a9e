"""Probabilities that are right as often as they say: the temperature, the calibration error, and where both appear."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from kshot.data.curves import Sinusoid
from kshot.errors import UserError
from kshot.evaluation import calibrate, evaluate, read_calibration, write_calibration
from kshot.evaluation.prediction import probabilities
from kshot.functional.calibration import confidence, fit_temperature, negative_log_likelihood, reliability
from kshot.methods import build_method
from kshot.tasks import CurveTasks
from kshot.training import load_run
from support import noise
from training_support import Blobs, small_method, small_training


def calibrated_logits() -> tuple[Tensor, Tensor]:
    """Two kinds of rows whose labels come exactly as often as their softmax says."""
    z = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]).log().repeat_interleave(10, 0)
    return z, torch.tensor([0] * 7 + [1] * 2 + [2] + [0] * 3 + [1] * 3 + [2] * 4)


def some_logits() -> tuple[Tensor, Tensor]:
    z = 2 * noise(1, 300, 5)
    return z, (z / 3 + noise(2, 300, 5)).argmax(-1)


def test_calibrated_logits_have_temperature_one() -> None:
    assert fit_temperature(*calibrated_logits()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
def test_the_temperature_takes_the_scale_of_the_logits(scale: float) -> None:
    z, y = calibrated_logits()
    assert fit_temperature(scale * z + 3, y) == pytest.approx(scale, rel=1e-5)


def test_it_is_where_the_likelihood_is_largest() -> None:
    z, y = some_logits()

    def loss(log_t: float) -> float:  # plain loops
        rows = [[v / math.exp(log_t) for v in row] for row in z.tolist()]
        return sum(math.log(sum(math.exp(v) for v in row)) - row[int(n)] for row, n in zip(rows, y))

    expected = math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-8}).x)
    found = fit_temperature(z, y)
    assert found == pytest.approx(expected, rel=1e-5)
    assert found > 1.5
    assert negative_log_likelihood(z, y, found) == pytest.approx(loss(math.log(found)) / len(z))


def test_without_a_best_temperature_it_stays_between_limits() -> None:
    z, _ = some_logits()
    assert fit_temperature(z, z.argmax(-1)) == pytest.approx(0.01, rel=1e-6)
    assert fit_temperature(z, z.argmin(-1)) == pytest.approx(100, rel=1e-6)
    assert fit_temperature(torch.zeros(6, 3), torch.tensor([0, 1, 2, 0, 0, 0])) == 1


def test_classes_that_a_task_does_not_have_change_nothing() -> None:
    z, y = some_logits()
    wider = torch.cat([z, torch.full((len(z), 2), -torch.inf)], 1)
    assert fit_temperature(wider, y) == pytest.approx(fit_temperature(z, y), rel=1e-12)
    assert negative_log_likelihood(wider, y, 2.0) == pytest.approx(negative_log_likelihood(z, y, 2.0))


@pytest.mark.parametrize("T", [0.3, 1.0, 20.0])
def test_a_temperature_changes_no_label(T: float) -> None:
    z, _ = some_logits()
    p = (z / T).softmax(-1)
    assert torch.equal(p.argmax(-1), z.argmax(-1))
    torch.testing.assert_close(confidence(z, T), p.amax(-1))


def plain_ece(p: list[float], right: list[bool], bins: int) -> float:
    total = 0.0
    for b in range(bins):
        mine = [i for i, v in enumerate(p) if b / bins < v <= (b + 1) / bins]
        if mine:
            gap = sum(right[i] for i in mine) / len(mine) - sum(p[i] for i in mine) / len(mine)
            total += len(mine) / len(p) * abs(gap)
    return 100 * total


def test_the_calibration_error_by_plain_loops_and_by_parts() -> None:
    z, y = some_logits()
    p, right = confidence(z), z.argmax(-1) == y
    whole = reliability(p, right)
    assert whole.ece == pytest.approx(plain_ece(p.tolist(), right.tolist(), 15))
    assert reliability(p, right, bins=7).ece == pytest.approx(plain_ece(p.tolist(), right.tolist(), 7))
    parts = reliability(p[:100].view(20, 5), right[:100].view(20, 5)) + reliability(p[100:], right[100:])
    assert parts.ece == pytest.approx(whole.ece)
    assert sum(n for n, _, _ in whole.rows()) == 300
    assert all(b / 15 < mean <= (b + 1) / 15 for b, (n, mean, _) in enumerate(whole.rows()) if n)


def test_what_is_no_number_is_left_out_and_the_ends_have_a_bin() -> None:
    found = reliability(torch.tensor([math.nan, 0.0, 1.0, 0.0666]), torch.tensor([True, False, True, False]))
    assert found.count.tolist() == [2, *[0] * 13, 1]
    assert found.right.tolist() == [0] * 14 + [1]
    halves = reliability(torch.tensor([0.25, 0.5, 0.75]), torch.ones(3, dtype=torch.bool), bins=4)
    assert halves.count.tolist() == [1, 1, 1, 0]  # an edge belongs to the bin below
    assert math.isnan(reliability(torch.zeros(0), torch.zeros(0, dtype=torch.bool)).ece)


def too_sure() -> torch.nn.Module:
    """A prototypical network whose distances count forty times."""
    method = small_method().eval()
    with torch.no_grad():
        method.log_scale.add_(math.log(40))
    return method


def test_a_method_that_is_too_sure_gets_a_temperature_that_helps_on_other_tasks(tmp_path: Path) -> None:
    found = calibrate(too_sure(), Blobs(seed=1), episodes=60)
    assert found.temperature == pytest.approx(40 * calibrate(small_method(), Blobs(seed=1), episodes=60).temperature)
    assert found.nll < found.nll_before
    assert found.tasks == "60 4-way 2-shot tasks of blobs train, non-transductive"
    plain = evaluate(too_sure(), Blobs(seed=2), episodes=60)
    report = evaluate(too_sure(), Blobs(seed=2), episodes=60, calibration=found)
    assert torch.equal(report.values, plain.values)
    assert report.calibration is not None
    assert report.calibration.after.ece < report.calibration.before.ece / 2
    assert report.calibration.before.ece == pytest.approx(plain.calibration.after.ece)
    assert report.calibration.before.count.sum() == 60 * 12
    shown = json.loads(report.to_json())["calibration"]
    assert shown["ece"] < shown["ece_before"] / 2
    assert (shown["temperature"], shown["fitted_on"]) == (found.temperature, found.tasks)
    assert f"fitted on {found.tasks}" in str(report)
    assert json.loads(plain.to_json())["calibration"]["temperature"] == 1
    write_calibration(tmp_path / "calibration.json", found)
    assert read_calibration(tmp_path / "calibration.json") == found


def test_ranges_of_way_are_pooled() -> None:
    found = calibrate(small_method(), Blobs(way=(2, 5), query=3), episodes=8)
    assert (found.way, found.episodes) == ([2, 5], 8)
    assert "8 2-5-way" in found.tasks


def test_curves_have_no_probabilities() -> None:
    curves = CurveTasks(Sinusoid())
    with pytest.raises(UserError, match="no probabilities"):
        calibrate(small_method(), curves)
    assert evaluate(build_method("cnp", curves.spec), curves, episodes=2).to_json().count('"calibration": null') == 1


def test_outputs_that_are_not_numbers_are_refused() -> None:
    method = small_method()
    with torch.no_grad():
        method.log_scale.fill_(math.nan)
    with pytest.raises(UserError, match="not numbers"):
        calibrate(method, Blobs(), episodes=2)


@pytest.mark.parametrize("content", ["{}", "no json", '{"temperature": -1}', "[]"])
def test_a_broken_file_is_explained(content: str, tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(UserError, match=r"holds no temperature.*delete it, and run kshot calibrate"):
        read_calibration(tmp_path / "calibration.json")


CONFIG = {
    "method": "protonet",
    "options": {"distance": "euclidean"},
    "data": {"spec": "scribbles"},
    "backbone": "mlp",
    "backbone_options": {"hidden": 8},
    "spec": {"input_shape": [6], "way": 4, "num_classes": None, "output_dim": 0},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    small_training(out, 40, config=CONFIG)
    return out


def test_a_training_ends_with_the_temperature_of_its_best_weights(run: Path) -> None:
    loaded = load_run(run)
    assert loaded.calibration == calibrate(loaded.method, Blobs(seed=1), episodes=20, step=loaded.step)
    assert loaded.temperature == loaded.calibration.temperature != 1


def test_it_is_of_these_weights_and_options_alone(run: Path, tmp_path: Path) -> None:
    small_training(tmp_path / "a", 240, config=CONFIG, patience=2)
    assert load_run(tmp_path / "a").temperature != 1
    assert load_run(tmp_path / "a", last=True).temperature == 1
    assert load_run(run, options={"distance": "cosine"}).temperature == 1
    assert load_run(run, options={"distance": "euclidean"}).temperature == load_run(run).temperature


def test_resuming_adds_it_and_replacing_removes_it(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    small_training(out, 40, config=CONFIG, max_minutes=1e-6)
    assert not (out / "calibration.json").exists()
    small_training(out, 40, config=CONFIG, resume=True)
    whole = (out / "calibration.json").read_bytes()
    assert whole == (run / "calibration.json").read_bytes()
    (out / "calibration.json").unlink()
    small_training(out, 40, config=CONFIG, resume=True)
    assert (out / "calibration.json").read_bytes() == whole
    small_training(out, 40, config=CONFIG, overwrite=True, validation=None, patience=None)
    assert not (out / "calibration.json").exists()


def test_probabilities_are_those_of_divided_logits() -> None:
    tasks = Blobs().batch([0])
    xs, ys, xq = tasks.xs[0], tasks.ys[0], tasks.xq[0]
    warm, plain = (probabilities(small_method(), xs, ys, xq, temperature=t) for t in (3.0, 1.0))
    torch.testing.assert_close(warm, (plain.log() / 3).softmax(-1))
    torch.testing.assert_close(probabilities(too_sure(), xs, ys, xq, temperature=40.0), plain, atol=1e-5, rtol=1e-4)


def test_the_faces_use_it(tmp_path: Path) -> None:
    from cli_support import document, fine, mistake, trained
    from kshot.data.glyphs import load_glyphs
    from kshot.estimator import FewShotClassifier

    out = trained(tmp_path / "run")
    letters = load_glyphs(split="test", size=16)
    rows = torch.tensor([int(letters.offsets[c]) + i for c in range(3) for i in range(3)])
    X, y = letters.pixels[rows, 0].numpy(), [str(c) for c in range(3) for _ in range(3)]
    found = document("calibrate", out, "--way", "4", "--episodes", "5", "--data", "glyphs")
    assert (found["way"], found["query"], found["data"], found["split"], found["episodes"]) == (
        4,
        15,
        "glyphs",
        "val",
        5,
    )
    assert found["step"] == load_run(out).step
    sorter = FewShotClassifier(out).fit(X, y)
    assert sorter.temperature_ == found["temperature"] == load_run(out).temperature
    raw = FewShotClassifier(load_run(out).method).fit(X, y).predict_proba(X)  # a method has no temperature
    warm = torch.from_numpy(raw).log().div(found["temperature"]).softmax(-1)
    torch.testing.assert_close(torch.from_numpy(sorter.predict_proba(X)), warm, rtol=1e-4, atol=1e-6)
    assert "calibration error" in fine("calibrate", out, "--episodes", "3").stdout
    report = document("evaluate", out, "--episodes", "3")["calibration"]
    assert report["temperature"] == load_run(out).temperature
    assert report["fitted_on"].startswith("3 3-way 1-shot tasks of scribbles val")
    assert "did you mean" in mistake("calibrate", out, "--split", "vaal")
    assert "test" in mistake("calibrate", out, "--split", "test")
    assert "without training" in mistake("calibrate", "nearest")
    assert "built-in model" in mistake("calibrate", "characters")
