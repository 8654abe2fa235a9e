"""The same tasks and the same mathematics on a GPU (make test-gpu)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kshot.data.curves import Sinusoid
from kshot.data.images import Images
from kshot.data.scribbles import Scribbles
from kshot.functional import random
from kshot.functional.scan import Scan
from kshot.methods import METHODS
from kshot.methods.base import Method
from kshot.methods.gradient import GradientMethod
from kshot.tasks import Tasks, make_source
from kshot.training import loop, train
from kshot.training.prefetch import Prefetch
from support import SHAPE, WAY, image_tasks, outputs, small_method, tasks_for
from test_scan import arguments, lstm, memory, same, values_and_gradients
from training_support import At, small_training

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
GRADIENT = sorted(n for n, m in METHODS.items() if issubclass(m, GradientMethod))
compiler = pytest.mark.skipif(not any(map(shutil.which, ("gcc", "cc", "clang"))), reason="needs a C compiler")
compiles = pytest.mark.filterwarnings("ignore")  # torch's compiler warns of what it uses, and of GPUs' precisions


def pictures(size: int) -> Images:
    """Noise: ten letters of twenty pictures."""
    pixels = random.integers(random.keys(0, torch.arange(200), "pictures"), 1, size, size, high=256).to(torch.uint8)
    letters = tuple(f"class{i}" for i in range(10))
    return Images(pixels, torch.arange(11) * 20, letters, ("",) * 10, "noise", "train", "")


def test_random_numbers_are_the_same_on_the_device() -> None:
    key = random.keys(3, torch.arange(50), "test")
    assert torch.equal(random.bits(key, 9), random.bits(key.cuda(), 9).cpu())
    torch.testing.assert_close(random.normal(key, 9), random.normal(key.cuda(), 9).cpu())


def test_scribbles_are_drawn_on_the_device() -> None:
    here, there = (make_source(Scribbles(), way=5, shot=1, query=2, device=d).batch(range(4)) for d in ("cpu", "cuda"))
    assert there.xs.is_cuda
    assert torch.equal(here.yq, there.yq.cpu())
    assert (here.xq.int() - there.xq.cpu().int()).abs().max() <= 2


@pytest.mark.parametrize("augment", [None, "affine", "affine-elastic"])
def test_pictures_are_drawn_where_they_lie_without_waiting(augment: str | None) -> None:
    images, options = pictures(28), {"way": 5, "shot": 1, "query": 3, "augment": augment}
    here, there = make_source(images, **options), make_source(images, device="cuda", **options)
    there.batch(range(4))  # tables are made
    torch.cuda.set_sync_debug_mode("error")
    try:
        drawn = there.batch(range(4))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    wanted = here.batch(range(4))
    assert drawn.xs.is_cuda
    assert torch.equal(drawn.yq.cpu(), wanted.yq)
    torch.testing.assert_close(drawn.xq.cpu(), wanted.xq, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", sorted(n for n, m in METHODS.items() if "classes" in m.about.targets))
def test_methods_agree_with_the_processor(name: str) -> None:
    method, tasks = small_method(name), tasks_for(name)
    here = outputs(method, tasks)
    there = outputs(method.cuda(), tasks.to("cuda")).cpu()
    torch.testing.assert_close(here, there, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("data", [Scribbles(), Sinusoid()])
def test_tasks_drawn_ahead_are_the_same(data: Scribbles | Sinusoid) -> None:
    source = make_source(data, way=5, shot=1, query=2, device="cuda")
    with Prefetch(source, tasks=2, steps=20, device=torch.device("cuda")) as batches:
        for step in range(20):
            ahead = batches.batch(step)
            wanted = source.batch([2 * step, 2 * step + 1]).to("cuda")
            assert torch.equal(ahead.xs, wanted.xs)
            assert torch.equal(ahead.yq, wanted.yq)


def test_a_training_on_the_device_resumes(tmp_path: Path) -> None:
    """Also the step count of a fused optimiser lies where it belongs."""
    small_training(tmp_path, 20, device="cuda", max_minutes=1e-9)
    assert small_training(tmp_path, 20, device="cuda", resume=True).step == 20


def stepped(method: Method, tasks: Tasks) -> list[Tensor]:
    """The loss of a meta-step and the gradients that it leaves, on the processor."""
    method.zero_grad()
    loss = method.meta_step(tasks)["loss"]
    return [t.detach().cpu().clone() for t in (loss, *(p.grad for p in method.parameters() if p.grad is not None))]


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize("engine", ["loop", "vmap", "chunk:2", "loop+recompute", "vmap+recompute", "chunk:2+recompute"])
def test_engines_agree_on_the_device(name: str, engine: str) -> None:
    tasks = image_tasks(0, T=5)
    here = stepped(small_method(name, engine="loop").train(), tasks)
    there = stepped(small_method(name, engine=engine).train().cuda(), tasks.to("cuda"))
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


@compiler
@compiles
@pytest.mark.parametrize(
    ("name", "options"),
    [("maml", {"engine": "vmap"}), ("maml", {"engine": "chunk:2"}), ("protonet", {})],
)
def test_compiled_steps_agree_on_the_device(name: str, options: dict[str, str]) -> None:
    """Also what an earlier step measured stays as it was."""
    first, second = image_tasks(0, T=4).to("cuda"), image_tasks(1, T=4).to("cuda")
    known, method = (small_method(name, **options).train().cuda() for _ in range(2))
    method.compiled = True
    for _ in range(3):
        for a, b in zip(stepped(method, first), stepped(known, first), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    kept = method.meta_step(first)
    method.zero_grad()
    method.meta_step(second)
    torch.testing.assert_close(kept["loss"], stepped(known, first)[0].cuda(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["maml", "protonet"])
def test_half_precision_is_near(name: str) -> None:
    tasks = image_tasks(0, T=4).to("cuda")
    exact = stepped(small_method(name).float().train().cuda(), tasks)
    with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
        found = stepped(small_method(name).float().train().cuda(), tasks)
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in found)
    torch.testing.assert_close(found[0], exact[0], rtol=0.05, atol=0.02)
    assert not torch.equal(found[0], exact[0])


@pytest.fixture
def quiet() -> Iterator[Callable[..., None]]:
    """Whatever waits for the device is an error while this is on; off again afterwards."""
    yield lambda on, *_: torch.cuda.set_sync_debug_mode("error" if on else "default")
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "options"), [("maml", {"engine": "vmap"}), ("protonet", {})])
def test_steps_between_logs_never_wait(
    name: str, options: dict[str, str], precision: str, quiet: Callable[..., None]
) -> None:
    """Steps, tasks drawn ahead, the optimiser's step and the clipping."""
    source = make_source(pictures(SHAPE[1]), way=WAY, shot=1, query=2, device="cuda")
    method = small_method(name, **options).float()
    watch = [At(60, partial(quiet, True)), At(90, partial(quiet, False))]
    settings: dict[str, Any] = {"steps": 100, "tasks": 4, "log_every": 50, "clip_norm": 1.0, "device": "cuda"}
    train(method, source, callbacks=watch, precision=precision, progress=False, **settings)


