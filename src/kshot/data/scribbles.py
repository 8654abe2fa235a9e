"""Scribbles: endless hand-like characters, made on the device from nothing but a seed.

A character is a program of one to four strokes, straight, curved or wiggly, most of them attached to a point of an
earlier stroke. A drawing of it is that program with motor noise: in the control points, in the place and size of each
stroke, in an affine map of the whole. The idea is that of Lake, Salakhutdinov & Tenenbaum, "Human-level concept
learning through probabilistic program induction", Science 2015, without any parameter learnt from real characters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional import random
from ..functional.strokes import ink, spline

STROKES = 4
CONTROLS = 5
JOINTS = 9  # places of a stroke where another one may attach


@dataclass(frozen=True)
class Scribbles:
    """A source of endless characters; class c and its drawing j are pure functions of (seed, c) and (seed, c, j).

    Args:
        size: pixels a side of a drawing.
        seed: another seed is another world of characters.
        jitter: standard deviation of the motor noise of a control point, as a share of half the frame.
    """

    size: int = 28
    seed: int = 0
    jitter: float = 0.055
    name: str = "scribbles"

    def draw(self, classes: Tensor, drawings: Tensor) -> Tensor:
        """Drawings of characters: uint8 [*B, K, 1, size, size], ink is 255.

        Args:
            classes: int64 [*B], the characters.
            drawings: int64 [*B, K], which drawings of each.
        """
        control, present = self.programs(classes.reshape(-1))  # [W, M, C, 2], [W, M]
        key = random.fold(random.keys(self.seed, classes, "scribbles drawing")[..., None], drawings)
        key = key.reshape(len(control), -1)  # [W, K]
        points = spline(self._perform(control, key), 17)  # [W, K, M, P, 2]
        points = (points + 1) * (self.size / 2)
        radius = random.uniform(random.fold(key, torch.ones_like(key)), 1)[..., 0]
        radius = (0.6 + 0.14 * radius).flatten() * (self.size / 28)  # [W*K]
        present = present[:, None].expand(*key.shape, STROKES).flatten(0, 1)  # [W*K, M]
        pictures = ink(points.flatten(0, 1), present, radius, self.size)  # [W*K, size, size]
        return (pictures * 255).round().to(torch.uint8).view(*drawings.shape, 1, self.size, self.size)

    def programs(self, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Control points [W, M, C, 2] of the characters of classes [W], in [-1, 1]^2, and presence [W, M]."""
        return _programs(self.seed, classes)

    def _perform(self, control: Tensor, key: Tensor) -> Tensor:
        """Control points of the drawings of keys [W, K]: those of the characters [W, M, C, 2] with motor noise."""
        M, C = STROKES, CONTROLS
        n = random.normal(key, M * (2 * C + 3) + 6)  # [W, K, ...]
        wobble, shift, stretch, whole = n.split([M * C * 2, M * 2, M, 6], -1)
        wobble = wobble.unflatten(-1, (M, C, 2))
        wobble = (wobble + wobble.roll(1, -2)) * math.sqrt(0.5)  # neighbouring points move together
        care = random.uniform(random.fold(key, torch.full_like(key, 2)), 1, low=0.5, high=1.5)[..., None, None]
        p = control[:, None] + wobble * (self.jitter * care)  # [W, K, M, C, 2]
        centre = _mean(p)
        p = centre + (p - centre) * (1 + 0.1 * stretch[..., None, None])
        p = p + shift.unflatten(-1, (M, 1, 2)) * (0.8 * self.jitter)
        angle, sx, sy, shear, tx, ty = (x[..., None, None] for x in whole.unbind(-1))  # [W, K, 1, 1]
        cos, sin = _cos_sin(0.14 * angle)
        x, y = p.unbind(-1)
        return torch.stack(
            [
                (1 + 0.13 * sx) * cos * x + (0.15 * shear - sin) * y + 0.12 * tx,
                sin * x + (1 + 0.13 * sy) * cos * y + 0.12 * ty,
            ],
            -1,
        )


