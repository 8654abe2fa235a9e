"""Recorded steps: the same to the last bit as those that are not, or not recorded at all."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
import torch
from torch import Tensor

from kshot.functional import recorder
from kshot.functional.engines import Engine, cuts
from kshot.functional.recorder import Recorder
from kshot.functional.recording import Notes, Unrecordable, needed, record
from kshot.methods import MAML, METHODS
from kshot.methods.gradient import GradientMethod
from kshot.methods.reptile import Reptile
from support import Noisy, image_tasks, small_method

NAMES = sorted(n for n, m in METHODS.items() if issubclass(m, GradientMethod) and not issubclass(m, Reptile))


def trained(name: str, engine: str, recorded: bool, steps: int = 3) -> tuple[GradientMethod, list[Tensor]]:
    """A method after some steps of descent on changing tasks, and the loss of each step."""
    method = small_method(name, engine=engine).train()
    if recorded:
        method.record_now()
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.05)
    losses = []
    for step in range(steps):
        method.zero_grad()
        losses.append(method.meta_step(image_tasks(step, T=5))["loss"])
        optimizer.step()
    return method, losses


OTHERS = [("maml", "chunk:2+threads"), ("mamlpp", "loop+threads")]
OTHERS += [(n, "loop+recompute") for n in NAMES] + [("mamlpp", "vmap+recompute"), ("maml", "chunk:2+threads+recompute")]


@pytest.mark.parametrize(("name", "engine"), [(n, e) for n in NAMES for e in ("loop", "vmap")] + OTHERS)
def test_recorded_steps_are_the_same_to_the_last_bit(name: str, engine: str) -> None:
    plain, expected = trained(name, engine, recorded=False)
    method, losses = trained(name, engine, recorded=True)
    assert losses == expected
    for (n, p), q in zip(method.named_parameters(), plain.parameters()):
        assert torch.equal(p, q), n
    made = list(method.recorder._made.values())
    assert made
    assert all(made), "nothing was recorded"


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_precisions_have_recordings_of_their_own(precision: torch.dtype) -> None:
    method = small_method("maml", engine="loop").train().float()
    method.record_now()
    plain, tasks = copy.deepcopy(method), image_tasks(0, T=2)
    plain.recorder = Recorder()
    for m in (method, plain, method):
        m.zero_grad()
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            m.meta_step(tasks)
    for p, q in zip(method.parameters(), plain.parameters()):
        assert torch.equal(p.grad, q.grad)
    method.meta_step(tasks)
    assert len(method.recorder._made) == (1 if precision == torch.float32 else 2)


def test_short_trainings_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    method = small_method("maml", engine="loop").train()
    tasks = image_tasks(0, T=2)
    method.recorder = Recorder(calls=2, seconds=0)
    for _ in range(2):
        method.meta_step(tasks)
        assert not method.recorder._made
    method.meta_step(tasks)
    assert method.recorder._made
    method.recorder = Recorder(calls=0, seconds=1e9)
    for _ in range(3):
        method.meta_step(tasks)
    assert not method.recorder._made
    monkeypatch.setenv("KSHOT_RECORD", "0")
    method.record_now()
    method.meta_step(tasks)
    assert not method.recorder._made


def test_another_step_size_has_a_recording_of_its_own() -> None:
    method, tasks = small_method("maml", engine="loop").train(), image_tasks(0, T=2)
    method.record_now()
    first = method.meta_step(tasks)["loss"]
    method.inner_lr /= 2
    plain = copy.deepcopy(method)
    plain.recorder = Recorder()
    assert method.meta_step(tasks)["loss"] == plain.meta_step(tasks)["loss"] != first


def test_few_shapes_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MOST", 1)
    method = small_method("maml", engine="loop").train()
    method.record_now()
    for tasks in (image_tasks(0, T=2), image_tasks(0, T=3)):
        method.meta_step(tasks)
    assert len(method.recorder._made) == 1


def test_copies_start_anew() -> None:
    method, _ = trained("maml", "loop", recorded=True)
    for again in (copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
        assert again.recorder is not method.recorder
        assert not again.recorder._made
        assert again.recorder.calls == 0


def test_networks_with_random_numbers_are_not_recorded_and_draw_as_before(caplog: pytest.LogCaptureFixture) -> None:
    losses, tasks = [], image_tasks(0, T=2)
    for recorded in (False, True):
        method = MAML(Noisy(), input_shape=(1, 16, 16), way=3, engine="loop").double().train()
        if recorded:
            method.recorder = Recorder(calls=1, seconds=0)
        with torch.random.fork_rng(devices=[]), caplog.at_level(logging.INFO, "kshot"):
            torch.manual_seed(0)
            losses.append([float(method.meta_step(tasks)["loss"]) for _ in range(3)])
    assert losses[0] == losses[1]
    assert caplog.messages == ["the steps are not recorded: it draws random numbers"]


def test_what_depends_on_values_or_other_tensors_is_refused() -> None:
    x, outside = torch.arange(3.0), torch.ones(3)
    with pytest.raises(Unrecordable, match="no tensor"):
        record(lambda x: x * 2 if x.sum() > 0 else x, x)
    with pytest.raises(Unrecordable, match="not computed from its arguments"):
        record(lambda x: x + outside, x)
    with pytest.raises(Unrecordable, match="not computed from its arguments"):
        record(lambda x: outside, x)
    with pytest.raises(Unrecordable, match="changes a constant"):
        record(lambda x: torch.tensor([1.0, 2.0, 3.0]).add_(x), x)
    calls = iter(range(9))
    with pytest.raises(Unrecordable, match="other results"):
        record(lambda x: x + next(calls), x)


def test_trees_in_place_operations_and_gradients() -> None:
    def f(a: dict[str, Tensor], b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        filled = torch.zeros(2, 3)
        filled[0].copy_(a["x"])
        filled.scatter_add_(1, torch.tensor([[0], [1]]).expand(2, 1), b.detach()[:, :1])
        (g,) = torch.autograd.grad((b.requires_grad_() ** 3).sum(), b, create_graph=True)
        return filled, {"g": g.detach(), "view": b.detach().t()}

    def arguments(seed: int) -> tuple[dict[str, Tensor], Tensor]:
        g = torch.Generator().manual_seed(seed)
        return {"x": torch.randn(3, generator=g)}, torch.randn(2, 3, generator=g)

    replay = record(f, *arguments(0))
    filled, more = replay(*arguments(1))
    expected, known = f(*arguments(1))
    assert torch.equal(filled, expected)
    assert torch.equal(more["g"], known["g"])
    assert torch.equal(more["view"], known["view"])
    assert not more["g"].requires_grad


def test_what_computes_nothing_is_left_out() -> None:
    def f(x: Tensor) -> Tensor:
        unused = x.exp()
        same = x.detach().t().t().view(3, 2).expand(3, 2)
        base = torch.zeros(3, 2)
        base.view(6).copy_(same.reshape(6))  # what is written in place stays
        return base + x.t().sum(0, keepdim=True).t() * 1 + 0 * unused.detach().shape[0]

    x = torch.ones(3, 2)
    with Notes([x]) as notes:
        result = notes.name(f(x))
    noted = [str(c.op) for c in notes.calls]
    left = [str(c.op) for c, _ in needed(notes, [result])]
    assert "aten.detach.default" not in noted
    assert "aten.expand.default" not in noted
    assert noted.count("aten.t.default") == 2
    assert "aten.exp.default" in noted
    assert "aten.exp.default" not in left
    assert "aten.copy_.default" in left


def test_tensors_are_let_go_when_they_are_not_read_any_more() -> None:
    def f(x: Tensor) -> Tensor:
        for _ in range(10):
            x = x.sin()
        return x

    x = torch.ones(3)
    with Notes([x]) as notes:
        result = notes.name(f(x))
    alive, most = {notes.name(x)}, 0
    for call, ended in needed(notes, [result]):
        alive |= set(call.results)
        most = max(most, len(alive))
        alive -= ended
    assert alive == {result}
    assert most == 2


def test_one_tensor_in_two_places_is_two_arguments() -> None:
    x, y = torch.ones(3), torch.full((3,), 5.0)
    replay = record(lambda x, y: x - 2 * y, x, x)
    assert torch.equal(replay(x, y), x - 2 * y)


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("vmap", [[(0, 5)]]),
        ("loop", [[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]]),
        ("chunk:2", [[(0, 2), (2, 4), (4, 5)]]),
    ],
)
def test_where_tasks_are_cut(engine: str, expected: list[list[tuple[int, int]]]) -> None:
    assert cuts(5, Engine.parse(engine)) == expected


def test_tasks_are_shared_out_among_the_cores() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert cuts(5, Engine.parse("chunk:2+threads")) == [[(0, 2)], [(2, 4), (4, 5)]]
    finally:
        torch.set_num_threads(before)
