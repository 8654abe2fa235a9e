"""ProtoNet with easyfsl: one task at a time, support and query encoded one after the other, as its tutorials do."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from .common import Running, batch_of, conv4, device_of, load_start, meta_training
from .easyfsl_parts import PrototypicalNetworks, compute_prototypes


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """Its softmax is over plain distances, and its batch norm sees support and query apart.

    What is compared with kshot is therefore the loss as the paper has it (squared distances, one pass), computed with
    easyfsl's parts; what is timed is easyfsl's own step.
    """
    backbone = conv4(kind["filters"], strided=False, running=True)
    if start is not None:
        load_start(backbone, start)
    model, tasks = PrototypicalNetworks(backbone).to(device_of(kind)).train(), batch_of(kind)

    def as_published() -> float:
        xs, ys, xq, yq = (t[0] for t in (tasks.xs, tasks.ys, tasks.xq, tasks.yq))
        features = model.compute_features(torch.cat([xs, xq]))
        prototypes = compute_prototypes(features[: len(xs)], ys)
        squared = (features[len(xs) :, None] - prototypes).square().sum(-1)
        loss = F.cross_entropy(-squared, yq)
        loss.backward()
        return loss.item()

    def gradient() -> float:
        total = 0.0
        for xs, ys, xq, yq in tasks:
            model.process_support_set(xs, ys)
            loss = F.cross_entropy(model(xq), yq) / len(tasks)
            loss.backward()
            total += loss.item()
        return total

    running = meta_training(backbone, kind, gradient)
    running.check = as_published
    return running