def test_the_guard_against_waiting_works(quiet: Callable[..., None]) -> None:
    x = torch.ones(2, device="cuda")
    quiet(True)
    with pytest.raises(RuntimeError, match="synchroniz"):
        x.sum().item()


def test_drawing_ahead_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights as when every step draws its own tasks, up to the order of sums on the device."""
    ahead = small_training(None, 40, device="cuda").method
    monkeypatch.setattr(loop, "Prefetch", partial(Prefetch, threaded=False))
    alone = small_training(None, 40, device="cuda").method
    for a, b in zip(ahead.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def on_device(args: Any) -> Any:
    """The arguments of a loop over time, on the GPU."""
    return torch.utils._pytree.tree_map(lambda x: x.cuda(), args)


@pytest.mark.parametrize("step", [lstm, memory])
def test_graphed_loops_are_the_plain_loop(step: Callable[..., Any]) -> None:
    """Recorded once for each shape, with gradients and without; results of one launch outlive the next."""
    graphed, plain = Scan(step, way="graphed"), Scan(step)
    for steps, state_too in ((7, True), (7, True), (4, False)):
        args = on_device(arguments(step, steps))
        expected = values_and_gradients(plain, args, state_too)
        same(values_and_gradients(graphed, args, state_too), expected, rtol=1e-9)
    state, xs, params = on_device(arguments(step))
    with torch.no_grad():
        first, expected_first = graphed(state, xs, params)[1], plain(state, xs, params)[1]
        graphed(state, torch.utils._pytree.tree_map(torch.zeros_like, xs), params)
    same([first], [expected_first], rtol=1e-9)


def test_gradients_of_graphed_loops_add_up() -> None:
    state, xs, params = on_device(arguments(memory))
    leaves = {n: p.requires_grad_() for n, p in params.items()}
    graphed = Scan(memory, way="graphed")
    for run in (graphed, graphed, Scan(memory), graphed):
        run(state, xs, leaves)[1].sum().backward()
    once = torch.autograd.grad(Scan(memory)(state, xs, leaves)[1].sum(), list(leaves.values()))
    same([p.grad for p in leaves.values()], [4 * g for g in once], rtol=1e-9)


@compiler
@compiles
@pytest.mark.parametrize("step", [lstm, memory])
@pytest.mark.parametrize("remat", [0, "sqrt"])
def test_compiled_loops_are_the_plain_loop_on_the_device(step: Callable[..., Any], remat: Any) -> None:
    args = on_device(arguments(step))
    found = values_and_gradients(Scan(step, way="compiled", remat=remat), args)
    same(found, values_and_gradients(Scan(step), args), rtol=1e-9)
