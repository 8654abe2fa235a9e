"""Sine curves y = A sin(x - phi), the regression tasks of MAML (Finn et al. 2017, section 5.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional import random


@dataclass(frozen=True)
class Sinusoid:
    """A distribution over sine curves; the defaults are the paper's ranges.

    Args:
        amplitude: range of A.
        phase: range of phi, in radians.
        x_range: range of the inputs.
        noise: standard deviation of the noise added to support and query targets.
    """

    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, math.pi)
    x_range: tuple[float, float] = (-5.0, 5.0)
    noise: float = 0.0
    name: str = "sinusoid"

    def parameters(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Amplitude and phase of the curve of each key, each float32 [T]."""
        u = random.uniform(key, 2)  # [T, 2]
        (a0, a1), (p0, p1) = self.amplitude, self.phase
        return a0 + (a1 - a0) * u[:, 0], p0 + (p1 - p0) * u[:, 1]

    def values(self, x: Tensor, amplitude: Tensor, phase: Tensor) -> Tensor:
        """A sin(x - phi) of inputs x [T, P, 1]: float32 [T, P, 1]."""
        return amplitude[:, None, None] * torch.sin(x - phase[:, None, None])
