"""MAML with kshot in mixed precision: the network computes in bfloat16; weights, losses, gradients are float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from . import maml_kshot
from .common import Running, device_of


def build(kind: dict[str, Any], library: str, variant: str, start: str | None) -> Running:
    """As maml_kshot, in the precision that `kshot train --precision bfloat16` computes in."""
    exact = maml_kshot.build(kind, library, variant, start)

    def step() -> object:
        with torch.autocast(device_of(kind), torch.bfloat16, cache_enabled=False):
            return exact.step()

    return replace(exact, step=step, note=f"{exact.note}, bfloat16")
