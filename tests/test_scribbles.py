"""Scribbles are pure functions of (seed, class, drawing), look like ink, and differ as characters do."""

import hashlib

import pytest
import torch

from kshot.data.scribbles import Motor, Scribbles
from kshot.data.stroke_programs import Alphabet, pick, write_programs
from kshot.errors import UserError
from kshot.functional import random, strokes

CLASSES = torch.tensor([0, 1, 2, 959, 10**12, 7])
DRAWINGS = torch.arange(5).expand(6, 5)


def test_drawings_are_uint8_pictures_of_the_given_shape():
    for size in (28, 40):
        x = Scribbles(size=size).draw(CLASSES.view(2, 3), DRAWINGS.reshape(2, 3, 5))
        assert x.shape == (2, 3, 5, 1, size, size)
        assert x.dtype == torch.uint8
    with pytest.raises(UserError, match="at least 8"):
        Scribbles(size=2)


def test_every_drawing_has_ink_on_mostly_empty_paper():
    x = Scribbles().draw(torch.arange(500), torch.arange(4).expand(500, 4)).float() / 255
    assert x.amax((-1, -2)).min() > 0.4
    share = x.mean((-1, -2))
    assert 0.05 < share.mean() < 0.1  # Omniglot at 28 pixels: 0.078
    assert share.max() < 0.35


def test_the_same_pixels_alone_and_in_any_batch():
    source = Scribbles(seed=3)
    classes = torch.arange(0, 1500, 60)
    drawings = torch.arange(4).expand(25, 4)
    whole = source.draw(classes, drawings)
    for c in range(25):
        assert torch.equal(source.draw(classes[c : c + 1], drawings[c : c + 1])[0], whole[c])
        assert torch.equal(source.draw(classes[c], torch.tensor([2]))[0], whole[c, 2])
    order = torch.arange(24, -1, -1)
    again = source.draw(classes[order].view(5, 5), drawings.reshape(5, 5, 4))
    assert torch.equal(again.flatten(0, 1), whole[order])


def test_the_drawings_of_a_seed_are_the_same_in_every_version():
    x = Scribbles().draw(CLASSES, DRAWINGS)
    assert (
        hashlib.sha256(x.numpy().tobytes()).hexdigest()
        == "cb26f68f163299e29449c0e9163093191696a3fd68233214d7939b4eca7cfb59"
    )


def test_another_class_drawing_or_seed_is_another_picture():
    x = Scribbles().draw(torch.arange(200), torch.arange(5).expand(200, 5)).flatten(0, 1).flatten(1)
    assert len(x.unique(dim=0)) == 1000
    assert not torch.equal(Scribbles(seed=0).draw(CLASSES, DRAWINGS), Scribbles(seed=1).draw(CLASSES, DRAWINGS))


def nearest_neighbour_error(classes: torch.Tensor, source: Scribbles) -> float:
    """20-way 1-shot error of raw pixels; each row of classes [tasks, 20] is a task."""
    x = source.draw(classes, torch.arange(2).expand(*classes.shape, 2)).flatten(3).float()  # [tasks, 20, 2, D]
    picked = torch.cdist(x[:, :, 1], x[:, :, 0]).argmin(-1)
    return (picked != torch.arange(20)).float().mean().item()


def test_raw_pixels_find_the_character_hardly_better_than_real_ones():
    """Real characters of one alphabet: 79 % errors; chance: 95 %."""
    classes = torch.arange(40)[:, None] * 64 + torch.arange(20)
    assert 0.6 < nearest_neighbour_error(classes, Scribbles()) < 0.85


def test_without_motor_noise_raw_pixels_nearly_suffice():
    still = Motor(**dict.fromkeys(Motor.__dataclass_fields__, 0.0))
    classes = torch.arange(20)[:, None] * 64 + torch.arange(20)
    assert nearest_neighbour_error(classes, Scribbles(motor=still)) < 0.1


