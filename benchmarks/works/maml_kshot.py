"""MAML with kshot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from kshot.functional.memory import keep_memory
from kshot.methods import MAML, build_method
from kshot.tasks import Tasks, TaskSpec
from kshot.training.optimisers import build_optimizer

from .common import SINE, Running, device_of, dtype_of, meta_training, raw_batch


def tasks_of(kind: dict[str, Any]) -> Tasks:
    """The tasks of a work as kshot draws them: pictures are uint8."""
    xs, ys, xq, yq = raw_batch(kind)
    if kind["data"] == SINE:
        xs, ys, xq, yq = (t.to(dtype_of(kind)) for t in (xs, ys, xq, yq))
    T, way = len(xs), 0 if kind["data"] == SINE else kind["way"]
    tasks = Tasks(xs, ys, xq, yq, torch.arange(T * way).view(T, way), torch.arange(T))
    return tasks.to(device_of(kind))


def method_of(kind: dict[str, Any], **options: Any) -> MAML:
    """MAML whose inner steps change every parameter, as those of the peers do."""
    chosen = {"inner_steps": kind["steps"], "inner_lr": kind["alpha"], "adapt_norm": True, **options}
    if kind["data"] == SINE:
        spec = TaskSpec((1,), way=0, num_classes=0, output_dim=1)
        method = build_method("maml", spec, backbone="mlp", **chosen)
        return method.to(device_of(kind), dtype_of(kind)).train()
    spec = TaskSpec((1, 28, 28), way=kind["way"], num_classes=None)
    backbone, size = "conv4-strided" if kind["strided"] else "conv4", {"filters": kind["filters"]}
    method = build_method("maml", spec, backbone=backbone, backbone_options=size, **chosen)
    return method.to(device_of(kind), dtype_of(kind)).train()


def chosen(kind: dict[str, Any], threads: int) -> str:
    """The engine that kshot chooses, which it remembers."""
    torch.set_num_threads(threads)
    method = method_of(kind)
    method.tune(tasks_of(kind))
    return method.engine


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """variant: "eager" or "compiled", with "+ENGINE" for another engine than kshot chooses itself.

    Writes the first weights to `start`, from where the peers read them.
    """
    keep_memory()  # as kshot's trainer does
    form, _, engine = variant.partition("+")
    if not engine:  # measured by another process, so that the memory of the trials is not this one's
        code = f"from works.maml_kshot import chosen; chosen({kind!r}, {torch.get_num_threads()})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
    method = method_of(kind, **({"engine": engine} if engine else {}))
    if start is not None:
        torch.save([p.detach().cpu().contiguous() for p in method.parameters()], start)
    tasks = tasks_of(kind)
    method.compiled = form == "compiled"
    method.tune(tasks)
    method.record_now()  # as after the first seconds of a training
    optimizer = build_optimizer("adam", list(method.parameters()), lr=kind["lr"])
    note = f"{form}, {method.engine}"
    return meta_training(method, kind, lambda: float(method.meta_step(tasks)["loss"]), note, optimizer)
