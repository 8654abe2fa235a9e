"""Scribbles are pure functions of (seed, class, drawing), look like ink, and differ as characters do."""

import hashlib

import torch

from kshot.data.scribbles import Scribbles

CLASSES = torch.tensor([0, 1, 2, 959, 10**12, 7])
DRAWINGS = torch.arange(5).expand(6, 5)


def test_drawings_are_uint8_pictures_of_the_given_shape():
    for size in (28, 40):
        x = Scribbles(size=size).draw(CLASSES.view(2, 3), DRAWINGS.reshape(2, 3, 5))
        assert x.shape == (2, 3, 5, 1, size, size)
        assert x.dtype == torch.uint8


def test_every_drawing_has_ink_on_mostly_empty_paper():
    x = Scribbles().draw(torch.arange(500), torch.arange(4).expand(500, 4)).float() / 255
    assert (x.amax((-1, -2)) > 0.9).all()
    share = x.mean((-1, -2))
    assert 0.05 < share.mean() < 0.11  # Omniglot at 28 pixels: 0.078
    assert share.max() < 0.35


def test_the_same_pixels_alone_and_in_any_batch():
    source = Scribbles(seed=3)
    classes = torch.arange(50)
    drawings = torch.arange(4).expand(50, 4)
    whole = source.draw(classes, drawings)
    for c in range(50):
        assert torch.equal(source.draw(classes[c : c + 1], drawings[c : c + 1])[0], whole[c])
        assert torch.equal(source.draw(classes[c], torch.tensor([2]))[0], whole[c, 2])
    order = torch.arange(49, -1, -1)
    assert torch.equal(
        source.draw(classes[order].view(5, 10), drawings.reshape(5, 10, 4)), whole[order].view(5, 10, 4, 1, 28, 28)
    )


def test_the_drawings_of_a_seed_are_the_same_in_every_version():
    x = Scribbles().draw(CLASSES, DRAWINGS)
    assert (
        hashlib.sha256(x.numpy().tobytes()).hexdigest()
        == "007fb65a8498bd7028459544945837de144d281b6c7c70ac2d57ec45d7934301"
    )


def test_another_class_drawing_or_seed_is_another_picture():
    x = Scribbles().draw(torch.arange(200), torch.arange(5).expand(200, 5)).flatten(0, 1).flatten(1)
    assert len(x.unique(dim=0)) == 1000
    assert not torch.equal(Scribbles(seed=0).draw(CLASSES, DRAWINGS), Scribbles(seed=1).draw(CLASSES, DRAWINGS))


def test_drawings_of_one_character_are_nearer_than_those_of_others():
    """Not so near that raw pixels would do (real characters of one alphabet: 79 % errors), but well above chance."""
    wrong = []
    for task in range(40):
        x = Scribbles().draw(torch.arange(20) + 20 * task, torch.arange(2).expand(20, 2)).flatten(2).float()
        distance = torch.cdist(x[:, 1], x[:, 0])
        wrong.append((distance.argmin(1) != torch.arange(20)).float().mean())
    assert 0.55 < torch.stack(wrong).mean() < 0.9
