"""Hand-like distortion of pictures: size, slant, place, smooth bending and the thickness of the pen.

Each picture has its own key and is distorted on its own, by element-wise formulas, so that its pixels do not depend on
the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import random

NUMBERS = 6 + 2 * 7  # standard normal numbers that a distortion takes


@dataclass(frozen=True)
class Hand:
    """How much a hand varies; every entry is a standard deviation.

    Args:
        rotate: angle, in radians.
        shear: slant (the tangent of its angle).
        size: logarithm of the size of the whole.
        aspect: logarithm of width over height.
        shift: place of the middle, as a part of the side of the picture.
        bend: coefficients of the quadratic and cubic terms of a smooth map of the square [-1, 1]^2.
        pen: pixels of the source that a line gains on either side (loses where negative); uniform, at most twice that.
    """

    rotate: float = 0.12
    shear: float = 0.2
    size: float = 0.18
    aspect: float = 0.16
    shift: float = 0.055
    bend: float = 0.06
    pen: float = 0.4


def distort(pictures: Tensor, which: Tensor, key: Tensor, scale: Tensor, *, size: int, hand: Hand) -> Tensor:
    """Distorted pictures: float32 [n, size, size] in 0..1.

    Args:
        pictures: uint8 [m, H, H], what is drawn in the middle; 255 is ink.
        which: int64 [n], the picture that each of the n is made of.
        key: int64 [n].
        scale: [n], how large the source is drawn; 1 fills the result with it.
        size: side of the result in pixels.
        hand: how much to distort.
    """
    pen = random.uniform(random.fold(key, torch.ones_like(key)), 1, low=-2 * hand.pen, high=2 * hand.pen)[..., None]
    plain = pictures[which].float()  # [n, H, H]
    other = torch.stack([thinnest(pictures), thickest(pictures)])[(pen[:, 0, 0] > 0).long(), which].float()
    source = plain + pen.abs() * (other - plain)  # [n, H, H]
    grid = hand_map(random.normal(key, NUMBERS), scale, size, hand)
    return F.grid_sample(source[:, None], grid, align_corners=False)[:, 0].clamp(0, 255) / 255


def thickest(pictures: Tensor) -> Tensor:
    """Every pixel takes the most of itself and its eight neighbours: uint8 [m, H, W]."""
    for dim in (1, 2):
        padded = F.pad(pictures, (1, 1) if dim == 2 else (0, 0, 1, 1))  # [m, H + 2, W] or [m, H, W + 2]
        n = pictures.shape[dim]
        parts = [padded.narrow(dim, k, n) for k in range(3)]
        pictures = torch.maximum(torch.maximum(parts[0], parts[1]), parts[2])
    return pictures


def thinnest(pictures: Tensor) -> Tensor:
    """Every pixel takes the least of itself and its eight neighbours: uint8 [m, H, W]."""
    return 255 - thickest(255 - pictures)


def hand_map(z: Tensor, scale: Tensor, size: int, hand: Hand) -> Tensor:
    """Where each pixel of the result comes from, in the coordinates of `grid_sample`: [n, size, size, 2].

    Args:
        z: standard normal numbers [n, NUMBERS]: rotation, shear, size, aspect, shift of x and y, then for x and for y
            one coefficient for each of the seven quadratic and cubic terms.
        scale: see `distort`.
    """
    at = (torch.arange(size, device=z.device) * 2 + 1) / size - 1  # [size]
    z = z[:, :, None, None]
    rotate, shear, grow, aspect, shift_x, shift_y = z[:, :6].unbind(1)  # each [n, 1, 1]
    x = at[None, None, :] - 2 * hand.shift * shift_x  # [n, 1, size]
    y = at[None, :, None] - 2 * hand.shift * shift_y  # [n, size, 1]
    angle = (hand.rotate * rotate).to(torch.float64)
    cos, sin = angle.cos().float(), angle.sin().float()
    x, y = cos * x + sin * y, cos * y - sin * x  # [n, size, size]
    x = x + hand.shear * shear * y
    whole = (hand.size * grow).to(torch.float64)
    ratio = (hand.aspect * aspect / 2).to(torch.float64)
    x = x * (whole + ratio).neg().exp().float()
    y = y * (whole - ratio).neg().exp().float()
    terms = [x * x, x * y, y * y, x * x * x, x * x * y, x * y * y, y * y * y]
    for i, term in enumerate(terms):
        x, y = x + hand.bend * z[:, 6 + i] * term, y + hand.bend * z[:, 13 + i] * term
    return torch.stack([x, y], -1) / scale[:, None, None, None]
