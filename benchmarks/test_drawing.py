"""How many tasks a second one core draws (make bench)."""

from __future__ import annotations

import pytest
import torch

from kshot.data.images import Images
from kshot.data.scribbles import Scribbles
from kshot.tasks import make_source

BATCH = 32


@pytest.fixture(autouse=True)
def _one_core():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def omniglot_like(classes: int = 4400, each: int = 20) -> Images:
    """As many pictures of the same size as Omniglot's training characters with their rotations."""
    pixels = torch.arange(classes * each * 784).to(torch.uint8).view(-1, 1, 28, 28)
    names = tuple(map(str, range(classes)))
    return Images(pixels, torch.arange(classes + 1) * each, names, ("",) * classes, "benchmark", "train", "")


@pytest.mark.parametrize("augment", [None, "affine"])
def test_tasks_a_second(benchmark, augment: str | None) -> None:
    """5-way 1-shot, 15 queries a class, batches of 32: at least 20,000 a second plain, 2,000 distorted."""
    source = make_source(omniglot_like(), way=5, shot=1, query=15, augment=augment)
    source.batch(range(BATCH))
    drawn = iter(range(0, 1 << 40, BATCH))

    def draw() -> None:
        first = next(drawn)
        source.batch(range(first, first + BATCH))

    benchmark.pedantic(draw, rounds=60, iterations=5, warmup_rounds=5)
    benchmark.extra_info["tasks_per_second"] = round(BATCH / benchmark.stats.stats.median)


def test_scribbles(benchmark) -> None:
    """One 60-way task of 6 drawings a class, as a training step uses it."""
    source = make_source(Scribbles(), way=60, shot=1, query=5)
    drawn = iter(range(1 << 40))
    benchmark.pedantic(lambda: source[next(drawn)], rounds=20, iterations=1, warmup_rounds=2)
    benchmark.extra_info["pictures_per_second"] = round(360 / benchmark.stats.stats.median)
