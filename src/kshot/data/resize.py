"""Shrinking pictures by exact area averages, to the same bits on every machine."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from ..errors import UserError

CHUNK = 1 << 24  # values converted to floating point at a time


def check_size(size: int | None) -> None:
    """Raise for a side that is no number of pixels (None stands for a default)."""
    if size is not None and size < 1:
        raise UserError(f"size must be a number of pixels of at least 1; got {size}")


@functools.lru_cache(maxsize=64)
def overlaps(length: int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """How much of each input cell lies in each output cell, in whole units: [size, length].

    `length` input cells and `size` output cells cover the same line. With u = lcm(length, size) units in all, every
    overlap is a whole number of units, each row sums to u / size, each column to u / length.
    """
    u = math.lcm(length, size)
    cell, out = u // length, u // size
    i = torch.arange(length) * cell  # [length]
    o = torch.arange(size)[:, None] * out  # [size, 1]
    return (torch.minimum(i + cell, o + out) - torch.maximum(i, o)).clamp(min=0).to(dtype)


def area_resize(pixels: Tensor, height: int, width: int) -> Tensor:
    """Pictures in another size; every new pixel is the mean of the area it covers, bytes rounded half up.

    The sums of bytes are whole numbers small enough to be exact in floating point, so the order of summation, and with
    it the machine and the number of threads, does not matter.

    Args:
        pixels: uint8 or floating point [M, C, H, W].
        height, width: the new size in pixels.

    Returns:
        [M, C, height, width] of the same type.
    """
    M, C, H, W = pixels.shape
    if (height, width) == (H, W):
        return pixels
    area = (math.lcm(H, height) // height) * (math.lcm(W, width) // width)
    if pixels.is_floating_point():
        scaled = [overlaps(n, m, pixels.dtype).to(pixels.device) for n, m in ((H, height), (W, width))]
        return scaled[0] @ pixels @ scaled[1].T / area
    dtype = torch.float32 if 255 * area < 1 << 24 else torch.float64
    rows, columns = overlaps(H, height, dtype), overlaps(W, width, dtype).T.contiguous()
    out = torch.empty(M, C, height, width, dtype=torch.uint8)
    step = max(1, CHUNK // (C * H * W))
    for start in range(0, M, step):
        x = pixels[start : start + step].cpu().to(dtype)  # [m, C, H, W]
        m = len(x)
        x = (x.reshape(-1, W) @ columns).view(m, C, H, width)  # [m, C, H, width]
        total = (rows @ x).long()  # [m, C, height, width]
        out[start : start + m] = ((2 * total + area) // (2 * area)).to(torch.uint8)
    return out.to(pixels.device)
