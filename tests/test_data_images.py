"""Pictures in memory: containers, sizes, rotations."""

import pytest
import torch

from kshot.data import Images
from kshot.data.resize import area_resize, check_size, overlaps
from kshot.errors import UserError


def small(counts=(2, 1, 3), side=4):
    total = sum(counts)
    pixels = torch.arange(total * side * side).reshape(total, 1, side, side).to(torch.uint8)
    offsets = torch.tensor([0, *counts]).cumsum(0)
    names = tuple(f"A/{i}" for i in range(len(counts)))
    return Images(pixels, offsets, names, tuple("AAB"[i] for i in range(len(counts))), "small", "all")


def test_counts_and_labels_follow_the_offsets():
    images = small()
    assert images.counts.tolist() == [2, 1, 3]
    assert images.labels.tolist() == [0, 0, 1, 2, 2, 2]
    assert len(images) == 6


def test_select_keeps_the_pictures_of_the_chosen_classes_in_the_given_order():
    images = small()
    picked = images.select([2, 0])
    assert picked.names == ("A/2", "A/0")
    assert picked.groups == ("B", "A")
    assert picked.counts.tolist() == [3, 2]
    assert torch.equal(picked.pixels, images.pixels[[3, 4, 5, 0, 1]])


@pytest.mark.parametrize("classes", [[], [3], [-1]])
def test_select_refuses_classes_that_do_not_exist(classes):
    with pytest.raises(UserError, match="classes must be numbers from 0 to 2, at least one; got"):
        small().select(classes)


def test_rotated_makes_four_classes_of_each_and_turns_the_pictures():
    images = small()
    turned = images.rotated()
    assert len(turned.names) == 12
    assert turned.names[:4] == ("A/0", "A/1", "A/2", "A/0 rot090")
    assert turned.groups[3:6] == ("A rot090", "A rot090", "B rot090")
    assert turned.counts.tolist() == [2, 1, 3] * 4
    for k in range(4):
        own = turned.select(range(3 * k, 3 * k + 3))
        assert torch.equal(own.pixels, torch.rot90(images.pixels, k, (-2, -1)))
    again = turned.pixels.view(4, 6, 1, 4, 4)
    assert torch.equal(torch.rot90(again[3], 1, (-2, -1)), images.pixels)  # 270 + 90 degrees


def test_classes_without_a_group_have_none_when_rotated():
    images = Images(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1]), ("a",), ("",), "n", "all")
    assert images.rotated().groups == ("",) * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": torch.zeros(6, 1, 4, 4)}, "pixels must be uint8"),
        (
            {"pixels": torch.zeros(6, 4, 4, dtype=torch.uint8)},
            r"must be uint8 \[M, C, H, W\], or features float32 \[M, D\]; got .*\(6, 4, 4\)",
        ),
        ({"names": ("a",)}, "1 class names need as many groups and one offset more; got 3 groups and 4 offsets"),
        ({"offsets": torch.tensor([0, 2, 2, 6])}, "offsets must rise from 0 to the number of pictures, 6"),
        ({"offsets": torch.tensor([0, 2, 3, 5])}, "offsets must rise from 0 to the number of pictures, 6"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    images = small()
    parts = {k: getattr(images, k) for k in ("pixels", "offsets", "names", "groups", "name", "split")}
    with pytest.raises(UserError, match=message):
        Images(**(parts | change))


def slow_area(picture, height, width):
    """Area averages as plain loops over exact fractions."""
    from fractions import Fraction as F
    from math import ceil, floor

    H, W = picture.shape
    out = torch.empty(height, width, dtype=torch.uint8)
    for i in range(height):
        for j in range(width):
            top, bottom, left, right = F(i * H, height), F((i + 1) * H, height), F(j * W, width), F((j + 1) * W, width)
            total = F(0)
            for y in range(floor(top), ceil(bottom)):
                for x in range(floor(left), ceil(right)):
                    h = min(bottom, F(y + 1)) - max(top, F(y))
                    w = min(right, F(x + 1)) - max(left, F(x))
                    total += h * w * int(picture[y, x])
            out[i, j] = floor(total / ((bottom - top) * (right - left)) + F(1, 2))
    return out


@pytest.mark.parametrize(("old", "new"), [((7, 7), (3, 3)), ((6, 6), (3, 2)), ((5, 9), (4, 2)), ((3, 2), (5, 4))])
def test_area_resize_is_the_exact_mean_of_the_covered_area(old, new):
    pixels = torch.randint(0, 256, (2, 3, *old), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    got = area_resize(pixels, *new)
    for m in range(2):
        for c in range(3):
            assert torch.equal(got[m, c], slow_area(pixels[m, c], *new))


def test_area_resize_is_exact_for_large_pictures_too():
    white = torch.full((1, 1, 1021, 997), 255, dtype=torch.uint8)
    assert bool((area_resize(white, 28, 28) == 255).all())
    one = torch.zeros(1, 1, 1024, 1024, dtype=torch.uint8)
    one[..., :512, :] = 255
    assert area_resize(one, 2, 1).flatten().tolist() == [255, 0]
    assert area_resize(one, 1, 1).item() == 128  # 127.5 is rounded up


def test_area_resize_does_not_depend_on_how_pictures_are_cut_into_chunks(monkeypatch):
    pixels = torch.randint(0, 256, (9, 1, 13, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    whole = area_resize(pixels, 5, 4)
    monkeypatch.setattr("kshot.data.resize.CHUNK", 300)
    assert torch.equal(area_resize(pixels, 5, 4), whole)


def test_overlaps_share_every_cell_fully():
    for length, size in ((105, 28), (7, 5), (4, 8)):
        weights = overlaps(length, size)
        assert len(set(weights.sum(0).tolist())) == len(set(weights.sum(1).tolist())) == 1


def test_resized_changes_the_side_and_nothing_else():
    images = small()
    bigger = images.resized(8)
    assert bigger.pixels.shape == (6, 1, 8, 8)
    assert torch.equal(bigger.pixels[..., ::2, ::2], images.pixels)
    assert images.resized(4).pixels is images.pixels
    with pytest.raises(UserError, match="size must be a number of pixels of at least 1; got 0"):
        images.resized(0)


def test_no_size_is_a_size():
    check_size(None)
    check_size(1)
