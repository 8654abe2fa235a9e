"""One loop: which tasks, which learning rate, which weights are kept, and when it stops."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kshot.errors import UserError
from kshot.evaluation import evaluate
from kshot.methods import Nearest
from kshot.methods.base import About, Method
from kshot.tasks import Tasks
from kshot.training import Callback, Diverged, Progress, train
from kshot.training.checkpoint import load_tensors
from training_support import Blobs, metrics, small_method, small_training


class Probe(Method):
    """One weight whose gradient is what the test wants."""

    about = About(title="probe", source="", idea="")

    def __init__(self, gradient: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.unused = nn.Parameter(torch.ones(1))
        self.gradient, self.seen, self.modes = gradient, [], []  # type: ignore[var-annotated]
        self.bad_step: int | None = None

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> int:
        return way

    def predict(self, state: int, xq: Tensor, *, transductive: bool = False) -> Tensor:
        return self.weight.detach() * torch.arange(state).expand(*xq.shape[:2], state)

    def meta_step(self, tasks: Tasks) -> dict[str, Tensor]:
        self.seen.append(tasks.indices.tolist())
        self.modes.append(self.training)
        bad = len(self.seen) == self.bad_step
        self.weight.grad = torch.tensor([math.nan if bad else self.gradient])
        return {"loss": torch.tensor(math.nan if bad else float(len(self.seen)))}


def test_step_s_uses_the_tasks_that_belong_to_it() -> None:
    probe = Probe()
    train(probe, Blobs(), steps=3, tasks=4)
    assert probe.seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_sgd_with_a_linear_schedule_is_the_sum_of_its_rates() -> None:
    probe = Probe()
    train(probe, Blobs(), steps=4, tasks=1, optimizer="sgd", lr=0.1, schedule="linear")
    assert probe.weight.item() == pytest.approx(-0.1 * (1 + 0.75 + 0.5 + 0.25))


@pytest.mark.parametrize(("clip", "moved"), [({}, 6.0), ({"clip_norm": 0.5}, 0.5), ({"clip_value": 2.0}, 2.0)])
def test_gradients_are_clipped(clip: dict[str, float], moved: float) -> None:
    probe = Probe(gradient=6.0)
    train(probe, Blobs(), steps=1, tasks=1, optimizer="sgd", lr=1.0, **clip)  # type: ignore[arg-type]
    assert probe.weight.item() == pytest.approx(-moved, abs=1e-5)


def test_a_weight_without_gradient_stays() -> None:
    probe = Probe()
    train(probe, Blobs(), steps=2, tasks=1, optimizer="adamw", lr=1.0, weight_decay=0.5)
    assert probe.unused.item() == 1.0


def test_logged_measures_are_means_since_the_last_log(tmp_path: Path) -> None:
    train(Probe(), Blobs(), steps=25, tasks=1, out=tmp_path, log_every=10, lr=0.5, schedule="step", decay_every=20)
    assert [(m["step"], m["loss"], m["lr"]) for m in metrics(tmp_path)] == [
        (10, 5.5, 0.5),
        (20, 15.5, 0.5),
        (25, 23, 0.25),
    ]


def test_training_mode_in_steps_and_the_old_mode_afterwards() -> None:
    method = small_method(dropout=0.5)
    method.eval()
    method.backbone[1].train()
    before = [part.training for part in method.modules()]
    seen: list[bool] = []

    class Look(Callback):
        def on_step(self, progress: Progress) -> None:
            seen.append(all(part.training for part in progress.method.modules()))

    small_training(None, 30, method=method, callbacks=[Look()])
    assert seen == [True] * 30
    assert [part.training for part in method.modules()] == before


def test_it_learns_and_keeps_the_weights_of_the_best_validation(tmp_path: Path) -> None:
    before = evaluate(small_method(), Blobs(seed=5), episodes=100)
    result = small_training(tmp_path)
    after = evaluate(result.method, Blobs(seed=5), episodes=100)
    assert after.value > before.value + 3 * (after.ci95 + before.ci95) / 2
    values = {m["step"]: m["val_accuracy"] for m in metrics(tmp_path) if "val_accuracy" in m}
    assert result.best_value == max(values.values())
    assert result.best_step == min(step for step, value in values.items() if value == result.best_value)
    best, note = load_tensors(tmp_path / "weights.safetensors")
    assert note == {"step": result.best_step}
    assert all(torch.equal(best[k], t) for k, t in result.method.state_dict().items())
    assert evaluate(result.method, Blobs(seed=1), episodes=20).value == pytest.approx(result.best_value, abs=1e-4)


def test_without_validation_the_last_weights_are_the_weights(tmp_path: Path) -> None:
    train(small_method(), Blobs(), steps=3, tasks=2, out=tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == (tmp_path / "last.safetensors").read_bytes()


def test_the_smallest_error_is_the_best() -> None:
    class Errors(Blobs):
        measure = "mse"

    class Falling(Probe):
        def predict(self, state: int, xq: Tensor, *, transductive: bool = False) -> Tensor:
            return (self.weight + 5.0).expand(*xq.shape[:2])  # the targets are 0..3: best when the weight is -3.5

    probe = Falling()
    errors = Errors()
    result = train(
        probe, Blobs(), steps=8, tasks=1, optimizer="sgd", lr=0.9, validation=errors, val_every=1, val_tasks=3
    )
    assert result.best_step == 4
    assert probe.weight.item() == pytest.approx(-3.6)


def test_patience_stops_after_so_many_validations_without_a_better_one() -> None:
    result = train(Probe(), Blobs(), steps=100, tasks=1, validation=Blobs(), val_every=2, val_tasks=2, patience=3)
    assert (result.step, result.best_step) == (8, 2)
    assert result.finished
    assert "patience" in result.reason


@pytest.mark.parametrize("log_every", [5, 1000])
def test_a_loss_that_is_nan_stops_the_run_before_a_checkpoint_holds_it(log_every: int, tmp_path: Path) -> None:
    probe = Probe()
    probe.bad_step = 13
    with pytest.raises(
        Diverged, match=rf"the loss of step 13 is nan; the last good checkpoint is of step 12, in {tmp_path}"
    ):
        train(probe, Blobs(), steps=20, tasks=1, out=tmp_path, log_every=log_every, checkpoint_every=4)
    for name in ("state/checkpoint.safetensors", "last.safetensors", "weights.safetensors"):
        tensors, note = load_tensors(tmp_path / name)
        assert note["step"] == 12
        assert all(bool(t.isfinite().all()) for t in tensors.values())


def test_weights_that_are_nan_stop_the_run_too(tmp_path: Path) -> None:
    probe = Probe(gradient=math.inf)
    with pytest.raises(Diverged, match=r"weights became NaN or infinite in the steps 1 to 2; no checkpoint"):
        train(probe, Blobs(), steps=20, tasks=1, out=tmp_path, checkpoint_every=2, optimizer="sgd")
    assert not (tmp_path / "state" / "checkpoint.safetensors").exists()


def test_a_validation_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    class Errors(Blobs):
        measure = "mse"

    class Wild(Probe):
        def predict(self, state: int, xq: Tensor, *, transductive: bool = False) -> Tensor:
            value = math.nan if self.weight > -1.5 else 0.0
            return torch.full(xq.shape[:2], value)

    errors = Errors()
    result = train(
        Wild(), Blobs(), steps=3, tasks=1, lr=1.0, optimizer="sgd", out=tmp_path,
        validation=errors, val_every=1, val_tasks=3,
    )  # fmt: skip
    assert result.best_step == 2
    values = [m["val_mse"] for m in metrics(tmp_path) if "val_mse" in m]
    assert values[0] is None
    assert values[1] == values[2] > 0


def test_callbacks_are_called_in_order_and_may_stop() -> None:
    calls: list[str] = []

    class Log(Callback):
        def __getattribute__(self, name: str) -> object:
            if name.startswith("on_"):
                return lambda progress: calls.append(f"{name[3:]}{progress.step}")
            return object.__getattribute__(self, name)

    class Stop(Callback):
        def on_log(self, progress: Progress) -> None:
            progress.stop = "enough"

    result = train(
        Probe(), Blobs(), steps=9, tasks=1, log_every=2, validation=Blobs(), val_every=2, val_tasks=1,
        callbacks=[Log(), Stop()],
    )  # fmt: skip
    assert calls == ["start0", "step1", "step2", "log2", "validation2", "end2"]
    assert (result.reason, result.finished) == ("enough", True)


def test_the_progress_bar_is_on_standard_error_and_only_if_wanted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    small_training(None, 20)
    evaluate(small_method(), Blobs(), episodes=2)
    assert capfd.readouterr() == ("", "")
    small_training(None, 20, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "20/20 loss" in err
    assert "left 0:00:00" in err
    assert "…" not in err


def test_dropout_depends_on_the_step_alone() -> None:
    """Whatever the program around has drawn, and without moving its generator."""
    weights = []
    for drawn in (0, 5):
        state = torch.get_rng_state()
        torch.rand(drawn)
        method = small_training(None, 20, method=small_method(dropout=0.5)).method
        torch.set_rng_state(state)
        weights.append([p.detach().clone() for p in method.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights))


def test_mistakes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "run"
    mistakes = [
        ({"steps": 0}, "steps must be at least 1; got 0"),
        ({"lr": -1.0}, "lr must be greater than 0; got -1.0"),
        ({"lr": "fast"}, "lr must be of type float; got 'fast'"),
        ({"tasks": 2.5}, r"tasks must be of type int; got 2\.5"),
        ({"optimizer": "adan"}, "did you mean 'adam'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"patience": 2}, "patience needs validation tasks"),
        ({"momentum": 0.9}, "adam has no momentum"),
        ({"val_transductive": True, "validation": Blobs()}, "no transductive mode"),
    ]
    for options, message in mistakes:
        with pytest.raises(UserError, match=message):
            train(small_method(), Blobs(), out=out, **{"steps": 2, **options})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="has nothing to train"):
        train(Nearest(), Blobs(), steps=2, out=out)
    assert not out.exists()
    with pytest.raises(UserError, match="resume needs the run folder"):
        train(small_method(), Blobs(), steps=2, resume=True)


def test_train_and_settings_have_the_same_defaults() -> None:
    import inspect
    from dataclasses import MISSING, fields

    from kshot.training import Settings

    arguments = inspect.signature(train).parameters
    for f in fields(Settings):
        assert arguments[f.name].default == (inspect.Parameter.empty if f.default is MISSING else f.default), f.name
