"""Every engine finds the same gradient; the fastest is chosen once, and kept."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kshot.errors import UserError
from kshot.functional.engines import Engine, over_tasks
from kshot.functional.inner import functional_gradient
from kshot.functional.metagradients import meta_gradient, part_of
from kshot.functional.parallel import cores, in_threads, worker
from kshot.methods import METHODS, method_options, tuning
from kshot.methods.gradient import GradientMethod
from support import compiler, graph_size, image_tasks, its_own_warning, outputs, small_method

NAMES = sorted(n for n, m in METHODS.items() if issubclass(m, GradientMethod))
FORMS = ["loop", "vmap", "chunk:2", "loop+threads", "chunk:2+threads", "vmap+threads"]
ENGINES = FORMS + [f"{f}+recompute" for f in FORMS]


@pytest.fixture(autouse=True)
def _two_threads_and_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def step(name: str, engine: str, **options: object) -> tuple[GradientMethod, dict[str, Tensor]]:
    """A method after one meta-step on five tasks, and what the step measured."""
    method = small_method(name, engine=engine, **options).train()
    return method, method.meta_step(image_tasks(0, T=5))


OF_NORMS = [(n, choice) for n in NAMES for choice in ((False, True) if "adapt_norm" in method_options(n) else (None,))]


@pytest.mark.parametrize(("name", "adapt_norm"), OF_NORMS)
def test_engines_agree(name: str, adapt_norm: bool | None) -> None:
    """Gradients, measures and what is learned by adapting, to rounding."""
    tasks, options = image_tasks(1, T=5), {} if adapt_norm is None else {"adapt_norm": adapt_norm}
    known, measured = step(name, "loop", **options, inner_steps=3)
    expected = outputs(known.eval(), tasks)
    for engine in ENGINES[1:]:
        method, measures = step(name, engine, **options, inner_steps=3)
        for (n, p), q in zip(method.named_parameters(), known.parameters()):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-8, atol=1e-11, msg=f"{engine} {n}")
        for key, value in measured.items():
            torch.testing.assert_close(measures[key], value, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(outputs(method.eval(), tasks), expected, rtol=1e-8, atol=1e-10)


@compiler
@its_own_warning
@pytest.mark.parametrize(
    ("name", "engine"), [("maml", "vmap"), ("maml", "loop+threads+recompute"), ("fomaml", "chunk:2")]
)
def test_compiled_steps_agree(name: str, engine: str) -> None:
    known, measured = step(name, "loop")
    method = small_method(name, engine=engine).train()
    method.compiled = True
    for _ in range(2):
        measures = method.meta_step(image_tasks(0, T=5))
        for p, q in zip(method.parameters(), known.parameters()):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(measures["loss"], measured["loss"])
    copy.deepcopy(method)


@its_own_warning
@pytest.mark.parametrize("engine", ["vmap", "loop+recompute"])
def test_what_a_gpu_compiles_can_be_traced_and_agrees(engine: str) -> None:
    """The compiler follows the Python code there; here it only makes a list of operations of it."""
    known, _ = step("maml", "loop")
    method, tasks, way = small_method("maml").train(), image_tasks(0, T=5), Engine.parse(engine)
    data = (*method.check(tasks.xs, tasks.ys, tasks.way), *method.check(tasks.xq, tasks.yq, tasks.way))
    part = part_of(method.meta_loop(functional_gradient), way, functional=True)
    traced = torch.compile(part, fullgraph=True, dynamic=False, backend="eager")
    found = meta_gradient(method.parameters_now(), data, way, traced)
    for name, p in known.net.named_parameters():
        torch.testing.assert_close(found.grads[name], p.grad, rtol=1e-7, atol=1e-10)


def test_recomputing_keeps_the_graph_of_one_step() -> None:
    """What autograd keeps at a time does not grow with the inner steps when they are recomputed; otherwise it does."""

    def kept(engine: str, steps: int) -> int:
        return graph_size(small_method("maml", engine=engine, inner_steps=steps).train(), image_tasks(0, T=1))

    assert kept("loop", 6) > 2 * kept("loop", 2)
    assert kept("loop+recompute", 6) == kept("loop+recompute", 2)


@pytest.mark.parametrize(
    "text", ["vmaps", "chunk", "chunk:1", "chunk:x", "loop:3", "loop+fast", "vmap+threads+threads"]
)
def test_unknown_engines_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"engine must be auto, loop, vmap or chunk:C .* got '"):
        small_method("maml", engine=text)


@pytest.mark.parametrize("text", ENGINES)
def test_names_of_engines(text: str) -> None:
    assert str(Engine.parse(text)) == text


def test_auto_measures_once_and_remembers(caplog: pytest.LogCaptureFixture) -> None:
    tasks = image_tasks(0, T=5)
    with caplog.at_level(logging.INFO, "kshot"):
        first = small_method("maml", engine="auto").train()
        first.meta_step(tasks)
        second = small_method("maml", engine="auto").train()
        second.meta_step(tasks)
    assert first.engine == second.engine
    assert "; measured: " in caplog.messages[0]
    assert caplog.messages[1] == f"engine {first.engine} (measured before)"
    assert Engine.parse(first.engine)


def test_auto_takes_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"loop": 5.0, "loop+threads": 2.0, "vmap": 3.0}
    monkeypatch.setattr(tuning, "timed", lambda m, tasks, engine, best: times.get(str(engine), 9.0))
    assert tuning.fastest(small_method("maml"), image_tasks(0, T=5)) == "loop+threads"


def test_of_two_that_are_as_fast_auto_takes_the_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"loop": 2.1, "vmap": 2.0}
    monkeypatch.setattr(tuning, "timed", lambda m, tasks, engine, best: times.get(str(engine), 9.0))
    assert tuning.fastest(small_method("maml"), image_tasks(0, T=5)) == "loop"


def test_an_engine_is_measured_as_it_is_in_a_long_training() -> None:
    method = small_method("maml").train()
    assert tuning.timed(method, image_tasks(0, T=5), Engine(at_once=1), float("inf"))
    assert all(method.recorder._made.values())
    method.engine = "auto"
    method.tune(image_tasks(0, T=5))
    assert not method.recorder._made


def test_an_engine_without_hope_is_not_recorded() -> None:
    method = small_method("maml").train()
    assert tuning.timed(method, image_tasks(0, T=5), Engine(at_once=1), 1e-9)
    assert not method.recorder._made


def test_auto_recomputes_where_the_graph_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def timed(method: object, tasks: object, engine: Engine, best: float) -> float:
        tried.append(str(engine))
        return 1.0

    monkeypatch.setattr(tuning, "timed", timed)
    monkeypatch.setattr(tuning, "free_bytes", lambda device: 1)
    tuning.fastest(small_method("maml"), image_tasks(0, T=5))
    assert "vmap+recompute" in tried
    assert "vmap" not in tried


def test_adapting_before_any_choice_works() -> None:
    assert torch.isfinite(outputs(small_method("maml", engine="auto"), image_tasks(0))).all()


def test_threads_keep_order_modes_and_errors() -> None:
    assert cores() == 2
    assert in_threads(lambda x: (x, worker() is None), [1, 2, 3]) == [(1, False), (2, False), (3, False)]
    assert in_threads(lambda x: worker(), [1]) == [None]
    for mode in (True, False):
        with torch.set_grad_enabled(mode):
            assert in_threads(lambda _: (torch.is_grad_enabled(), cores()), [0, 0]) == [(mode, 1)] * 2
    with torch.autocast("cpu", torch.bfloat16):
        assert in_threads(lambda _: torch.is_autocast_enabled("cpu"), [0, 0]) == [True, True]
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda x: 1 // x, [1, 0])
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("engine", FORMS)
def test_over_tasks_handles_trees(engine: str) -> None:
    x = torch.arange(10.0).view(5, 2)
    out = over_tasks(lambda a, b: {"sum": a["x"] + b, "first": a["x"][0]}, ({"x": x}, 2 * x), Engine.parse(engine))
    assert torch.equal(out["sum"], 3 * x)
    assert torch.equal(out["first"], x[:, 0])
