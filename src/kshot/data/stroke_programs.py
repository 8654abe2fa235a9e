"""What a scribbled character is: a program of strokes, drawn at random from the style of its group.

A stroke is either a walk over the nodes of a coarse lattice (bars, corners, boxes, bows, rings: most scripts are built
on one) or a pen that starts in some direction and turns as it goes (arcs, loops, waves, hooks). Lattice strokes mostly
stay where they are; the others are mostly attached to a point of an earlier stroke. The characters of a group share the
lattice, the kinds and number of strokes, sharp or round corners, some strokes, and some share their beginning with a
sibling, as the letters of an alphabet do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..functional import random
from ..functional.strokes import CONTROLS, along, mean_point, spline, turning_path, walk_tables

STROKES = 5
NODES = 5  # of a walk, at most
JOINTS = 13  # places of a stroke where another may attach
# Rows: a character's only stroke, one of two, one of many (a lone stroke is seldom plain, one of many mostly is).
COUNT = (0.12, 0.30, 0.32, 0.18, 0.08)
NODE_COUNT = ((0.08, 0.28, 0.32, 0.32), (0.34, 0.30, 0.21, 0.15), (0.56, 0.31, 0.10, 0.03))  # 2, 3, 4, 5 nodes
KIND = (
    (0.08, 0.24, 0.12, 0.22, 0.12, 0.22),
    (0.36, 0.24, 0.10, 0.10, 0.06, 0.14),
    (0.50, 0.26, 0.08, 0.04, 0.02, 0.10),
)
# straight, arc, loop, wiggle, wave, hook: turn before each step at the least and at the most, its spread, the length.
LEAST = ((0.0,) * 5, (0.18,) * 5, (1.04,) * 5, (0.0,) * 5, (0.8, -0.8, 0.8, -0.8, 0.8), (0.0, 0.0, 0.5, 0.5, 0.5))
MOST = ((0.0,) * 5, (0.70,) * 5, (1.40,) * 5, (0.0,) * 5, (1.7, -1.7, 1.7, -1.7, 1.7), (0.0, 0.0, 1.2, 1.2, 1.2))
SPREAD = (0.05, 0.12, 0.12, 0.85, 0.12, 0.12)
LENGTH = (1.0, 1.0, 1.5, 1.35, 1.35, 1.0)


@dataclass(frozen=True)
class Alphabet:
    """How characters of one group resemble each other.

    Args:
        size: how many characters a group has.
        lattice: part of the strokes that walk on the lattice.
        variety: how much the styles of groups differ (1; 0 gives all groups one style).
        vocabulary: strokes that a group has ready.
        reuse: mean part of the strokes that come from the vocabulary.
        roots: beginnings that a group has ready.
        rooted: part of the characters that begin with one of them.
    """

    size: int = 64
    lattice: float = 0.7
    variety: float = 1.0
    vocabulary: int = 10
    reuse: float = 0.7
    roots: int = 6
    rooted: float = 0.6


@dataclass(frozen=True)
class Programs:
    """W characters of M strokes with C control points.

    Attributes:
        paths: [W, M, C, 2], the strokes; lattice strokes in place, the others around the origin.
        sharp: [W, M], 1 for corners, 0 for a smooth curve.
        present: bool [W, M], which strokes exist.
        attached: bool [W, M], whether the stroke is moved to touch an earlier one.
        parent: int64 [W, M], the earlier stroke.
        at, own: [W, M], where on the parent and on the stroke itself they touch, 0 is the beginning and 1 the end.
        place: [W, M, 2], where a stroke that is not attached is moved to.
        centre: [W, 2] and scale: [W]: subtract and multiply to bring the whole to its size in the frame [-1, 1]^2.
        aspect: [W], width over height of the group's hand.
    """

    paths: Tensor
    sharp: Tensor
    present: Tensor
    attached: Tensor
    parent: Tensor
    at: Tensor
    own: Tensor
    place: Tensor
    centre: Tensor
    scale: Tensor
    aspect: Tensor

    def assemble(self, paths: Tensor, at: Tensor) -> Tensor:
        """Put strokes [W, K, M, C, 2] in their places, with joints at [W, K, M] of the parents: the same shape."""
        W, K, M = paths.shape[:3]
        joints = spline(paths, JOINTS)  # [W, K, M, J, 2]
        controls, placed = [paths[:, :, 0]], [joints[:, :, 0]]
        for m in range(1, M):
            which = self.parent[:, m, None, None, None, None].expand(W, K, 1, JOINTS, 2)
            parent = torch.stack(placed, 2).gather(2, which)[:, :, 0]  # [W, K, J, 2]
            touch = along(parent, at[:, :, m]) - along(joints[:, :, m], self.own[:, None, m].expand(W, K))
            move = torch.where(self.attached[:, m, None, None], touch, self.place[:, None, m])  # [W, K, 2]
            controls.append(paths[:, :, m] + move[:, :, None])
            placed.append(joints[:, :, m] + move[:, :, None])
        return torch.stack(controls, 2)


def write_programs(seed: int, classes: Tensor, alphabet: Alphabet) -> Programs:
    """The programs of characters int64 [W]; each is a pure function of (seed, class, alphabet)."""
    device = classes.device
    group = random.keys(seed, classes // alphabet.size, "scribble groups")  # [W]
    own = random.keys(seed, classes, "scribble characters")
    style = random.normal(group, 16) * alphabet.variety  # [W, 16]
    m = torch.arange(STROKES, device=device)
    u = random.uniform(own, 4 + 2 * STROKES)
    more = 0.35 * style[:, :1] * (m - 1.5)  # [W, M]
    count = 1 + pick(u[:, 0], torch.tensor(COUNT, device=device) * more.exp())  # [W]

    # Which numbers a stroke is made of: its character's, or those of a stroke or beginning that its group has ready.
    ready = random.fold(group[:, None], 100 + (u[:, 4 : 4 + STROKES] * alphabet.vocabulary).long())
    liking = alphabet.reuse * (0.4 + 1.2 * random.uniform(random.fold(group, count * 0 + 1), 1))  # [W, 1]
    liking = torch.where(count[:, None] > 1, liking, 0.0)  # a lone stroke of the vocabulary would be there twice
    shape = torch.where(u[:, 4 + STROKES :] < liking, ready, random.fold(own[:, None], 10 + m))  # [W, M]
    place = random.fold(own[:, None], 50 + m)
    root = random.fold(group, 1000 + (u[:, 1] * alphabet.roots).long())[:, None]
    begun = torch.minimum(1 + (u[:, 3] < 0.4).long(), count - 1)  # and something is added to a beginning
    rooted = (u[:, 2:3] < alphabet.rooted) & (m < begun[:, None])
    shape = torch.where(rooted, random.fold(root, 10 + m), shape)
    place = torch.where(rooted, random.fold(root, 50 + m), place)

    crowd = (count - 1).clamp(max=2)
    paths, sharp, stays = write_strokes(shape, crowd, style, alphabet.lattice)
    v = random.uniform(place, 9)  # [W, M, 9]
    at = torch.where(v[..., 4] < 0.55, (v[..., 4] < 0.3).float(), torch.where(v[..., 4] < 0.7, 0.5, v[..., 5]))
    on = torch.where(v[..., 6] < 0.65, (v[..., 6] < 0.4).float(), torch.where(v[..., 6] < 0.8, 0.5, v[..., 7]))
    stays = stays & (v[..., 8] < 0.65)
    programs = Programs(
        paths=paths,
        sharp=sharp,
        present=m < count[:, None],
        attached=(v[..., 2] < 0.9) & ~stays,
        parent=(v[..., 3] * m.clamp(min=1)).long(),
        at=at,
        own=on,
        place=torch.where(stays[..., None], 0.0, 1.3 * v[..., :2] - 0.65),
        centre=paths.new_zeros(len(classes), 2),
        scale=paths.new_ones(len(classes)),
        aspect=(0.1 * style[:, 2] - 0.06).double().exp().float(),
    )
    return fitted(programs, random.normal(random.fold(own, count * 0 + 7), 1)[:, 0], style[:, 1])


def fitted(programs: Programs, bigger: Tensor, larger: Tensor) -> Programs:
    """The same programs with centre and scale, so that the character's box has its size.

    Args:
        bigger: standard normal [W], of the character.
        larger: standard normal [W], of its group.
    """
    whole = programs.assemble(programs.paths[:, None], programs.at[:, None])[:, 0]  # [W, M, C, 2]
    there = programs.present[:, :, None, None]
    low = torch.where(there, whole, 9.0).amin((1, 2))  # [W, 2]
    high = torch.where(there, whole, -9.0).amax((1, 2))
    half = ((high - low).amax(-1) / 2).clamp(min=0.1)
    # A character that fills little of its lattice stays smaller than its siblings.
    size = 0.6 * (0.1 * bigger + 0.08 * larger + 0.3 * half.double().log()).exp().float()
    return replace(programs, centre=(low + high) / 2, scale=size.clamp(0.12, 0.88) / half)


def write_strokes(key: Tensor, crowd: Tensor, style: Tensor, lattice: float) -> tuple[Tensor, Tensor, Tensor]:
    """Strokes of keys [W, M].

    Args:
        crowd: int64 [W], 0 for a lone stroke, 1 for one of two, 2 for one of many.
        style: [W, 16], standard normal numbers of the group.
        lattice: part of lattice walks.

    Returns:
        paths [W, M, C, 2], sharp [W, M], and whether the stroke is a lattice walk.
    """
    walks, corners = lattice_walks(random.fold(key, torch.ones_like(key)), crowd, style)
    turns, points = turning_strokes(random.fold(key, torch.full_like(key, 2)), crowd, style)
    on_lattice = random.uniform(key, 1)[..., 0] < lattice  # [W, M]
    paths = torch.where(on_lattice[..., None, None], walks, turns)
    return paths, torch.where(on_lattice, corners, points), on_lattice


def lattice_walks(key: Tensor, crowd: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """Walks over a lattice of 3 or 4 columns and rows: paths [W, M, C, 2] and sharp [W, M]."""
    u = random.uniform(key, 4 + 3 * NODES)
    columns, rows = (3 + (style[:, 3:5] > 0.25).long()).T[..., None]  # each [W, 1]
    step = u[..., 4:].unflatten(-1, (NODES, 3))  # [W, M, NODES, 3]
    x, y = (step[..., 0, 0] * columns).long(), (step[..., 0, 1] * rows).long()  # [W, M]
    last = torch.full_like(x, -1)
    nodes = [torch.stack([x / (columns - 1), y / (rows - 1)], -1)]
    for i in range(1, NODES):
        way = (step[..., i, 2] >= 0.34).long() + (step[..., i, 2] >= 0.76).long()  # 0 across, 1 down, 2 both
        way = torch.where((way == last) & (way < 2), 1 - way, way)  # never twice in one line
        across = (x + 1 + (step[..., i, 0] * (columns - 1)).long()) % columns
        down = (y + 1 + (step[..., i, 1] * (rows - 1)).long()) % rows
        x, y, last = torch.where(way == 1, x, across), torch.where(way == 0, y, down), way
        nodes.append(torch.stack([x / (columns - 1), y / (rows - 1)], -1))
    at = (torch.stack(nodes, -2) * 2 - 1) * torch.tensor([0.8, 1.0], device=key.device)  # [W, M, NODES, 2]
    at = at + 0.09 * random.normal(random.fold(key, torch.ones_like(key)), NODES, 2)
    lean = 0.4 * style[:, 5:6] * torch.tensor([-1.0, 0.0, 0.5, 1.0], device=key.device)  # [W, 4]
    count = pick(u[..., 0], (torch.tensor(NODE_COUNT, device=key.device)[crowd] * lean.exp())[:, None])  # [W, M]
    closed = (u[..., 1] < 0.22) & (count > 0)
    sharp = u[..., 2] < (0.42 + 0.2 * style[:, 6:7]).clamp(0.05, 0.95)
    table = walk_tables(NODES).to(key.device)[count, closed.long(), sharp.long()]  # [W, M, C, NODES]
    path = table[..., :1] * at[..., :1, :]  # [W, M, C, 2]
    for i in range(1, NODES):
        path = path + table[..., i : i + 1] * at[..., i : i + 1, :]
    middle = mean_point(path)
    small = (u[..., 3] < 0.06)[..., None, None]
    return torch.where(small, middle + 0.3 * (path - middle), path), sharp.float()


def turning_strokes(key: Tensor, crowd: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """Strokes of a pen that turns as it goes: paths [W, M, C, 2] around the origin and sharp [W, M]."""
    steps = CONTROLS - 1
    u = random.uniform(key, 8 + steps)
    weights = torch.tensor(KIND, device=key.device)[crowd] * (0.6 * style[:, 7:13]).exp()  # [W, 6]
    kind = pick(u[..., 0], weights[:, None])  # [W, M]
    least, most, spread, length = (torch.tensor(t, device=key.device)[kind] for t in (LEAST, MOST, SPREAD, LENGTH))
    sign = torch.where(u[..., 1:2] < 0.5, -1.0, 1.0)
    turn = sign * (least + (most - least) * u[..., 2:3])  # [W, M, steps - 1]
    half = turn[..., 0]
    for i in range(1, steps - 1):
        half = half + turn[..., i]
    wobble = random.normal(random.fold(key, torch.ones_like(key)), steps)
    axis = (u[..., 3] * 4).long() * (math.pi / 2) + 0.1 * wobble[..., 0]
    start = torch.where(u[..., 4] < 0.55, axis, 2 * math.pi * u[..., 5]) - half / 2
    turn = turn + spread[..., None] * wobble[..., 1:]
    length = length * (0.35 + 1.2 * u[..., 6]) * torch.where(u[..., 7] < 0.06, 0.3, 1.0)
    path = turning_path(start, turn, length[..., None] / steps * (0.75 + 0.5 * u[..., 8:]))
    return path - mean_point(path), ((kind == 4) & (u[..., 5] < 0.5)).float()


def pick(u: Tensor, weights: Tensor) -> Tensor:
    """Indices [...] drawn in proportion to weights [..., n] by uniform numbers u [...]."""
    ends = weights.cumsum(-1)
    return (u[..., None] * ends[..., -1:] >= ends[..., :-1]).sum(-1)
