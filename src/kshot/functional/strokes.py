"""Pen strokes: Catmull-Rom splines through control points, and their anti-aliased ink.

Every value is made by element-wise operations and minima in a fixed order, so that the pixels of a drawing do not
depend, to the last bit, on what else is in the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def spline_basis(controls: int, samples: int, device: torch.device | None = None) -> Tensor:
    """Weights [samples, controls] that turn control points into samples of the uniform Catmull-Rom spline through them.

    The curve begins at the first control point and ends at the last one; beyond its ends the control polygon is
    continued by reflection (p_{-1} = 2 p_0 - p_1). Catmull & Rom, "A class of local interpolating splines", 1974.
    """
    t = torch.linspace(0, controls - 1, samples, dtype=torch.float64)
    i = t.floor().clamp(max=controls - 2)
    f = (t - i)[:, None]  # [samples, 1]
    weights = [-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, -(f**2) + f**3]
    padded = torch.zeros(samples, controls + 2, dtype=torch.float64)
    for k, w in enumerate(weights):
        padded.scatter_add_(1, i.long()[:, None] + k, w / 2)
    basis = padded[:, 1:-1].clone()
    for end, inner, pad in ((0, 1, 0), (-1, -2, -1)):
        basis[:, end] += 2 * padded[:, pad]
        basis[:, inner] -= padded[:, pad]
    return basis.to(torch.float32).to(device)


def spline(control: Tensor, samples: int) -> Tensor:
    """Points [..., samples, 2] on the splines through the control points [..., C, 2]."""
    basis = spline_basis(control.shape[-2], samples, control.device)
    parts = [basis[:, c, None] * control[..., c, None, :] for c in range(control.shape[-2])]  # C x [..., samples, 2]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def ink(points: Tensor, present: Tensor, radius: Tensor, size: int) -> Tensor:
    """Pictures of polylines drawn with a round pen: float32 [N, size, size], 0 is paper and 1 is full ink.

    Each pixel takes the share of its box that a line of the given radius covers when it passes at the distance of the
    nearest segment: clamp(min(r + 1/2 - d, 2 r, 1), 0), a box filter, under which a line thinner than a pixel is grey.
    Only the pixels within a small window around each segment are touched, which is exact for segments no longer
    than two pixels; the canvas keeps the minimum of the squared distances.

    Args:
        points: [N, M, P, 2], x and y in pixels (pixel i spans [i, i + 1)) of M strokes of P points.
        present: bool [N, M], which strokes exist.
        radius: [N], pen radius in pixels.
        size: pixels a side.
    """
    number = len(points)
    a, b = points[:, :, :-1], points[:, :, 1:]  # [N, M, P-1, 2]
    chosen = present[:, :, None].expand(a.shape[:3])
    which = chosen.nonzero()[:, 0]  # [G] the picture of each segment that exists
    a, b = a[chosen], b[chosen]  # [G, 2]
    reach = 2 + max(0, math.ceil(size / 28 * 0.75 - 0.75))
    offsets = torch.arange(-reach, reach + 1, device=points.device)
    corner = ((a + b) / 2).floor().long()  # [G, 2] the pixel under the middle
    column = corner[:, 0, None] + offsets  # [G, w]
    row = corner[:, 1, None] + offsets
    ax, ay = a[:, 0, None], a[:, 1, None]  # [G, 1]
    dx, dy = b[:, 0, None] - ax, b[:, 1, None] - ay
    inverse = 1 / (dx * dx + dy * dy).clamp(min=1e-8)
    px = column.to(torch.float32) + 0.5 - ax  # [G, w] from the start of the segment to the pixel's centre
    py = row.to(torch.float32) + 0.5 - ay
    along = (px * (dx * inverse))[:, None, :] + (py * (dy * inverse))[:, :, None]  # [G, w, w]
    along = along.clamp_(0, 1)
    ex = px[:, None, :] - along * dx[:, :, None]
    ey = py[:, :, None] - along * dy[:, :, None]
    square = ex * ex + ey * ey  # [G, w, w]
    # A margin of 'reach' pixels takes what falls outside the frame.
    wide = size + 2 * reach
    column = (column + reach).clamp_(0, wide - 1)
    row = (row + reach).clamp_(0, wide - 1)
    index = (which * wide)[:, None, None] * wide + row[:, :, None] * wide + column[:, None, :]
    canvas = points.new_full((number * wide * wide,), 1e6)
    canvas.scatter_reduce_(0, index.flatten(), square.flatten(), "amin")
    distance = canvas.view(number, wide, wide)[:, reach:-reach, reach:-reach].sqrt()  # [N, size, size]
    r = radius[:, None, None]
    return torch.minimum(r + 0.5 - distance, (2 * r).clamp(max=1)).clamp_(min=0)
