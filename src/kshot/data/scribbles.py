"""Scribbles: endless hand-like characters, made on the device from nothing but a seed.

A character is a program of one to five strokes. A drawing of it is that program performed with motor noise: in the ends
and the bend of every stroke, in its size, slant and place on the stroke it is attached to, and in a smooth map of the
whole. The idea is that of Lake, Salakhutdinov & Tenenbaum, "Human-level concept learning through probabilistic program
induction", Science 2015, without any parameter learnt from real characters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import UserError
from ..functional import random
from ..functional.strokes import CONTROLS, cos_sin, ink, mean_point, polygon, spline
from .stroke_programs import STROKES, Alphabet, Programs, write_programs

SAMPLES = 3 * (CONTROLS - 1) + 1  # points of a drawn stroke; every control point is one of them


@dataclass(frozen=True)
class Motor:
    """How drawings of one character differ: standard deviations, lengths as parts of half the frame.

    Args:
        ends: place of either end of a stroke.
        bow: place of its middle.
        tremble: place of each control point.
        stretch: size of a stroke, relative; width and height vary by 3/4 of it.
        turn: direction of a stroke, in radians.
        slide: place of the joint on the parent, as a part of its length.
        warp: coefficients of the quadratic terms of a smooth map of the whole.
        rotate: direction of the whole, in radians.
        size: width and height of the whole, relative.
        shear: slant of the whole (the tangent of its angle).
        shift: place of the whole.
    """

    ends: float = 0.05
    bow: float = 0.036
    tremble: float = 0.012
    stretch: float = 0.075
    turn: float = 0.06
    slide: float = 0.04
    warp: float = 0.055
    rotate: float = 0.09
    size: float = 0.105
    shear: float = 0.1
    shift: float = 0.09


@dataclass(frozen=True)
class Scribbles:
    """A source of endless characters; class c and its drawing j are pure functions of (seed, c) and (seed, c, j).

    The classes g * group_size to (g + 1) * group_size - 1 are one alphabet and share a style.

    Args:
        size: pixels a side of a drawing.
        seed: another seed is another world of characters.
        alphabet: how characters of one group resemble each other.
        motor: how drawings of one character differ.
    """

    size: int = 28
    seed: int = 0
    alphabet: Alphabet = field(default_factory=Alphabet)
    motor: Motor = field(default_factory=Motor)
    name: str = "scribbles"

    def __post_init__(self) -> None:
        if self.size < 8:
            raise UserError(f"scribbles need a size of at least 8 pixels; got {self.size}")

    @property
    def group_size(self) -> int:
        """How many characters share a style."""
        return self.alphabet.size

    def draw(self, classes: Tensor, drawings: Tensor) -> Tensor:
        """Drawings of characters: uint8 [*B, K, 1, size, size], ink is 255.

        Args:
            classes: int64 [*B], the characters.
            drawings: int64 [*B, K], which drawings of each.
        """
        programs = write_programs(self.seed, classes.reshape(-1), self.alphabet)  # W characters
        key = random.fold(random.keys(self.seed, classes, "scribble drawings")[..., None], drawings)
        key = key.reshape(len(programs.scale), -1)  # [W, K]
        control = perform(programs, key, self.motor)  # [W, K, M, C, 2]
        smooth = spline(control, SAMPLES)
        sharp = programs.sharp[:, None, :, None, None]
        points = smooth + (polygon(control, SAMPLES) - smooth) * sharp  # [W, K, M, SAMPLES, 2]
        points = (points + 1) * (self.size / 2)
        pen = random.uniform(random.fold(key, torch.ones_like(key)), 1, low=0.6, high=0.74)
        present = programs.present[:, None].expand(*key.shape, STROKES).flatten(0, 1)  # [W*K, M]
        pictures = ink(points.flatten(0, 1), present, pen.flatten() * (self.size / 28), self.size)
        return (pictures * 255).round().to(torch.uint8).view(*drawings.shape, 1, self.size, self.size)


def perform(programs: Programs, key: Tensor, motor: Motor) -> Tensor:
    """Control points of drawings with keys [W, K] of W characters: [W, K, M, C, 2] in the frame [-1, 1]^2."""
    M, C = STROKES, CONTROLS
    z = random.normal(key, M * (2 * C + 11) + 12)
    parts = z.split([M * C * 2, M * 6, M * 3, M, M, 12], -1)
    tremble = parts[0].unflatten(-1, (M, C, 2))  # [W, K, M, C, 2]
    begin, finish, bow = parts[1].unflatten(-1, (M, 3, 1, 2)).unbind(3)  # each [W, K, M, 1, 2]
    stretch = parts[2].unflatten(-1, (M, 3))  # [W, K, M, 3]
    care = random.uniform(random.fold(key, torch.full_like(key, 2)), 1, low=0.4, high=1.6)[..., None, None]
    scale = programs.scale[:, None, None, None, None]
    t = torch.linspace(0, 1, C, device=key.device)[:, None]  # [C, 1]
    noise = motor.ends * (begin * (1 - t) + finish * t) + motor.bow * bow * (4 * t * (1 - t)) + motor.tremble * tremble
    paths = programs.paths[:, None] + noise * care / scale
    middle = mean_point(paths)
    paths = (paths - middle) * (1 + motor.stretch * (stretch[..., :1] + 0.75 * stretch[..., 1:]))[..., None, :]
    cos, sin = (v[..., None] for v in cos_sin(motor.turn * parts[3]))  # [W, K, M, 1]
    x, y = paths.unbind(-1)
    paths = torch.stack([cos * x - sin * y, sin * x + cos * y], -1) + middle
    whole = programs.assemble(paths, programs.at[:, None] + motor.slide * parts[4])
    return map_whole((whole - programs.centre[:, None, None, None]) * scale, parts[5], programs.aspect, motor)


def map_whole(points: Tensor, z: Tensor, aspect: Tensor, motor: Motor) -> Tensor:
    """Smoothly warp, scale, slant, turn and shift points [W, K, M, C, 2].

    Args:
        z: standard normal [W, K, 12].
        aspect: [W], width over height.
    """
    rotate, wide, high, shear, right, down, *warp = z[..., None, None].unbind(2)  # each [W, K, 1, 1]
    x, y = points.unbind(-1)
    squares = (x * x, x * y, y * y)
    for i, square in enumerate(squares):
        x, y = x + motor.warp * warp[i] * square, y + motor.warp * warp[3 + i] * square
    cos, sin = cos_sin(motor.rotate * rotate)
    x = x * aspect[:, None, None, None]
    return torch.stack(
        [
            (1 + motor.size * wide) * cos * x + (motor.shear * shear - sin) * y + motor.shift * right,
            sin * x + (1 + motor.size * high) * cos * y + motor.shift * down,
        ],
        -1,
    )
