"""The same tasks and the same mathematics on a GPU (make test-gpu)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kshot.data.curves import Sinusoid
from kshot.data.images import Images
from kshot.data.scribbles import Scribbles
from kshot.functional import random
from kshot.methods import METHODS
from kshot.tasks import make_source
from kshot.training.prefetch import Prefetch
from support import image_tasks, outputs, small_method
from training_support import small_training

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


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
    pixels = random.integers(random.keys(0, torch.arange(200), "pictures"), 1, 28, 28, high=256).to(torch.uint8)
    letters = tuple(f"class{i}" for i in range(10))
    images = Images(pixels, torch.arange(11) * 20, letters, ("",) * 10, "noise", "train", "")
    options = {"way": 5, "shot": 1, "query": 3, "augment": augment}
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


@pytest.mark.parametrize("name", sorted(METHODS))
def test_methods_agree_with_the_processor(name: str) -> None:
    method, tasks = small_method(name), image_tasks(0)
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