def _cos_sin(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, rounded from float64: the same bits whatever the layout of the tensor."""
    wide = angle.to(torch.float64)
    return wide.cos().to(torch.float32), wide.sin().to(torch.float32)


def _mean(points: Tensor) -> Tensor:
    """The mean [..., 1, 2] of points [..., C, 2], summed in a fixed order."""
    total = points[..., :1, :]
    for c in range(1, points.shape[-2]):
        total = total + points[..., c : c + 1, :]
    return total / points.shape[-2]


def _programs(seed: int, classes: Tensor) -> tuple[Tensor, Tensor]:
    M, C, W = STROKES, CONTROLS, len(classes)

    def uniform(stream: str, *shape: int) -> Tensor:
        return random.uniform(random.keys(seed, classes, f"scribbles {stream}"), *shape)

    def normal(stream: str, *shape: int) -> Tensor:
        return random.normal(random.keys(seed, classes, f"scribbles {stream}"), *shape)

    u = uniform("strokes", 1)
    count = 1 + (u > 0.2).long() + (u > 0.55).long() + (u > 0.83).long()  # [W, 1]
    present = torch.arange(M, device=classes.device) < count  # [W, M]

    # The shape of each stroke: a walk of C - 1 steps whose direction turns hardly, steadily or at random.
    kind = uniform("kind", M)[..., None]  # [W, M, 1]
    bend = (uniform("bend", M, 2) - torch.tensor([0.5, 0.0], device=classes.device))[..., None]
    arc = bend[..., 0, :].sign() * (0.3 + 1.1 * bend[..., 1, :])
    straight = 0.08 * normal("drift", M)[..., None]
    wiggle = normal("turns", M, C - 1)  # [W, M, C-1]
    turn = torch.where(kind < 0.35, straight, torch.where(kind < 0.75, arc, 0)) + wiggle * torch.where(
        kind < 0.75, 0.12, 1
    )
    angle = 2 * math.pi * uniform("direction", M)[..., None] + turn.cumsum(-1)
    length = (0.25 + 1.1 * uniform("length", M))[..., None] * (0.7 + 0.6 * uniform("steps", M, C - 1)) * (1.3 / (C - 1))
    step = torch.stack(_cos_sin(angle), -1) * length[..., None]  # [W, M, C-1, 2]
    path = torch.cat([step.new_zeros(W, M, 1, 2), step.cumsum(-2)], -2)
    path = path - _mean(path)

    # Its place: attached to a point of an earlier stroke, or anywhere.
    place = 1.4 * uniform("place", M, 2) - 0.7  # [W, M, 2]
    rows = torch.arange(W, device=classes.device)
    joints = spline(path, JOINTS)  # [W, M, J, 2]
    joint = (uniform("joint", M, 2) * JOINTS).long()  # [W, M, 2] on the earlier stroke, on this one
    end = uniform("end", M, 2)
    own = torch.where(end[..., 0] < 0.6, torch.where(end[..., 1] < 0.5, 0, JOINTS - 1), joint[..., 1])
    attach = uniform("attach", M) < 0.72
    earlier = uniform("earlier", M)
    placed = [path[:, 0] + 0.5 * place[:, 0, None]]
    for s in range(1, M):
        previous = torch.stack(placed, 1)[rows, (earlier[:, s] * s).long()]  # [W, C, 2]
        target = spline(previous, JOINTS)[rows, joint[:, s, 0]]  # [W, 2]
        move = torch.where(attach[:, s, None], target - joints[rows, s, own[:, s]], place[:, s])
        placed.append(path[:, s] + move[:, None])
    control = torch.stack(placed, 1)  # [W, M, C, 2]

    # Fill a box of the character's own size.
    there = present[:, :, None, None]
    low = torch.where(there, control, 9.0).amin((1, 2))  # [W, 2]
    high = torch.where(there, control, -9.0).amax((1, 2))
    half = ((high - low).amax(-1) / 2).clamp(min=0.15)
    scale = (0.45 + 0.35 * uniform("size", 1)[:, 0]) / half
    return (control - ((low + high) / 2)[:, None, None]) * scale[:, None, None, None], present