def test_the_characters_of_a_group_share_strokes():
    key = torch.arange(40)[:, None] * 64  # [groups, 1]
    within = write_programs(0, (key + torch.arange(2)).flatten(), Alphabet(reuse=0.8, vocabulary=2))
    across = write_programs(0, torch.arange(80) * 64, Alphabet(reuse=0.8, vocabulary=2))

    def shared(paths: torch.Tensor) -> float:
        a, b = paths[::2], paths[1::2]  # [40, M, C, 2]
        return (a[:, :, None] == b[:, None]).all((-1, -2)).float().mean().item()

    assert shared(within.paths) > 0.1
    assert shared(across.paths) == 0


def test_indices_are_picked_in_proportion_to_the_weights():
    u = random.uniform(random.keys(0, torch.arange(20_000), "pick"), 1)
    picked = pick(u[:, 0], torch.tensor([1.0, 0.0, 3.0]))
    share = torch.bincount(picked, minlength=3) / len(picked)
    assert torch.allclose(share, torch.tensor([0.25, 0.0, 0.75]), atol=0.02)


def test_splines_and_polygons_pass_through_their_nodes():
    nodes = random.normal(random.keys(0, torch.arange(8), "nodes"), 5, 2)  # [8, 5, 2]
    for curve in (strokes.spline, strokes.polygon):
        assert torch.allclose(curve(nodes, 13)[:, ::3], nodes, atol=1e-5)
    ring = strokes.weighted(strokes.spline_basis(5, 16, closed=True), nodes)
    assert torch.allclose(ring[:, ::3], torch.cat([nodes, nodes[:, :1]], 1), atol=1e-5)


def test_a_spline_through_points_of_a_line_is_the_line():
    line = torch.linspace(0, 1, 5)[:, None] * torch.tensor([2.0, -1.0])
    samples = torch.linspace(0, 1, 33)[:, None] * torch.tensor([2.0, -1.0])
    assert torch.allclose(strokes.spline(line, 33), samples, atol=1e-6)


def test_a_pen_that_turns_steadily_draws_a_circle():
    turn = torch.full((1, 7), 2 * torch.pi / 8)
    path = strokes.turning_path(torch.tensor([0.3]), turn, torch.ones(1, 8))
    assert torch.allclose(path[:, 0], path[:, -1], atol=1e-5)
    radius = (path[:, :-1] - strokes.mean_point(path[:, :-1])).norm(dim=-1)
    assert torch.allclose(radius, radius[:, :1].expand_as(radius), atol=1e-5)


def test_points_along_a_polygon():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]).expand(4, 3, 2)
    found = strokes.along(points, torch.tensor([0.0, 0.25, 0.75, 1.5]))
    assert torch.allclose(found, torch.tensor([[0.0, 0.0], [0.5, 0.0], [1.0, 1.0], [1.0, 2.0]]))


def test_ink_is_the_distance_to_the_nearest_segment():
    """Against the formula of every pixel and every segment, written out."""
    points = (random.uniform(random.keys(0, torch.arange(6), "ink"), 2, 2) * 20 + 4)[:, None]  # [6, 1, 2, 2]
    t = torch.linspace(0, 1, 13)[:, None]
    points = points[:, :, :1] * (1 - t) + points[:, :, 1:] * t  # [6, 1, 13, 2], short segments
    radius = torch.tensor([0.4, 0.5, 0.6, 0.7, 0.8, 0.3])
    drawn = strokes.ink(points, torch.ones(6, 1, dtype=torch.bool), radius, 28)
    for n in range(6):
        for y in range(0, 28, 3):
            for x in range(0, 28, 3):
                pixel = torch.tensor([x + 0.5, y + 0.5])
                d = min(float(distance(pixel, a, b)) for a, b in zip(points[n, 0, :-1], points[n, 0, 1:]))
                r = float(radius[n])
                assert drawn[n, y, x].item() == pytest.approx(max(min(r + 0.5 - d, 2 * r, 1), 0), abs=1e-4)


def distance(p: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """From a point to a segment."""
    t = ((p - a) @ (b - a) / ((b - a) @ (b - a))).clamp(0, 1)
    return (p - a - t * (b - a)).norm()


def test_strokes_that_are_absent_leave_no_ink():
    points = torch.full((1, 2, 3, 2), 14.0)
    absent = strokes.ink(points, torch.zeros(1, 2, dtype=torch.bool), torch.tensor([0.7]), 28)
    assert absent.sum() == 0
