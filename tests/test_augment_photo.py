"""Claims about the distortions for photographs: mirror images, other light, and what lies beyond the border."""

from __future__ import annotations

import torch
from torch import Tensor

from kshot.functional import random
from kshot.tasks import AUGMENTS, Augment

STILL = Augment(p=0.0)


def pictures(T: int, P: int, C: int = 3, H: int = 9, W: int = 7) -> Tensor:
    return random.integers(random.keys(5, torch.arange(T), "pictures"), P, C, H, W, high=256).to(torch.uint8)


def keys(T: int) -> Tensor:
    return random.keys(1, torch.arange(T), "distort")


def test_a_flip_is_the_exact_mirror_image_of_about_half_the_pictures() -> None:
    x = pictures(4, 100)
    out = Augment(p=0.0, flip=0.5)(x, keys(4))
    plain, mirrored = x / 255, x.flip(-1) / 255
    turned = ((out - mirrored).abs().flatten(2).amax(-1) < 1e-5).double()
    assert bool((((out - plain).abs().flatten(2).amax(-1) < 1e-5).double() + turned == 1).all())
    assert abs(float(turned.mean()) - 0.5) < 4 * 0.5 / 20
    torch.testing.assert_close(Augment(p=0.0, flip=1.0)(x, keys(4)), mirrored, rtol=0, atol=1e-5)


def test_light_is_what_plain_loops_make_of_every_pixel() -> None:
    x = pictures(2, 3)
    distort = Augment(p=0.0, light=0.4)
    out = distort(x, keys(2))
    for t in range(2):
        own = random.fold(keys(2)[t], torch.arange(3))
        u = random.uniform(random.fold(own, torch.tensor(4)), 3, low=-0.4, high=0.4)
        for p in range(3):
            bright, contrast, strength = (1 + u[p]).tolist()
            for i in range(9):
                for j in range(7):
                    r, g, b = (x[t, p, :, i, j] / 255).tolist()
                    grey = 0.299 * r + 0.587 * g + 0.114 * b
                    for c, value in enumerate((r, g, b)):
                        lit = ((grey + strength * (value - grey)) * bright - 0.5) * contrast + 0.5
                        assert abs(float(out[t, p, c, i, j]) - min(max(lit, 0.0), 1.0)) < 1e-5


def test_light_leaves_the_place_of_things_and_grey_pictures_grey() -> None:
    x = pictures(1, 20, C=1)
    out = Augment(p=0.0, light=0.3)(x, keys(1))
    assert out.shape == x.shape
    for before, after in zip(x[0, :, 0].flatten(1), out[0, :, 0].flatten(1)):
        order = before.argsort(stable=True)
        assert bool((after[order].diff() >= -1e-6).all())  # brighter pixels stay brighter


def test_beyond_the_border_lies_the_mirror_image_or_nothing() -> None:
    x = torch.full((1, 200, 3, 16, 16), 200, dtype=torch.uint8)
    moved = {"rotate": 0.0, "shear": 0.0, "scale": (1.0, 1.0), "translate": 0.3, "p": 1.0}
    torch.testing.assert_close(Augment(**moved, edge="reflection")(x, keys(1)), x / 255)
    assert float(Augment(**moved)(x, keys(1)).min()) == 0.0


def test_photo_is_for_photographs_and_the_published_distortions_stay_as_they_were() -> None:
    photo = AUGMENTS["photo"]
    assert photo is not None
    assert (photo.flip, photo.edge) == (0.5, "reflection")
    assert AUGMENTS["affine"] == Augment(10.0, 0.3, (0.8, 1.2), 2 / 28, 0.5, 0.0, 4, 0.0, 0.0, "zeros")
    x = pictures(2, 5)
    torch.testing.assert_close(STILL(x, keys(2)), x / 255)


def test_pictures_do_not_depend_on_those_distorted_with_them() -> None:
    x, photo = pictures(3, 40), AUGMENTS["photo"]
    assert photo is not None
    whole = photo(x, keys(3))
    assert torch.equal(photo(x[1:2, :20], keys(3)[1:2]), whole[1:2, :20])
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 1
