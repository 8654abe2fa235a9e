"""How long the parts of a step take: encoders, inner loops, the loss of prototypes (make bench)."""

from __future__ import annotations

import pytest
import torch

from kshot.backbones import build_backbone
from kshot.functional.distances import squared_euclidean
from kshot.functional.prototypes import class_means
from works.maml_kshot import method_of, tasks_of
from works.plan import WORKS

PICTURES = 100


@pytest.fixture(autouse=True)
def _one_core():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pictures(count: int) -> torch.Tensor:
    """Noise in 0..1."""
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("name", ["conv4", "conv4-strided", "resnet12"])
def test_backbone(benchmark, name: str, backward: bool) -> None:
    """A hundred pictures of 28 x 28, forward alone or with backward."""
    net, x = build_backbone(name, (1, 28, 28)).train(), pictures(PICTURES)

    def run() -> None:
        net.zero_grad()
        with torch.set_grad_enabled(backward):
            out = net(x)
        if backward:
            out.sum().backward()

    benchmark.pedantic(run, rounds=5, iterations=1, warmup_rounds=1)
    benchmark.extra_info["pictures_per_second"] = round(PICTURES / benchmark.stats.stats.median)


@pytest.mark.parametrize("work", ["maml-sine", "maml-5way-strided"])
def test_inner_loop(benchmark, work: str) -> None:
    """Adapting to the tasks of a meta-batch, without the outer gradient."""
    kind = WORKS[work].kind
    method, tasks = method_of(kind), tasks_of(kind)

    def run() -> None:
        with torch.no_grad():
            method.adapt(tasks.xs, tasks.ys, tasks.way)

    benchmark.pedantic(run, rounds=5, iterations=1, warmup_rounds=1)


def test_prototypes(benchmark) -> None:
    """Class means and distances of a 60-way 5-shot 5-query task with 64 features, forward and backward."""
    features = torch.randn(1, 600, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ys = torch.arange(60).repeat_interleave(5)[None]

    def run() -> None:
        features.grad = None
        squared_euclidean(features[:, 300:], class_means(features[:, :300], ys, 60)).sum().backward()

    benchmark.pedantic(run, rounds=20, iterations=5, warmup_rounds=2)
