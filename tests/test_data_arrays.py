"""Labelled pictures in an .npz file."""

import numpy as np
import pytest
import torch

from kshot.data import load, load_arrays
from kshot.errors import UserError

X = np.arange(6 * 5 * 4, dtype=np.uint8).reshape(6, 5, 4)
Y = np.array([3, 10, 3, 10, 10, 3])


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "set.npz"


def test_pictures_are_sorted_by_class_and_numbers_by_value(path):
    images = load(save(path, x=X, y=Y), "all")
    assert images.names == ("3", "10")
    assert images.pixels.shape == (6, 1, 5, 4)
    assert torch.equal(images.pixels[:, 0], torch.from_numpy(X[[0, 2, 5, 1, 3, 4]]))
    assert images.counts.tolist() == [3, 3]
    assert (images.name, images.split_note) == ("set.npz", "all 2 classes of set.npz")


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (X, (6, 1, 5, 4)),
        (X[..., None], (6, 1, 5, 4)),
        (X[:, None], (6, 1, 5, 4)),
        (np.stack([X] * 3, -1), (6, 3, 5, 4)),
        (np.stack([X] * 3, 1), (6, 3, 5, 4)),
        (X.astype(np.int64), (6, 1, 5, 4)),
        (X / 255, (6, 1, 5, 4)),
        ((X / 255).astype(np.float32), (6, 1, 5, 4)),
    ],
)
def test_every_layout_and_number_gives_the_same_pixels(path, x, shape):
    images = load_arrays(save(path, images=x, labels=Y), "all")
    assert images.pixels.shape == shape
    assert torch.equal(images.pixels[0, 0], torch.from_numpy(X[0]))


def test_truth_values_are_ink(path):
    assert load_arrays(save(path, x=X > 60, y=Y), "all").pixels.unique().tolist() == [0, 255]


@pytest.mark.parametrize("y", [np.array(list("abaabb")), np.array(list("abaabb")).astype("S")])
def test_labels_may_be_strings(path, y):
    assert load_arrays(save(path, x=X, y=y), "all").names == ("a", "b")


def test_classes_are_split_by_their_names(path):
    x, y = np.zeros((50, 4, 4), np.uint8), np.repeat(np.arange(25), 2)
    save(path, x=x, y=y)
    parts = [load_arrays(path, s).names for s in ("train", "val", "test")]
    assert [len(p) for p in parts] == [16, 4, 5]
    assert len(set(sum(parts, ()))) == 25


def test_size_brings_them_to_a_square(path):
    assert load(save(path, x=X, y=Y), "all", size=8).pixels.shape == (6, 1, 8, 8)


def test_classes_with_too_few_examples_are_named_or_left_out(path):
    save(path, x=X, y=np.array([1, 1, 1, 2, 2, 7]))
    with pytest.raises(
        UserError, match=r"the class '7' of .*set.npz has 1 usable example but needs at least 2.*--skip"
    ):
        load_arrays(path, "all")
    images = load(path, "all", skip_bad=True)
    assert images.names == ("1", "2")
    assert images.split_note.endswith("; 1 unusable file or folder left out")
    with pytest.raises(UserError, match=r"no class of .*set.npz \(split 'all'\) has 9 pictures: add pictures"):
        load(path, "all", skip_bad=True, least=9)


SOME = "save exactly one of them"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, rf"no array y or labels \(found: x\); {SOME}"),
        ({"a": X, "y": Y}, rf"no array x or images \(found: a, y\); {SOME}"),
        ({"x": X, "images": X, "y": Y}, rf"both arrays x or images \(found: images, x, y\); {SOME}"),
        ({"x": X, "y": Y[:5]}, "6 pictures but 5 labels; expected one label a picture"),
        (
            {"x": X[0], "y": Y},
            r"shape \[5, 4\]; expected \[M, H, W\], \[M, H, W, C\] or \[M, C, H, W\] with C of 1",
        ),
        ({"x": np.zeros((6, 5, 4, 2)), "y": Y}, r"shape \[6, 5, 4, 2\]; expected"),
        ({"x": np.zeros((0, 5, 4)), "y": Y[:0]}, r"shape \[0, 1, 5, 4\]; expected"),
        (
            {"x": X.astype(float), "y": Y},
            "are float64 from 0.0 to 119.0; expected 0 to 1: divide them by",
        ),
        ({"x": np.full((6, 5, 4), np.nan), "y": Y}, "are float64 from nan to nan; expected 0 to 1"),
        (
            {"x": X.astype(int) - 1, "y": Y},
            "are int64 from -1 to 118; expected 0 to 255: scale them or save",
        ),
        ({"x": X.astype(complex), "y": Y}, "are of type complex128; expected whole numbers 0..255 or numbers 0..1"),
        (
            {"x": X, "y": Y / 2},
            r"the labels in .* are float64 of shape \[6\]; expected whole numbers or strings",
        ),
        ({"x": X, "y": np.eye(6, dtype=int)}, r"the labels in .* are int64 of shape \[6, 6\]"),
        (
            {"x": X, "y": Y.astype(object)},
            r"cannot be read as an .npz file \(it holds Python objects",
        ),
    ],
)
def test_mistakes_are_named_with_what_to_do(path, arrays, message):
    save(path, **arrays)
    with pytest.raises(UserError, match=message) as error:
        load_arrays(path, "all")
    assert "set.npz" in str(error.value)


def test_files_that_are_no_npz_are_named(path, tmp_path):
    with pytest.raises(UserError, match=r"set.npz does not exist or is not a file; expected an .npz file"):
        load_arrays(path)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"set.npz cannot be read as an .npz file .*save pictures and labels as plain"):
        load_arrays(path)
    save(path, x=X, y=Y)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"set.npz cannot be read as an .npz file"):
        load_arrays(path)
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(UserError, match=r"one.npy holds a single array; save pictures and labels"):
        load_arrays(tmp_path / "one.npy")
