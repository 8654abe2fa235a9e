"""A run folder is never overwritten by accident, and written by one process at a time."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import yaml

from kshot.errors import UserError
from kshot.training.callbacks import cut_metrics
from training_support import At, Blobs, metrics, same_run, small_training


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    small_training(tmp_path / "run", 8)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(UserError, match=r"already holds a run\. Use --resume to go on, --overwrite to replace it"):
        small_training(tmp_path / "run", 8)
    assert before == {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}


def test_a_folder_with_other_files_is_refused_and_overwriting_leaves_them(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(UserError, match="holds other files"):
        small_training(tmp_path, 8)
    small_training(tmp_path, 8, overwrite=True)
    small_training(tmp_path, 16, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "all of it"
    assert max(m["step"] for m in metrics(tmp_path)) == 16


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="is a file"):
        small_training(tmp_path / "run", 8)


def test_resume_starts_a_run_that_does_not_exist(tmp_path: Path) -> None:
    assert small_training(tmp_path / "new", 8, resume=True).step == 8


def test_resume_with_other_settings_names_them(tmp_path: Path) -> None:
    small_training(tmp_path, 8, config={"method": "protonet", "source": {"way": 4, "augment": None}})
    with pytest.raises(UserError) as error:
        small_training(tmp_path, 8, resume=True, lr=0.5, config={"method": "matching", "source": {"way": 4}})
    assert "method: 'protonet' in the run, 'matching' now; training.lr: 0.01 in the run, 0.5 now" in str(error.value)


def test_resume_with_another_time_limit_is_allowed(tmp_path: Path) -> None:
    small_training(tmp_path, 8, max_minutes=1e-6)
    assert small_training(tmp_path, 8, resume=True, max_minutes=5.0, checkpoint_every=3).finished


def test_a_replaced_run_is_not_resumed_into_the_new_one(tmp_path: Path) -> None:
    """Killed right after the old run was removed, the new one starts from its first step."""
    small_training(tmp_path, 16, lr=0.5)
    with pytest.raises(ZeroDivisionError):
        small_training(tmp_path, 16, overwrite=True, callbacks=[At(1, lambda progress: 1 / 0)])
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".lock", "config.yaml", "metrics.jsonl", "state"]
    drawn = Blobs()
    small_training(tmp_path, 16, resume=True, source=drawn)
    assert drawn.drawn[0] == 0


def test_resume_and_overwrite_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exclude each other"):
        small_training(tmp_path, 8, resume=True, overwrite=True)


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    small_training(tmp_path / "a", 30, max_minutes=1e-6)
    for name in ("last.safetensors.tmp", "state/checkpoint.safetensors.tmp", "config.yaml.tmp"):
        (tmp_path / "a" / name).write_bytes(b"half")
    small_training(tmp_path / "a", 30, resume=True)
    small_training(tmp_path / "b", 30)
    same_run(tmp_path / "a", tmp_path / "b")


def test_two_processes_cannot_train_into_one_folder(tmp_path: Path) -> None:
    def intrude(progress: object) -> None:
        with pytest.raises(UserError, match="another process is training into"):
            small_training(tmp_path, 8, resume=True)

    assert small_training(tmp_path, 8, callbacks=[At(2, intrude)]).finished
    assert multiprocessing.active_children() == []


def test_config_holds_every_training_argument_and_the_versions(tmp_path: Path) -> None:
    small_training(tmp_path, 8, config={"method": "protonet", "source": {"way": (3, 5)}})
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["source"] == {"way": [3, 5]}
    assert config["training"]["steps"] == 8
    assert config["training"]["schedule"] == "cosine"
    assert config["training"]["clip_norm"] is None
    assert set(config["versions"]) == {"kshot", "torch"}


def test_metrics_are_cut_back_to_a_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10, "loss": 1}\n{"step": 20, "loss": 2}\n{"step": 30, "loss": 3}\n{"step": 40, "lo')
    cut_metrics(path, 20)
    assert path.read_text() == '{"step": 10, "loss": 1}\n{"step": 20, "loss": 2}\n'
    cut_metrics(tmp_path / "absent", 20)
