"""Random distortions of pictures, batched on tensors and drawn from the task's own generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import unknown
from ..functional import random

CACHED_PIXELS = 100_000  # 128 pictures of 28 x 28: picture, positions and result take 1.6 MB


@dataclass(frozen=True)
class Augment:
    """Affine and elastic distortion and other light; the affine defaults are Koch's (2015), relative to the size.

    Each of the four affine parts is applied with probability `p`.

    Args:
        rotate: largest rotation either way, in degrees.
        shear: largest shear either way (tangent), along x.
        scale: smallest and largest scale of each axis.
        translate: largest shift either way, as a part of the picture's width.
        p: probability of each affine part.
        elastic: standard deviation of a smooth displacement field, as a part of the width; 0 for none.
        elastic_grid: the field is drawn on this many points a side and interpolated bicubically.
        flip: probability of a mirror image.
        light: largest relative change of brightness, of contrast (about the middle) and of the strength of colours.
        edge: what lies beyond the border: nothing (zeros, right for ink) or its mirror image (right for photographs).
    """

    rotate: float = 10.0
    shear: float = 0.3
    scale: tuple[float, float] = (0.8, 1.2)
    translate: float = 2 / 28
    p: float = 0.5
    elastic: float = 0.0
    elastic_grid: int = 4
    flip: float = 0.0
    light: float = 0.0
    edge: Literal["zeros", "reflection"] = "zeros"

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """Distort pictures [T, P, C, H, W] (uint8, or float 0..1), each on its own: float32 of the same shape.

        Args:
            x: the pictures.
            key: int64 [T]; picture p of task t is distorted by the p-th numbers of key t.
        """
        T, P, C, H, W = x.shape
        per_task = key.to(x.device, non_blocking=True)[:, None]
        per_picture = random.fold(per_task, torch.arange(P, device=x.device)).flatten()  # [T*P]
        pixels, matrices = x.flatten(0, 1), self.matrices(per_picture)
        points = self.elastic_grid
        bends = random.normal(random.fold(per_picture, torch.tensor(1)), 2, points, points) if self.elastic else None
        out = torch.empty(T * P, C, H, W, device=x.device)
        for part in pieces(T * P, H * W, x.device):
            grid = affine_grid(matrices[part], H, W)  # [n, 2, H, W]
            if bends is not None:
                grid = add_field(grid, 2 * self.elastic * bends[part])
            source = pixels[part].to(torch.float32)
            if x.dtype == torch.uint8:
                source = source.mul_(1 / 255)
            # A planar grid is read as it is: interleaving x and y would take longer than the sampling.
            picture = F.grid_sample(source, grid.permute(0, 2, 3, 1), padding_mode=self.edge, align_corners=False)
            out[part] = self.relit(picture, per_picture[part]) if self.light else picture
        return out.view(T, P, C, H, W)

    def relit(self, x: Tensor, key: Tensor) -> Tensor:
        """Pictures [n, C, H, W] in 0..1 in other light."""
        u = random.uniform(random.fold(key, torch.tensor(4)), 3, low=-self.light, high=self.light)  # [n, 3]
        bright, contrast, strength = (1 + u).T[:, :, None, None, None]  # each [n, 1, 1, 1]
        if x.shape[1] == 3:
            grey = 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]
            x = grey + strength * (x - grey)
        return ((x * bright - 0.5) * contrast + 0.5).clamp(0, 1)

    def matrices(self, key: Tensor) -> Tensor:
        """The affine map of each picture, from output to input coordinates in [-1, 1]: [len(key), 2, 3]."""
        u = random.uniform(key, 6, low=-1.0)  # [n, 6]
        on = (random.uniform(random.fold(key, torch.tensor(2)), 4) < self.p).float()  # [n, 4]
        angle = u[:, 0] * on[:, 0] * math.radians(self.rotate)
        shear = u[:, 1] * on[:, 1] * self.shear
        low, high = self.scale
        sx, sy = (1 + on[:, 2] * ((low + high) / 2 + u[:, i] * (high - low) / 2 - 1) for i in (2, 3))
        tx, ty = (u[:, i] * on[:, 3] * 2 * self.translate for i in (4, 5))
        if self.flip:
            sx = torch.where(random.uniform(random.fold(key, torch.tensor(3)), 1)[:, 0] < self.flip, -sx, sx)
        cos, sin = torch.cos(angle), torch.sin(angle)
        rows = [
            torch.stack([cos / sx, (shear * cos - sin) / sx, tx], -1),
            torch.stack([sin / sy, (shear * sin + cos) / sy, ty], -1),
        ]
        return torch.stack(rows, -2)  # [n, 2, 3]


def affine_grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """Sampling positions [n, 2, H, W] of affine maps [n, 2, 3]: x and y in [-1, 1] as planes of their own.

    A position is the sum of a part that depends on the column and one that depends on the row, so that a single
    addition of whole planes is left. Elementwise: no picture depends on the batch.
    """
    x = (torch.arange(width, device=matrices.device) * 2 + 1) / width - 1  # [W]
    y = (torch.arange(height, device=matrices.device) * 2 + 1) / height - 1  # [H]
    columns = matrices[:, :, :1] * x + matrices[:, :, 2:]  # [n, 2, W]
    rows = matrices[:, :, 1:2] * y  # [n, 2, H]
    return columns[:, :, None, :] + rows[:, :, :, None]


def add_field(grid: Tensor, bends: Tensor) -> Tensor:
    """Positions [n, 2, H, W] moved by smooth fields through points [n, 2, g, g], interpolated bicubically: in place.

    The interpolation is a weighted sum over the rows and then over the columns of the points, added up in a fixed
    order: matrix products would be rounded otherwise for other numbers of pictures.
    """
    H, W = grid.shape[2:]
    points = bends.shape[-1]
    down, along = (cubic_weights(points, size).to(grid.device, non_blocking=True) for size in (H, W))  # [g, H], [g, W]
    strips = bends[:, :, :, :1] * along[0]  # [n, 2, g, W]
    for j in range(1, points):
        strips += bends[:, :, :, j : j + 1] * along[j]
    for i in range(points):
        grid += strips[:, :, i : i + 1] * down[i][:, None]  # [n, 2, H, W]
    return grid


@lru_cache
def cubic_weights(points: int, size: int) -> Tensor:
    """Weights [points, size] of bicubic interpolation from points to pixels; the outermost points lie on the border."""
    one = torch.eye(points)[None, :, None]  # [1, g, 1, g]
    return F.interpolate(one, size=(1, size), mode="bicubic", align_corners=True)[0, :, 0]


def pieces(pictures: int, pixels: int, device: torch.device) -> list[slice]:
    """Pictures that are distorted together: on a processor as many as its cache holds, elsewhere all of them."""
    step = max(1, CACHED_PIXELS // pixels) if device.type == "cpu" else max(1, pictures)
    return [slice(start, start + step) for start in range(0, pictures, step)]


AUGMENTS: dict[str, Augment | None] = {
    "none": None,
    "affine": Augment(),
    "elastic": Augment(p=0.0, elastic=0.03),
    "affine-elastic": Augment(elastic=0.03),
    "jitter": Augment(rotate=11.25, shear=0.0, scale=(1.0, 1.0), translate=10 / 105, p=1.0),
    "photo": Augment(shear=0.1, translate=0.1, p=0.8, flip=0.5, light=0.3, edge="reflection"),
}


def augment_by_name(name: str | Augment | None) -> Augment | None:
    """The distortion of that name: see AUGMENTS (jitter is that of Santoro et al. 2016)."""
    if name is None or isinstance(name, Augment):
        return name
    if name not in AUGMENTS:
        raise unknown("augmentation", name, AUGMENTS)
    return AUGMENTS[name]
