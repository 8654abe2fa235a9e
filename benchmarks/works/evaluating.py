"""Evaluating ProtoNet on many tasks; a step evaluates `episodes` tasks with the library's own function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .common import Running, Steps, conv4, load_start, picture_batch, pictures


def one_task(kind: dict[str, Any]) -> tuple[Tensor, ...]:
    """One task that both libraries classify first, so that their distances can be compared."""
    return picture_batch(1, kind["way"], kind["shot"], kind["query"], seed=7)


def kshot(kind: dict[str, Any], start: str | None) -> Running:
    """kshot.evaluation.evaluate."""
    from kshot.data.images import Images
    from kshot.evaluation import evaluate
    from kshot.tasks import make_source

    from .protonet_kshot import method_of

    method = method_of(kind, start).eval()
    found = pictures(kind["classes"], kind["each"])
    names, offsets = tuple(map(str, range(len(found)))), torch.arange(len(found) + 1) * kind["each"]
    images = Images(found.flatten(0, 1), offsets, names, ("",) * len(found), "benchmark", "test")
    source = make_source(images, way=kind["way"], shot=kind["shot"], query=kind["query"])
    xs, ys, xq, _ = one_task(kind)
    with torch.no_grad():
        logits = method.predict(method.adapt(xs, ys, kind["way"]), xq)
    distance = float((-logits).clamp(min=0).sqrt().mean())
    return Steps(lambda: evaluate(method, source, episodes=kind["episodes"], progress=False), check=lambda: distance)


def easyfsl(kind: dict[str, Any], start: str | None) -> Running:
    """easyfsl.utils.evaluate; the pictures lie in memory, already as floats."""
    from .easyfsl_parts import InMemory, PrototypicalNetworks, evaluate, loader

    backbone = conv4(kind["filters"], strided=False, running=True)
    if start is not None:
        load_start(backbone, start)
    model = PrototypicalNetworks(backbone).eval()
    data = InMemory(pictures(kind["classes"], kind["each"]).float() / 255)
    xs, ys, xq, _ = (t[0] for t in one_task(kind))
    with torch.no_grad():
        model.process_support_set(xs.float() / 255, ys)
        distance = float(-model(xq.float() / 255).mean())

    def step() -> float:
        tasks = loader(data, kind["way"], kind["shot"], kind["query"], tasks=kind["episodes"])
        return evaluate(model, tasks, device="cpu", use_tqdm=False)

    return Steps(step, check=lambda: distance)


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """What is compared is the mean distance of a shared task's queries to its prototypes."""
    return {"kshot": kshot, "easyfsl": easyfsl}[library](kind, start)
