"""What is chosen before the first step, and that it stays chosen."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from kshot.data.curves import Sinusoid
from kshot.errors import UserError
from kshot.methods import METHODS, Method, build_method, tuning
from kshot.methods.protonet import ProtoNet
from kshot.tasks import CurveTasks
from kshot.training import load_run, prepare, train
from kshot.training.trainer import TrainResult
from support import SMALL, Plain, compiler, equipped, image_tasks, its_own_warning, spec_for, tasks_for

SOURCE = CurveTasks(Sinusoid(), shot=5, query=5)


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)


def maml(**options: object) -> Method:
    return build_method("maml", SOURCE.spec, inner_lr=0.01, **options)


def run(method: Method, out: Path | None = None, **options: object) -> TrainResult:
    return train(method, SOURCE, **{"steps": 4, "tasks": 5, "out": out, "progress": False, **options})


def config(out: Path) -> dict[str, object]:
    return yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))


def test_the_measured_engine_is_part_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on keeps its engine, whatever would be measured now."""
    out = tmp_path / "run"
    monkeypatch.setattr(tuning, "fastest", lambda method, tasks: "chunk:2")
    monkeypatch.setattr("kshot.methods.gradient.fastest", lambda method, tasks: "chunk:2")
    run(maml(), out, max_minutes=1e-9)
    assert config(out)["options"]["engine"] == "chunk:2"
    monkeypatch.setattr("kshot.methods.gradient.fastest", lambda method, tasks: "loop")
    later = maml()
    result = run(later, out, resume=True)
    assert result.finished
    assert later.engine == "chunk:2"


def test_another_engine_than_the_run_has_is_refused(tmp_path: Path) -> None:
    run(maml(engine="vmap"), tmp_path / "run", max_minutes=1e-9)
    with pytest.raises(UserError, match=r"options.engine: 'vmap' in the run, 'loop' now"):
        run(maml(engine="loop"), tmp_path / "run", resume=True)


def test_a_short_training_is_not_compiled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / "run"
    with caplog.at_level(logging.INFO, "kshot"):
        run(maml(engine="vmap"), out, compile=True)
    assert re.search("not compiled: it would take about [36]0 s and save about 0 s", caplog.text)
    assert config(out)["training"]["compile"] is False
    assert run(maml(engine="vmap"), out, compile=True, resume=True).finished


@compiler
@its_own_warning
def test_a_long_training_is_compiled_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Steps are said to cost next to nothing to compile, and to gain much."""
    monkeypatch.setattr(prepare, "SMALL_GUESS", (1e-9, 2.0))
    monkeypatch.setattr(prepare, "SMALL", float("inf"))
    plain, compiled = maml(engine="vmap"), maml(engine="vmap")
    run(plain)
    with caplog.at_level(logging.INFO, "kshot"):
        run(compiled, tmp_path / "run", compile=True)
    assert "compiled in" in caplog.text
    assert (tmp_path / "cache" / "inductor").is_dir()
    assert config(tmp_path / "run")["training"]["compile"] is compiled.compiled
    for a, b in zip(plain.parameters(), compiled.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@compiler
@its_own_warning
def test_metric_methods_compile_too() -> None:
    tasks, grads = image_tasks(0), []
    for compiled in (False, True):
        method = ProtoNet(Plain()).double().train()
        method.compiled = compiled
        method.meta_step(tasks)
        grads.append([p.grad for p in method.parameters() if p.requires_grad])
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_what_was_measured_of_compiling_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 1 s: 100 steps, halved, save 50 s; that pays at 20 s of compiling and not at 60 s."""
    monkeypatch.setattr(prepare, "check_compiler", lambda tasks: None)
    monkeypatch.setattr(prepare, "remember", lambda *a: None)
    monkeypatch.setattr(prepare, "seconds", lambda method, tasks: 0.5 if method.compiled else 1.0)
    method, tasks = maml(engine="vmap"), SOURCE.batch(range(2))
    monkeypatch.setattr(prepare, "remembered", lambda *a: {"seconds": 60.0, "gain": 2.0})
    assert not prepare.decide(method, tasks, 100)
    monkeypatch.setattr(prepare, "remembered", lambda *a: {"seconds": 20.0, "gain": 2.0})
    assert prepare.decide(method, tasks, 100)
    assert not prepare.decide(method, tasks, 20)


@pytest.mark.parametrize(
    ("step", "steps", "expected"), [(0.002, 60_000, True), (0.002, 20_000, False), (0.1, 2_000, False)]
)
def test_small_steps_are_guessed_to_gain_more(
    monkeypatch: pytest.MonkeyPatch, step: float, steps: int, expected: bool
) -> None:
    """Halving 60,000 steps of 2 ms saves 60 s, at 30 s of compiling; 2,000 of 100 ms save 46 s, at 60."""
    monkeypatch.setattr(prepare, "check_compiler", lambda tasks: None)
    monkeypatch.setattr(prepare, "remember", lambda *a: None)
    monkeypatch.setattr(prepare, "remembered", lambda *a: None)
    monkeypatch.setattr(prepare, "seconds", lambda method, tasks: step / 2 if method.compiled else step)
    assert prepare.decide(maml(engine="vmap"), SOURCE.batch(range(2)), steps) is expected


def test_without_a_compiler_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"compile needs a C\+\+ compiler .* or train without --compile"):
        run(maml(engine="vmap"), compile=True)


CLASSIFIERS = sorted(n for n, m in METHODS.items() if m.about.meta_trained and "classes" in m.about.targets)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_bfloat16_is_near_and_keeps_weights_in_float32(name: str) -> None:
    source = tasks_for(name, T=4).map(lambda t: t.float() if t.is_floating_point() else t)
    options, losses = dict(SMALL.get(name, {})), []
    if "inner_steps" in options:
        options["inner_steps"] = 1  # rounding grows with every step
    for cast in (False, True):
        method = build_method(name, spec_for(name), backbone_options={"filters": 8}, **options)
        equipped(method).train()
        with torch.autocast("cpu", torch.bfloat16, enabled=cast, cache_enabled=False):
            losses.append(method.meta_step(source)["loss"].item())
        assert all(p.grad.dtype == torch.float32 for p in method.parameters() if p.grad is not None)
        assert all(b.dtype != torch.bfloat16 for b in method.buffers())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    assert losses[1] != losses[0]


def test_bfloat16_trains(tmp_path: Path) -> None:
    method = maml(engine="vmap")
    run(method, tmp_path / "run", precision="bfloat16")
    assert config(tmp_path / "run")["training"]["precision"] == "bfloat16"
    assert all(p.dtype == torch.float32 for p in method.parameters())
    with pytest.raises(UserError, match=r"unknown precision 'bfloat'; did you mean 'bfloat16'\?"):
        run(maml(), precision="bfloat")


@pytest.mark.parametrize("value", ["0", "1"])
def test_keeping_memory_can_be_refused(value: str) -> None:
    code = "from kshot.functional.memory import keep_memory; print(keep_memory())"
    shown = subprocess.run(
        [sys.executable, "-c", code], env={"KSHOT_KEEP_MEMORY": value}, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == str(value == "1" and sys.platform == "linux")


def test_a_trained_run_still_loads(tmp_path: Path) -> None:
    run(maml(), tmp_path / "run")
    with pytest.raises(UserError, match="does not say how its method was built"):
        load_run(tmp_path / "run")
