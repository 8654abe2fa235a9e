"""Random distortions of pictures, batched on tensors and drawn from the task's own generator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import unknown
from ..functional import random


@dataclass(frozen=True)
class Augment:
    """Affine and elastic distortion; the affine defaults are Koch's (2015), relative to the picture's size.

    Each of the four affine parts is applied with probability `p`.

    Args:
        rotate: largest rotation either way, in degrees.
        shear: largest shear either way (tangent), along x.
        scale: smallest and largest scale of each axis.
        translate: largest shift either way, as a part of the picture's width.
        p: probability of each affine part.
        elastic: standard deviation of a smooth displacement field, as a part of the width; 0 for none.
        elastic_grid: the field is drawn on this many points a side and interpolated bicubically.
    """

    rotate: float = 10.0
    shear: float = 0.3
    scale: tuple[float, float] = (0.8, 1.2)
    translate: float = 2 / 28
    p: float = 0.5
    elastic: float = 0.0
    elastic_grid: int = 4

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """Distort pictures [T, P, C, H, W] (uint8, or float 0..1), each on its own: float32 of the same shape."""
        T, P, C, H, W = x.shape
        per_picture = random.fold(key.to(x.device)[:, None], torch.arange(P, device=x.device)).flatten()  # [T*P]
        pixels = x.flatten(0, 1).to(torch.float32)
        if x.dtype == torch.uint8:
            pixels = pixels / 255
        grid = affine_grid(self.matrices(per_picture), H, W)  # [T*P, H, W, 2]
        if self.elastic > 0:
            field = random.normal(random.fold(per_picture, torch.tensor(1)), 2, self.elastic_grid, self.elastic_grid)
            field = F.interpolate(field, size=(H, W), mode="bicubic", align_corners=True)  # [T*P, 2, H, W]
            grid = grid + 2 * self.elastic * field.permute(0, 2, 3, 1)
        return F.grid_sample(pixels, grid, align_corners=False).view(T, P, C, H, W)

    def matrices(self, key: Tensor) -> Tensor:
        """The affine map of each picture, from output to input coordinates in [-1, 1]: [len(key), 2, 3]."""
        u = random.uniform(key, 6, low=-1.0)  # [n, 6]
        on = (random.uniform(random.fold(key, torch.tensor(2)), 4) < self.p).float()  # [n, 4]
        angle = u[:, 0] * on[:, 0] * math.radians(self.rotate)
        shear = u[:, 1] * on[:, 1] * self.shear
        low, high = self.scale
        sx, sy = (1 + on[:, 2] * ((low + high) / 2 + u[:, i] * (high - low) / 2 - 1) for i in (2, 3))
        tx, ty = (u[:, i] * on[:, 3] * 2 * self.translate for i in (4, 5))
        cos, sin = torch.cos(angle), torch.sin(angle)
        rows = [
            torch.stack([cos / sx, (shear * cos - sin) / sx, tx], -1),
            torch.stack([sin / sy, (shear * sin + cos) / sy, ty], -1),
        ]
        return torch.stack(rows, -2)  # [n, 2, 3]


def affine_grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """Sampling positions [n, H, W, 2] of affine maps [n, 2, 3], elementwise so that they do not depend on the batch."""
    x = (torch.arange(width, device=matrices.device) * 2 + 1) / width - 1  # [W]
    y = ((torch.arange(height, device=matrices.device) * 2 + 1) / height - 1)[:, None]  # [H, 1]
    m = matrices[:, :, :, None, None]  # [n, 2, 3, 1, 1]
    return torch.stack([m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] for i in (0, 1)], -1)


AUGMENTS: dict[str, Augment | None] = {
    "none": None,
    "affine": Augment(),
    "elastic": Augment(p=0.0, elastic=0.03),
    "affine-elastic": Augment(elastic=0.03),
}


def augment_by_name(name: str | Augment | None) -> Augment | None:
    """The distortion of that name: none, affine, elastic, affine-elastic."""
    if name is None or isinstance(name, Augment):
        return name
    if name not in AUGMENTS:
        raise unknown("augmentation", name, AUGMENTS)
    return AUGMENTS[name]
