"""`kshot train`: what was said is what is trained, and it can be interrupted."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml

from cli_support import TINY, document, fine, kshot, mistake, process, trained
from kshot.training import RunConfig, load_run, start


def config(out: Path) -> dict[str, object]:
    read = yaml.safe_load((out / "config.yaml").read_text())
    assert isinstance(read, dict)
    return read


def test_flags_reach_the_configuration(tmp_path: Path) -> None:
    out = trained(
        tmp_path / "run",
        *["--distance", "cosine", "--learn-scale", "--augment", "affine", "--within", "--shot", "1-2", "--seed", "3"],
        *["--val-way", "4", "--val-shot", "2", "--optimizer", "adamw", "--lr", "0.01", "--clip-norm", "1"],
    )
    found = config(out)
    assert found["method"] == "protonet"
    assert found["options"] == {"distance": "cosine", "scale": 0.0, "learn_scale": True}
    assert found["backbone_options"] == {"filters": 4}
    assert found["seed"] == 3
    source, validation, training = (found[k] for k in ("source", "validation", "training"))
    assert source == source | {"way": 3, "shot": [1, 2], "query": 2, "within": True, "augment": "affine"}  # type: ignore[operator]
    assert validation == validation | {"way": 4, "shot": 2}  # type: ignore[operator]
    assert training == training | {"optimizer": "adamw", "lr": 0.01, "clip_norm": 1.0, "steps": 4}  # type: ignore[operator]


def test_the_command_line_and_python_train_the_same_weights(tmp_path: Path) -> None:
    out = trained(tmp_path / "shell", "--lr", "0.01")
    start(RunConfig.from_dict(config(out)), tmp_path / "python", progress=False)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("shell", "python")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("method", ["maml", "reptile", "matching"])
def test_every_kind_of_method_trains(method: str, tmp_path: Path) -> None:
    trained(tmp_path / method, method=method)
    assert load_run(tmp_path / method).train_steps == 4


def test_curves_are_trained_without_pictures(tmp_path: Path) -> None:
    out = tmp_path / "sine"
    told = ["--data", "sinusoid", "--shot", "5", "--query", "5", "--inner-lr", "0.01", "--steps", "3", "--hidden", "8"]
    ended = document("train", "maml", *told, "--no-validation", "--out", out)
    assert ended["finished"] is True
    assert ended["best_value"] is None
    assert ended["step"] == 3
    report = document("evaluate", out, "--episodes", "4")
    assert report["measure"] == "mse"
    assert report["shot"] == 5


def test_a_backbone_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(input_shape, width=4):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[-1] ** 2, width))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    told = TINY[: TINY.index("--filters")]
    fine(
        "train", "protonet", *told, "--backbone", "mine:net", "--backbone-option", "width=5", "--out", tmp_path / "run"
    )
    shapes = [tuple(p.shape) for p in load_run(tmp_path / "run").method.parameters() if p.ndim == 2]
    assert shapes == [(5, 256)]


def test_a_run_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    out = trained(tmp_path / "run")
    assert "Use --resume to go on, --overwrite to replace it" in mistake("train", "protonet", *TINY, "--out", out)
    assert "cannot resume" in mistake("train", "protonet", *TINY, "--lr", "1", "--out", out, "--resume")
    trained(out, "--lr", "0.5", "--overwrite")
    assert config(out)["training"]["lr"] == 0.5  # type: ignore[index]


def test_the_end_says_what_to_do_next(tmp_path: Path) -> None:
    told = fine("train", "protonet", *TINY, "--out", tmp_path / "run")
    assert "4 steps in" in told.stderr
    assert f"kshot evaluate {tmp_path / 'run'}" in told.stderr
    assert told.stdout == ""
    stopped = fine("train", "protonet", *TINY, "--out", tmp_path / "short", "--max-minutes", "1e-9")
    assert "--resume goes on" in stopped.stderr


def test_the_run_folder_has_a_learning_curve(tmp_path: Path) -> None:
    drawn = (trained(tmp_path / "run") / "figures" / "learning.svg").read_text()
    assert "training tasks" in drawn
    assert "validation tasks" in drawn


def test_a_training_that_diverges_is_a_failure(tmp_path: Path) -> None:
    result = kshot("train", "protonet", *TINY, "--lr", "1e30", "--optimizer", "sgd", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "the training diverged" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = kshot("train", "protonet", *TINY, "--out", tmp_path / "file" / "run")
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.stderr


def test_ctrl_c_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    told = [
        "train",
        "protonet",
        *TINY,
        "--steps",
        "1000000",
        "--no-validation",
        "--checkpoint-every",
        "5",
        "--threads",
        str(torch.get_num_threads()),
        "--out",
        out,
    ]
    running = process(*told, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 90
    while not (out / "state" / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "the same command with --resume goes on" in said
    assert "Traceback" not in said
    before = load_run(out).train_steps
    ended = document(*told, "--resume", "--max-minutes", "1e-9")
    assert before is not None
    assert ended["step"] > before
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
