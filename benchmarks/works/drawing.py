"""Drawing tasks: what each library does, in a worker of its own. A step draws a batch of `tasks` tasks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import torch

from .common import Running, Steps, pictures


def kshot(kind: dict[str, Any], variant: str) -> Callable[[], object]:
    """A batch of tasks is an index operation; variant "affine" also distorts every picture."""
    from kshot.data.images import Images
    from kshot.functional.memory import keep_memory
    from kshot.tasks import make_source

    keep_memory()  # as kshot's trainer does
    found = pictures(kind["classes"], kind["each"])
    names = tuple(map(str, range(len(found))))
    offsets = torch.arange(len(found) + 1) * kind["each"]
    images = Images(found.flatten(0, 1), offsets, names, ("",) * len(found), "benchmark", "train")
    shape = {"way": kind["way"], "shot": kind["shot"], "query": kind["query"]}
    source = make_source(images, **shape, augment="affine" if variant == "affine" else None)
    first = count(step=kind["tasks"])

    def step() -> object:
        at = next(first)
        return source.batch(range(at, at + kind["tasks"]))

    return step


def easyfsl(kind: dict[str, Any], variant: str) -> Callable[[], object]:
    """Its sampler and collate function in a data loader; the pictures lie in memory as uint8."""
    from .easyfsl_parts import InMemory, loader

    data = InMemory(pictures(kind["classes"], kind["each"]))
    tasks = iter(loader(data, kind["way"], kind["shot"], kind["query"], tasks=1 << 40))
    return lambda: [next(tasks) for _ in range(kind["tasks"])]


def parallel_metalearn(kind: dict[str, Any], variant: str) -> Callable[[], object]:
    """Its data set of tasks, collated by a data loader; the pictures lie in memory as uint8."""
    import numpy as np
    from metalearn.dataset import FewShotSampler, MetaTaskDataset
    from torch.utils.data import DataLoader

    found = pictures(kind["classes"], kind["each"]).flatten(0, 1).numpy()
    labels = np.repeat(np.arange(kind["classes"]), kind["each"]).astype(str)
    sampler = FewShotSampler(found, labels, {i: str(i) for i in range(kind["classes"])})
    shots = {"support_shot": kind["shot"], "query_shot": kind["query"]}
    tasks = MetaTaskDataset(sampler, way=kind["way"], **shots, max_classes=kind["classes"])
    drawn = iter(DataLoader(tasks, batch_size=kind["tasks"], num_workers=0))
    return lambda: next(drawn)


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """Nothing is compared: every library draws its own tasks."""
    makers = {"kshot": kshot, "easyfsl": easyfsl, "parallel-metalearn": parallel_metalearn}
    return Steps(makers[library](kind, variant), note=variant)
