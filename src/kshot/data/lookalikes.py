"""Characters that look alike: the same shape under two code points, or the same but for size and place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FRAME = 24  # side of the frame in which shapes are compared; the longer side of the ink is 22
ALIKE = 0.05
"""Letters nearer than this are taken for the same.

From sheets of pairs sorted by distance: below 0.03 nearly all pairs are one shape (Latin and Cyrillic K, Greek Delta
and a small capital, v and its hooked form); from 0.03 to 0.05 most are shapes that a quick hand does not tell apart
(E and Epsilon, S and a round five, J with and without a dot); above 0.05 most differ by something one would draw (a
dot inside O, a tail on P, a bar).
"""


def fit(pictures: Tensor, sides: Tensor) -> Tensor:
    """Ink fitted to the frame, width and height alike: bool [n, FRAME, FRAME].

    Args:
        pictures: uint8 [n, H, H], ink in the middle.
        sides: int64 [n, 2], width and height of the ink in pixels.
    """
    scale = sides.amax(1) / pictures.shape[-1] * (FRAME / (FRAME - 2))  # [n]
    at = (torch.arange(2 * FRAME) * 2 + 1) / (2 * FRAME) - 1
    grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1) * scale[:, None, None, None].float()
    ink = F.grid_sample(pictures[:, None].float() / 255, grid, align_corners=False)
    return F.avg_pool2d(ink, 2)[:, 0] > 0.5  # [n, FRAME, FRAME]


def distances(shapes: Tensor) -> Tensor:
    """How unlike shapes bool [n, FRAME, FRAME] are: float32 [n, n], 0 for alike, 1 for nothing in common.

    The part of one's ink that lies more than a pixel from any ink of the other, the larger of the two directions: a
    Hausdorff distance made robust and blind to the thickness of the pen.
    """
    ink = shapes.flatten(1).float()
    near = F.max_pool2d(shapes[:, None].float(), 3, 1, 1).flatten(1)
    off = ink @ (1 - near).T / ink.sum(1, keepdim=True).clamp(min=1)  # whole numbers below 2^24: exact in any order
    return torch.maximum(off, off.T)


def first_of_each(distance: Tensor, threshold: float = ALIKE) -> list[int]:
    """The items, in order, that are not nearer than the threshold to one that was kept before."""
    alike = distance < threshold
    kept: list[int] = []
    gone = torch.zeros(len(distance), dtype=torch.bool)
    for i in range(len(distance)):
        if not gone[i]:
            kept.append(i)
            gone |= alike[i]
    return kept
