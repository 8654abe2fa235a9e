"""Claims about drawing ahead: the same tasks and weights, in time, errors shown, no thread left."""

from __future__ import annotations

import threading
from dataclasses import fields
from functools import partial

import pytest
import torch

from kshot.tasks import Tasks, TaskSource
from kshot.training import distributed, loop, prefetch
from kshot.training.prefetch import Prefetch
from training_support import At, Blobs, small_method, small_training

CPU = torch.device("cpu")


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("kshot-draw")]


def equal(a: Tasks, b: Tasks) -> bool:
    return all(torch.equal(getattr(a, part.name), getattr(b, part.name)) for part in fields(a))


class Failing(Blobs):
    """Cannot draw the task `bad`."""

    bad = 20

    def draw(self, indices: torch.Tensor, way: int, shot: int) -> Tasks:
        if self.bad in indices.tolist():
            raise OSError(f"task {self.bad} is unreadable")
        return super().draw(indices, way, shot)


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(("first", "steps", "each"), [(0, 40, 4), (21, 40, 4), (0, 3, 4), (0, 7, 300)])
def test_every_step_gets_its_own_tasks(threaded: bool, first: int, steps: int, each: int) -> None:
    with Prefetch(Blobs(), tasks=each, steps=steps, device=CPU, threaded=threaded) as batches:
        for step in range(first, steps):
            wanted = Blobs().batch(range(step * each, (step + 1) * each))
            assert equal(batches.batch(step), wanted)
    assert threads() == []


def test_small_batches_are_drawn_together_large_ones_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def draws(source: Blobs, each: int) -> int:
        count = 0

        def counted(indices: list[int]) -> Tasks:
            nonlocal count
            count += 1
            return TaskSource.batch(source, indices)

        monkeypatch.setattr(source, "batch", counted)
        with Prefetch(source, tasks=each, steps=32, device=CPU) as batches:
            count = 0
            for step in range(32):
                batches.batch(step)
        return count

    assert draws(Blobs(), 4) == 2
    assert draws(Blobs(), 1000) == 32
    ranged = Blobs()
    ranged._ways = (2, 4)
    assert draws(ranged, 1) == 32


def test_the_next_batch_is_drawn_while_the_step_runs() -> None:
    drawn = threading.Event()

    class Watched(Blobs):
        def draw(self, indices: torch.Tensor, way: int, shot: int) -> Tasks:
            if 1000 in indices.tolist():
                drawn.set()
            return super().draw(indices, way, shot)

    with Prefetch(Watched(), tasks=1000, steps=5, device=CPU, threaded=True) as batches:
        batches.batch(0)
        assert drawn.wait(10)  # nobody has asked for step 1 yet


def test_each_process_draws_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "share", lambda indices: indices[1::2])
    with Prefetch(Blobs(), tasks=4, steps=40, device=CPU) as batches:
        assert [batches.batch(s).indices.tolist() for s in (0, 17)] == [[1, 3], [69, 71]]


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("lump", [0, prefetch.LUMP_BYTES])
def test_weights_are_the_same_however_tasks_are_drawn(
    threaded: bool, lump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, ahead = small_method(dropout=0.3), small_method(dropout=0.3)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "Prefetch", Plain)
        small_training(None, 50, method=plain)
    monkeypatch.setattr(prefetch, "LUMP_BYTES", lump)
    monkeypatch.setattr(loop, "Prefetch", partial(Prefetch, threaded=threaded))
    small_training(None, 50, method=ahead)
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), ahead.state_dict().values()))


class Plain(Prefetch):
    """Draws what is asked for."""

    def batch(self, step: int) -> Tasks:
        return self.source.batch(range(step * self.tasks, (step + 1) * self.tasks))


@pytest.mark.parametrize("threaded", [False, True])
def test_an_error_in_drawing_stops_the_training_with_its_message(
    threaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Prefetch", partial(Prefetch, threaded=threaded))
    monkeypatch.setattr(prefetch, "LUMP_BYTES", 0)
    steps: list[int] = []
    done = [At(s, lambda progress: steps.append(progress.step)) for s in range(1, 9)]
    with pytest.raises(OSError, match="task 20 is unreadable"):
        small_training(None, 50, source=Failing(), callbacks=done)
    assert steps == [1, 2, 3, 4, 5]  # tasks 0 to 19
    assert threads() == []


def test_whatever_ends_a_training_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "Prefetch", partial(Prefetch, threaded=True))
    seen: list[str] = []

    def interrupt(progress: object) -> None:
        seen.extend(threads())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_training(None, 50, callbacks=[At(3, interrupt)])
    assert len(seen) == 1
    assert threads() == []
    small_training(None, 50, max_minutes=1e-9)
    small_training(None, 5, source=Failing())  # of the tasks 0 to 19: what no step needs is not drawn
    assert threads() == []


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("lump", [0, prefetch.LUMP_BYTES])
def test_no_more_tasks_are_drawn_than_the_training_needs(
    threaded: bool, lump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "LUMP_BYTES", lump)
    source = Blobs()
    with Prefetch(source, tasks=2, steps=20, device=CPU, threaded=threaded) as batches:
        for step in range(20):
            batches.batch(step)
    assert sorted(set(source.drawn)) == list(range(40))
    assert len(source.drawn) == 40 + 1  # and one to see how large it is
