"""Pen strokes: polygons, Catmull-Rom splines and turning pens, and their anti-aliased ink.

Every value is made by element-wise operations and minima in a fixed order, so that the pixels of a drawing do not
depend, to the last bit, on what else is in the batch.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

CONTROLS = 7  # control points of a stroke
REACH = 2.5 / 28


@lru_cache
def spline_basis(nodes: int, samples: int, closed: bool = False) -> Tensor:
    """Weights [samples, nodes] that turn nodes into samples of the uniform Catmull-Rom spline through them.

    An open curve begins at the first node and ends at the last one; beyond its ends the polygon of the nodes is
    continued by reflection (p_{-1} = 2 p_0 - p_1). A closed one returns to the first node. Catmull & Rom, "A class of
    local interpolating splines", 1974.
    """
    spans = nodes if closed else nodes - 1
    t = torch.linspace(0, spans, samples, dtype=torch.float64)
    i = t.floor().clamp(max=spans - 1)
    f = t - i  # [samples]
    cubic = (-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, -(f**2) + f**3)
    basis = torch.zeros(samples, nodes, dtype=torch.float64)
    for k, weight in enumerate(cubic, start=-1):
        node = i.long() + k  # [samples]
        for end, inner, beyond in ((0, 1, node < 0), (nodes - 1, nodes - 2, node >= nodes)):
            if not closed:
                basis[:, end] += torch.where(beyond, weight, 0)  # weight * (2 p_end - p_inner)
                basis[:, inner] -= torch.where(beyond, weight / 2, 0)
        inside = (node >= 0) & (node < nodes) | closed
        basis.scatter_add_(1, (node % nodes)[:, None], torch.where(inside, weight / 2, 0)[:, None])
    return basis


@lru_cache
def polygon_basis(nodes: int, samples: int, closed: bool = False) -> Tensor:
    """Weights [samples, nodes] of samples, evenly spaced by node number, of the polygon through the nodes."""
    spans = nodes if closed else nodes - 1
    t = torch.linspace(0, spans, samples, dtype=torch.float64)
    i = t.floor().clamp(max=spans - 1)
    basis = torch.zeros(samples, nodes, dtype=torch.float64)
    for k, weight in ((0, 1 - (t - i)), (1, t - i)):
        basis.scatter_add_(1, ((i.long() + k) % nodes)[:, None], weight[:, None])
    return basis


@lru_cache
def walk_tables(most: int) -> Tensor:
    """Weights that turn 2 to `most` nodes into control points of a stroke: float32 [most - 1, 2, 2, CONTROLS, most].

    The first index is the number of nodes less two, the second whether the walk returns to its first node, the third
    whether it is a polygon (1) or a spline (0).
    """
    tables = torch.zeros(most - 1, 2, 2, CONTROLS, most)
    for nodes in range(2, most + 1):
        for closed in (False, True):
            for sharp, basis in enumerate((spline_basis, polygon_basis)):
                tables[nodes - 2, int(closed), sharp, :, :nodes] = basis(nodes, CONTROLS, closed and nodes > 2)
    return tables


def weighted(basis: Tensor, points: Tensor) -> Tensor:
    """Sums of points [..., C, 2] with weights [samples, C]: [..., samples, 2]."""
    basis = basis.to(points.device, torch.float32)
    total = basis[:, :1] * points[..., :1, :]
    for c in range(1, points.shape[-2]):
        total = total + basis[:, c : c + 1] * points[..., c : c + 1, :]
    return total


def spline(control: Tensor, samples: int) -> Tensor:
    """Points [..., samples, 2] on the Catmull-Rom splines through the control points [..., C, 2]."""
    return weighted(spline_basis(control.shape[-2], samples), control)


def polygon(control: Tensor, samples: int) -> Tensor:
    """Points [..., samples, 2] on the polygons through the control points [..., C, 2]."""
    return weighted(polygon_basis(control.shape[-2], samples), control)


def along(points: Tensor, u: Tensor) -> Tensor:
    """The point [..., 2] at the part u [...] of a polygon of points [..., J, 2]; u is clamped to [0, 1]."""
    last = points.shape[-2] - 1
    x = u.clamp(0, 1) * last
    i = x.long().clamp(max=last - 1)[..., None, None].expand(*u.shape, 1, 2)
    a, b = points.gather(-2, i)[..., 0, :], points.gather(-2, i + 1)[..., 0, :]
    return a + (b - a) * (x - i[..., 0, 0])[..., None]


def turning_path(start: Tensor, turn: Tensor, length: Tensor) -> Tensor:
    """Points [..., n + 1, 2] of a pen that makes n steps and turns before each but the first.

    Args:
        start: [...], direction of the first step, in radians.
        turn: [..., n - 1], in radians.
        length: [..., n], of the steps.
    """
    angle = torch.cat([start[..., None], turn], -1).cumsum(-1)  # [..., n]
    step = torch.stack(cos_sin(angle), -1) * length[..., None]  # [..., n, 2]
    return torch.cat([torch.zeros_like(step[..., :1, :]), step.cumsum(-2)], -2)


def cos_sin(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, rounded from float64: the same bits whatever the layout of the tensor."""
    wide = angle.to(torch.float64)
    return wide.cos().to(torch.float32), wide.sin().to(torch.float32)


def mean_point(points: Tensor) -> Tensor:
    """The mean [..., 1, 2] of points [..., C, 2], summed in a fixed order."""
    total = points[..., :1, :]
    for c in range(1, points.shape[-2]):
        total = total + points[..., c : c + 1, :]
    return total / points.shape[-2]


def ink(points: Tensor, present: Tensor, radius: Tensor, size: int) -> Tensor:
    """Pictures of polylines drawn with a round pen: float32 [N, size, size], 0 is paper and 1 is full ink.

    Each pixel takes the share of its box that a line of the given radius covers when it passes at the distance of the
    nearest segment: clamp(min(r + 1/2 - d, 2 r, 1), 0), a box filter, under which a line thinner than a pixel is grey.
    Only the pixels within REACH (a part of the side) of the middle of each segment are touched, so segments and pen
    must be short enough: length / 2 + r + 1/2 pixel <= REACH * size. The canvas keeps the least squared distance.

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
    reach = math.ceil(size * REACH - 0.5)
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
