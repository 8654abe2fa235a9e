"""A run killed at any instant resumes to bitwise the same weights as one never killed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch

from kshot.training import Interrupted
from training_support import At, Blobs, fast_processes, resumed_training, same_run, small_method, small_training

STEPS = 200


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    return fast_processes()


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory, processes: ForkServerContext) -> tuple[Path, float]:
    """The run that nobody disturbed, and how long it took."""
    out = tmp_path_factory.mktemp("runs") / "unkilled"
    run(processes, out, (1, False))  # the first process waits for the imports
    start = time.monotonic()
    run(processes, out)
    return out, time.monotonic() - start


def run(processes: ForkServerContext, out: Path, crash: tuple[int, bool] | None = None) -> int | None:
    process = processes.Process(target=resumed_training, args=(out, STEPS, crash))
    process.start()
    process.join(120)
    return process.exitcode


def test_killed_at_random_instants(unkilled: tuple[Path, float], processes: ForkServerContext, tmp_path: Path) -> None:
    whole, duration = unkilled
    chance = random.Random(time.time_ns())  # other instants in every run of the tests
    kills, runs = 0, 0
    while kills < 4 and runs < 10:
        out, exitcode = tmp_path / f"killed{runs}", None
        for _ in range(6):
            process = processes.Process(target=resumed_training, args=(out, STEPS))
            process.start()
            process.join(chance.uniform(0.1, 0.7) * duration)
            process.kill()
            process.join()
            exitcode = process.exitcode
            kills += exitcode == -signal.SIGKILL
            if exitcode == 0:
                break
        assert exitcode == 0 or run(processes, out) == 0
        same_run(out, whole)
        runs += 1
    assert kills >= 4, "it was hardly disturbed"


def test_killed_while_writing(unkilled: tuple[Path, float], processes: ForkServerContext, tmp_path: Path) -> None:
    """Between any two of the files of a checkpoint, before and after each gets its name."""
    out = tmp_path / "killed"
    # A fresh run writes config.yaml, then state, last, weights again and again; a resumed one metrics.jsonl first.
    for crash in ((2, True), (1, False), (3, True), (4, False), (5, False), (6, True)):
        assert run(processes, out, crash) == -signal.SIGKILL
    assert run(processes, out) == 0
    same_run(out, unkilled[0])


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """Also where the tests run in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_training_in_the_background_is_not_interrupted(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert small_training(None, 6, callbacks=[At(2, lambda progress: os.kill(os.getpid(), signal.SIGINT))]).finished


def test_a_second_ctrl_c_does_not_wait_for_the_step(tmp_path: Path) -> None:
    def twice(progress: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        small_training(tmp_path / "a", 20, callbacks=[At(9, twice)])
    assert not isinstance(stopped.value, Interrupted)
    small_training(tmp_path / "a", 20, resume=True)
    small_training(tmp_path / "b", 20)
    same_run(tmp_path / "a", tmp_path / "b")


def test_ctrl_c_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    ctrl_c = At(23, lambda progress: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match=r"after step 23 of 60; the checkpoint is in .*--resume"):
        small_training(tmp_path / "a", 60, callbacks=[ctrl_c])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert small_training(tmp_path / "a", 60, resume=True).finished
    small_training(tmp_path / "b", 60)
    same_run(tmp_path / "a", tmp_path / "b")


def test_out_of_time_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    result = small_training(tmp_path / "a", 60, max_minutes=1e-6)
    assert (result.step, result.finished) == (1, False)
    assert "max_minutes" in result.reason
    assert small_training(tmp_path / "a", 60, resume=True).reason == "all steps done"
    small_training(tmp_path / "b", 60)
    same_run(tmp_path / "a", tmp_path / "b")


def test_training_time_is_summed_over_resumes(tmp_path: Path) -> None:
    wait = At(1, lambda progress: time.sleep(0.2))
    first = small_training(tmp_path, 4, max_minutes=1e-6, callbacks=[wait])
    second = small_training(tmp_path, 4, resume=True)
    assert second.seconds > first.seconds > 0.2


def test_resuming_a_finished_run_does_nothing(tmp_path: Path) -> None:
    first = small_training(tmp_path, 30)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.safetensors")}
    again = small_training(tmp_path, 30, resume=True, source=Refusing())
    assert (again.step, again.best_value, again.reason) == (first.step, first.best_value, first.reason)
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*.safetensors")}
    for a, b in zip(first.method.parameters(), again.method.parameters()):
        assert torch.equal(a, b)


class Refusing(Blobs):
    """A source that must not be asked."""

    def draw(self, *arguments: object) -> object:  # type: ignore[override]
        raise AssertionError("no task was needed")


def test_a_run_killed_between_its_last_checkpoint_and_its_weights_gets_them(tmp_path: Path) -> None:
    small_training(tmp_path / "a", 30)
    small_training(tmp_path / "b", 30)
    for name in ("last.safetensors", "weights.safetensors"):
        (tmp_path / "a" / name).unlink()
    small_training(tmp_path / "a", 30, resume=True)
    same_run(tmp_path / "a", tmp_path / "b")


def test_going_on_with_other_rounding_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_training(tmp_path, 8, max_minutes=1e-6)
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    with pytest.warns(UserWarning, match=rf"other rounding than it began \(threads {threads} became {threads + 1}\)"):
        small_training(tmp_path, 8, resume=True)


def test_patience_is_counted_over_resumes(tmp_path: Path) -> None:
    """lr so small that no validation is better than the first."""
    options = {"lr": 1e-12, "val_every": 5, "patience": 4}
    for stop in (8, 12, 13, 19, None):
        heard = [] if stop is None else [At(stop, lambda progress: os.kill(os.getpid(), signal.SIGINT))]
        if stop is None:
            result = small_training(tmp_path / "a", 60, resume=True, **options)
        else:
            with pytest.raises(Interrupted):
                small_training(tmp_path / "a", 60, resume=True, callbacks=heard, **options)
    assert (result.step, result.best_step) == (25, 5)
    assert "patience" in result.reason
    small_training(tmp_path / "b", 60, **options)
    same_run(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimizer_resumes_bitwise_with_dropout(optimizer: str, tmp_path: Path) -> None:
    """Dropout draws from the global generator, which the training sets by step and puts back."""
    options = {"optimizer": optimizer, "momentum": 0.9 if optimizer == "sgd" else 0.0, "weight_decay": 0.01}
    for name, stop in (("a", (9, 22)), ("b", ())):
        for step in (*stop, None):
            heard = [] if step is None else [At(step, lambda progress: os.kill(os.getpid(), signal.SIGINT))]
            options |= {"method": small_method(dropout=0.3), "resume": True, "callbacks": heard}
            if step is None:
                small_training(tmp_path / name, 40, **options)
            else:
                with pytest.raises(Interrupted):
                    small_training(tmp_path / name, 40, **options)
    same_run(tmp_path / "a", tmp_path / "b")
