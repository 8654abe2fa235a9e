"""ProtoNet with kshot."""

from __future__ import annotations

from typing import Any

import torch

from kshot.functional.memory import keep_memory
from kshot.methods import Method, build_method
from kshot.tasks import TaskSpec

from .common import Running, device_of, meta_training
from .maml_kshot import tasks_of


def method_of(kind: dict[str, Any], start: str | None) -> Method:
    """Conv4; writes the first weights to `start`, from where the peers read them."""
    spec = TaskSpec((1, 28, 28), way=kind["way"], num_classes=None)
    size = {"filters": kind["filters"]}
    distance = kind.get("distance", "euclidean")
    method = build_method(
        "protonet", spec, backbone="conv4", backbone_options=size, seed=kind.get("seed", 0), distance=distance
    )
    if start is not None:
        torch.save([p.detach().clone().contiguous() for p in method.backbone.parameters()], start)
    return method.to(device_of(kind)).train()


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """variant: "eager" or "compiled"."""
    keep_memory()  # as kshot's trainer does
    method, tasks = method_of(kind, start), tasks_of(kind)
    method.compiled = variant == "compiled"
    running = meta_training(method, kind, lambda: float(method.meta_step(tasks)["loss"]), variant)
    running.parameters = [p for p in running.parameters if p.requires_grad]
    return running
