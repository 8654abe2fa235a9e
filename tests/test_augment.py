"""Claims about distortion: what it computes, by plain loops, and that no picture depends on the others."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kshot.data.images import Images
from kshot.functional import random
from kshot.tasks import AUGMENTS, Augment, augment, make_source


def pictures(T: int, P: int, C: int, H: int, W: int) -> Tensor:
    """Noise without structure: any mistake in a position shows."""
    return random.integers(random.keys(5, torch.arange(T), "pictures"), P, C, H, W, high=256).to(torch.uint8)


def cubic(t: float) -> list[float]:
    """Weights of the four points around a place at the part t between the middle two (Keys 1981, a = -3/4)."""
    a = -0.75
    near = [(a + 2) * d**3 - (a + 3) * d**2 + 1 for d in (t, 1 - t)]
    far = [a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a for d in (1 + t, 2 - t)]
    return [far[0], near[0], near[1], far[1]]


def bent(points: list[list[float]], row: float, column: float) -> float:
    """Bicubic interpolation between points, repeated beyond the border."""
    n, total = len(points), 0.0
    r, c = min(int(row), n - 2), min(int(column), n - 2)
    for i, down in enumerate(cubic(row - r)):
        for j, along in enumerate(cubic(column - c)):
            total += down * along * points[min(max(r + i - 1, 0), n - 1)][min(max(c + j - 1, 0), n - 1)]
    return total


def sampled(plane: list[list[float]], row: float, column: float) -> float:
    """Bilinear interpolation between pixels; beyond the picture there is nothing."""
    r, c = math.floor(row), math.floor(column)
    total = 0.0
    for i in (r, r + 1):
        for j in (c, c + 1):
            if 0 <= i < len(plane) and 0 <= j < len(plane[0]):
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * plane[i][j]
    return total


def distorted(plane: list[list[float]], matrix: list[list[float]], bends: list[list[list[float]]]) -> list[list[float]]:
    """One picture, pixel by pixel; positions run from -1 to 1 between the outer edges of the outermost pixels."""
    H, W = len(plane), len(plane[0])
    out = []
    for i in range(H):
        line = []
        for j in range(W):
            x, y = (2 * j + 1) / W - 1, (2 * i + 1) / H - 1
            place = [row[0] * x + row[1] * y + row[2] for row in matrix]
            if bends:
                for k in (0, 1):
                    n = len(bends[k]) - 1
                    place[k] += bent(bends[k], i * n / (H - 1), j * n / (W - 1))
            line.append(sampled(plane, ((place[1] + 1) * H - 1) / 2, ((place[0] + 1) * W - 1) / 2))
        out.append(line)
    return out


@pytest.mark.parametrize("name", ["affine", "elastic", "affine-elastic"])
def test_distortion_is_what_plain_loops_make_of_each_picture(name: str) -> None:
    distort = AUGMENTS[name]
    assert distort is not None
    T, P, H, W = 2, 3, 12, 9
    x, key = pictures(T, P, 1, H, W), random.keys(1, torch.arange(T), "distort")
    out = distort(x, key)
    for t in range(T):
        own = random.fold(key[t], torch.arange(P))
        matrices = distort.matrices(own)
        bends = 2 * distort.elastic * random.normal(random.fold(own, torch.tensor(1)), 2, 4, 4)
        for p in range(P):
            field = bends[p].tolist() if distort.elastic else []
            wanted = torch.tensor(distorted((x[t, p, 0].double() / 255).tolist(), matrices[p].tolist(), field))
            torch.testing.assert_close(out[t, p, 0], wanted, rtol=0, atol=2e-5)


def test_each_affine_part_does_what_its_name_says() -> None:
    key = random.keys(0, torch.arange(2000), "matrices")
    at = {"rotate": 0.0, "shear": 0.0, "scale": (1.0, 1.0), "translate": 0.0}
    plain = torch.eye(2, 3).expand(2000, 2, 3)
    assert torch.equal(Augment(p=0.0).matrices(key), plain)
    turned = Augment(**{**at, "rotate": 10.0}).matrices(key)
    angle = torch.atan2(turned[:, 1, 0], turned[:, 0, 0]).rad2deg()
    torch.testing.assert_close(turned[:, :, :2] @ turned[:, :, :2].mT, torch.eye(2).expand(2000, 2, 2))
    assert 9.9 < float(angle.abs().max()) <= 10.0001
    moved = Augment(**{**at, "translate": 0.1}).matrices(key)
    assert torch.equal(moved[..., :2], plain[..., :2])
    assert 0.19 < float(moved[..., 2].abs().max()) <= 0.2  # the whole side is 2
    sized = 1 / Augment(**{**at, "scale": (0.5, 2.0)}).matrices(key)[:, 0, 0]
    assert 0.5 <= float(sized.min()) < 0.51
    assert 1.99 < float(sized.max()) <= 2.0
    still = (Augment().matrices(key) == plain).all(-1).all(-1).float().mean()
    assert abs(float(still) - 1 / 16) < 4 * (1 / 16 * 15 / 16 / 2000) ** 0.5


def test_pictures_do_not_depend_on_those_distorted_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    x, key = pictures(3, 50, 1, 13, 11), random.keys(1, torch.arange(3), "distort")
    distort = Augment(elastic=0.05)
    whole = distort(x, key)
    for size in (1, 7 * 143, 40 * 143):
        monkeypatch.setattr(augment, "CACHED_PIXELS", size)
        assert torch.equal(distort(x, key), whole)
    assert torch.equal(distort(x[1:2, :20], key[1:2]), whole[1:2, :20])


def test_bytes_and_floats_are_distorted_alike_and_left_as_they_are() -> None:
    x, key = pictures(2, 4, 3, 10, 10), random.keys(1, torch.arange(2), "distort")
    floats = x.float() / 255
    before = floats.clone()
    torch.testing.assert_close(Augment()(floats, key), Augment()(x, key))
    assert torch.equal(floats, before)


def test_affine_distortion_moves_ink_but_keeps_it() -> None:
    x = torch.zeros(50, 1, 28, 28, dtype=torch.uint8)
    x[..., 10:18, 10:18] = 255
    boxes = Images(x, torch.tensor([0, 25, 50]), ("a", "b"), ("", ""), "boxes", "train", "")
    out = make_source(boxes, way=2, shot=10, query=10, augment="affine")[0].xs
    assert out.dtype == torch.float32
    assert float(out.max()) <= 1.0 + 1e-6
    ink = out.sum((-1, -2)) / 64
    assert 0.4 < float(ink.min()) < float(ink.max()) < 1.9
    assert out.flatten(2).unique(dim=1).shape[1] > 15
