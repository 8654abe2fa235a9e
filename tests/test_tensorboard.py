"""`--tensorboard`: the event files say what metrics.jsonl says, each step once."""

from __future__ import annotations

import json
import os
import signal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cli_support import TINY, fine, mistake, trained
from kshot.training import Interrupted, TensorBoard
from tensorboard_support import in_events, in_metrics
from training_support import At, small_training


def test_the_event_files_hold_the_numbers_of_metrics_jsonl(tmp_path: Path) -> None:
    small_training(tmp_path, 40, callbacks=[TensorBoard(tmp_path)])
    scalars, texts = in_events(tmp_path)
    assert scalars == in_metrics(tmp_path)
    assert {tag for tag, _ in scalars} == {
        *("train/loss", "train/accuracy", "train/lr", "train/tasks_per_second"),
        *("validation/accuracy", "validation/ci95"),
    }
    assert {step for tag, step in scalars if tag == "train/loss"} == {10, 20, 30, 40}
    assert "    steps: 40" in texts["config/text_summary"]


@pytest.mark.parametrize("before", [True, False])
def test_a_training_that_goes_on_has_every_step_once(before: bool, tmp_path: Path) -> None:
    """Killed after its last checkpoint, interrupted, and resumed; with event files from the start, or later."""

    def fail(progress: object) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):  # after the log of step 10 and the checkpoint of step 7
        small_training(tmp_path, 40, callbacks=[At(13, fail), *([TensorBoard(tmp_path)] if before else [])])
    ctrl_c = At(24, lambda progress: os.kill(os.getpid(), signal.SIGINT))
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted):
            small_training(tmp_path, 40, resume=True, callbacks=[TensorBoard(tmp_path), ctrl_c])
    finally:
        signal.signal(signal.SIGINT, handler)
    small_training(tmp_path, 40, resume=True, callbacks=[TensorBoard(tmp_path)])
    scalars, _ = in_events(tmp_path)
    assert scalars == in_metrics(tmp_path)
    assert {step for tag, step in scalars if tag == "train/loss"} == {10, 20, 30, 40}


def test_the_wall_time_of_earlier_steps_is_kept(tmp_path: Path) -> None:
    small_training(tmp_path, 40, max_minutes=1e-9)  # one step
    lines = [json.dumps({"step": step, "loss": 1.0, "seconds": 100.0 * step}) for step in (0, 1)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    small_training(tmp_path, 40, resume=True, callbacks=[TensorBoard(tmp_path)])
    times = in_events(tmp_path, times=True)[0]
    assert times["train/loss", 1] - times["train/loss", 0] == pytest.approx(100, abs=0.01)


def test_on_the_command_line(tmp_path: Path) -> None:
    out = trained(tmp_path / "run", "--tensorboard")
    assert in_events(out)[0] == in_metrics(out)
    trained(out, "--overwrite")
    assert not list((out / "tensorboard").iterdir())  # they showed a run that is gone


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *rest: object) -> object:
        return None if name == "tensorboard" else find_spec(name)

    monkeypatch.setattr("kshot.training.tensorboard.find_spec", absent)
    said = mistake("train", "protonet", *TINY, "--tensorboard", "--out", tmp_path / "run")
    assert "pip install 'kshot[tensorboard]'" in said
    assert not (tmp_path / "run").exists()
    fine("train", "protonet", *TINY, "--out", tmp_path / "run")


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    small_training(tmp_path, 20, val_tasks=1, callbacks=[TensorBoard(tmp_path)])  # one task has no interval
    scalars, _ = in_events(tmp_path)
    assert all(np.isfinite(value) for value in scalars.values())
    assert ("validation/accuracy", 15) in scalars
    assert ("validation/ci95", 15) not in scalars
