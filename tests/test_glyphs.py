"""Glyphs: letters of scripts never seen in training, no two alike, drawn the same way every time."""

import hashlib

import pytest
import torch

from kshot.data import load
from kshot.data.glyphs import DRAWINGS, SCRIPTS, draw_glyphs, letters, load_glyphs
from kshot.data.images import Images
from kshot.data.lookalikes import ALIKE, distances, first_of_each, fit
from kshot.data.typefaces import FACES, UPRIGHT, is_letter, render
from kshot.errors import UserError
from kshot.functional import random
from kshot.functional.distort import Hand, distort


@pytest.fixture(scope="module")
def splits() -> dict[str, Images]:
    return {split: load_glyphs(split=split) for split in ("train", "val", "test")}


def test_every_split_has_uint8_pictures_with_ink(splits):
    for images in splits.values():
        assert images.pixels.shape[1:] == (1, 28, 28)
        assert (images.counts == DRAWINGS).all()
        peak = images.pixels.flatten(1).amax(1)
        assert peak.min() > 30
        assert peak.float().mean() > 230
        assert 0.05 < (images.pixels.float() / 255).mean() < 0.2


def test_scripts_letters_and_faces_are_as_many_as_reported(splits):
    counts = {split: len(images.names) for split, images in splits.items()}
    assert counts["train"] > 700
    assert counts["val"] > 70
    assert counts["test"] > 140
    note = splits["test"].split_note
    assert note.startswith(f"{counts['test']} letters of 4 scripts (Armenian ")
    assert f"in {len(FACES)} faces" in note


def test_no_script_is_in_two_splits(splits):
    groups = [set(images.groups) for images in splits.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(SCRIPTS)
    assert all(
        group == name.split("/")[0] for images in splits.values() for name, group in zip(images.names, images.groups)
    )
    names = [name for images in splits.values() for name in images.names]
    assert len(set(names)) == len(names)
    assert "Greek/GREEK SMALL LETTER XI" in splits["train"].names


def test_no_two_letters_look_alike_in_any_upright_face():
    every = letters()
    faces = every.typefaces
    for face in UPRIGHT:
        has = every.kept[faces.has[every.kept, faces.faces.index(face)]]
        pictures, sides = render(face, faces.characters[has].tolist())
        assert sides.min() > 0  # every letter has ink
        distance = distances(fit(pictures, sides)).fill_diagonal_(1)
        assert distance.min() >= ALIKE


@pytest.mark.parametrize("twin", ["A\u0391\u0410", "o\u03bf\u043e\u0585O", "vV", "cC\u0441\u03f2", "p\u0440"])
def test_letters_of_one_shape_are_kept_once_at_most(twin):
    kept = letters().typefaces.characters[letters().kept].tolist()
    assert sum(ord(c) in kept for c in twin) <= 1


def test_the_distance_of_shapes_ignores_size_and_place_but_not_form():
    def shape(letter: str) -> torch.Tensor:
        return fit(*render("DejaVuSans", [ord(letter)]))

    assert distances(torch.cat([shape("S"), shape("s")]))[0, 1] < ALIKE
    assert distances(torch.cat([shape("A"), shape("\u0410")]))[0, 1] == 0
    for other in "BCEFGHKLMNRTUVWXYZ":
        assert distances(torch.cat([shape("A"), shape(other)]))[0, 1] > 2 * ALIKE


def test_the_first_of_look_alikes_stays():
    distance = torch.tensor([[0.0, 0.01, 0.5], [0.01, 0.0, 0.01], [0.5, 0.01, 0.0]])
    assert first_of_each(distance, 0.05) == [0, 2]


def test_accents_ligatures_marks_and_signs_are_no_letters_of_their_own():
    assert not any(is_letter(c) for c in "\u00e9\ufb01\u0301\u02b07+\u0e33")
    assert all(is_letter(c) for c in "a\u03c9\u0416\u05d0\u0561\u10d3\u0ea5\u07ca\u2d30\u1403\u1683")


def test_a_drawing_depends_on_nothing_but_letter_and_number():
    faces = letters().typefaces
    rows = letters().kept[::97]
    together = draw_glyphs(faces, rows, 28).unflatten(0, (len(rows), DRAWINGS))
    for i, row in enumerate(rows):
        assert torch.equal(draw_glyphs(faces, row[None], 28), together[i])


def test_the_drawings_of_a_letter_are_the_same_in_every_version(splits):
    images = splits["test"]
    assert hashlib.sha256("\n".join(images.names).encode()).hexdigest()[:16] == "87b1089c4203b293"
    at = images.names.index("Armenian/ARMENIAN SMALL LETTER FEH") * DRAWINGS
    assert hashlib.sha256(images.pixels[at : at + DRAWINGS].numpy().tobytes()).hexdigest()[:16] == "0e44a2db38af1372"


def test_all_drawings_differ(splits):
    pixels = splits["val"].pixels.flatten(1)
    assert len(pixels.unique(dim=0)) == len(pixels)


def test_raw_pixels_hardly_tell_the_letters_apart(splits):
    """20-way 1-shot over the test scripts: the distortion leaves raw pixels above chance (95 % errors), but poor."""
    pixels = splits["test"].pixels.float().flatten(1).unflatten(0, (-1, DRAWINGS))
    wrong = []
    for t in range(100):
        some = random.permutation(random.keys(0, torch.tensor(t), "test"), len(pixels))[:20]
        nearest = torch.cdist(pixels[some, t % 10], pixels[some, 10 + t % 10]).argmin(1)
        wrong.append((nearest != torch.arange(20)).float().mean())
    assert 0.65 < torch.stack(wrong).mean() < 0.9


def test_size_and_names_are_checked():
    assert load_glyphs(split="val", size=16).pixels.shape[-2:] == (16, 16)
    with pytest.raises(UserError, match="variants"):
        load("glyphs:bold")
    with pytest.raises(UserError, match="did you mean 'test'"):
        load("glyphs", "tset")
    with pytest.raises(UserError, match="at least 8"):
        load("glyphs", size=4)


def test_a_hand_that_does_not_vary_only_scales():
    picture = torch.zeros(1, 32, 32, dtype=torch.uint8)
    picture[:, 8:24, 12:20] = 255
    still = Hand(0, 0, 0, 0, 0, 0, 0)
    key = torch.tensor([5])
    one = torch.tensor([0])
    same = distort(picture, one, key, torch.tensor([1.0]), size=32, hand=still)
    assert torch.allclose(same, picture / 255, atol=1e-5)
    half = distort(picture, one, key, torch.tensor([0.5]), size=32, hand=still)
    assert half.sum().item() == pytest.approx(same.sum().item() / 4, rel=0.01)
    assert half[0, 12:20, 14:18].min() > 0.9
