"""Omniglot: the protocols' splits on the real archives."""

import time
import zipfile
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data import load, load_folder
from kshot.data.archives import locate, read_archive
from kshot.data.omniglot import MINIMAL, VALIDATION, load_omniglot
from kshot.errors import UserError


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache_folder, monkeypatch):
    """Tests neither read nor fill the user's cache, nor know the user's data."""
    monkeypatch.setenv("KSHOT_CACHE", str(cache_folder))
    monkeypatch.delenv("KSHOT_DATA", raising=False)


def alphabets(images):
    return set(images.groups)


@cache
def small(spec, split, folder):
    """Pictures of 8 pixels, loaded once for all tests."""
    return load(spec, split, data_dir=folder, size=8)


def test_all_1623_characters_are_there_20_drawings_each(kshot_data):
    background = small("omniglot:background", "all", kshot_data)
    evaluation = small("omniglot:lake", "test", kshot_data)
    assert (len(background.names), len(alphabets(background))) == (964, 30)
    assert (len(evaluation.names), len(alphabets(evaluation))) == (659, 20)
    assert len(set(background.names + evaluation.names)) == 1623
    assert set(background.counts.tolist()) == set(evaluation.counts.tolist()) == {20}
    assert len(small("omniglot", "all", kshot_data).names) == 1623


def test_lake_holds_out_five_background_alphabets_and_shares_no_class_between_splits(kshot_data):
    train, val, test = (small("omniglot:lake", s, kshot_data) for s in ("train", "val", "test"))
    assert alphabets(val) == set(VALIDATION)
    assert not alphabets(val) & set(sum(MINIMAL.values(), ()))
    assert (len(train.names), len(val.names)) == (808, 156)
    assert not alphabets(train) & alphabets(val)
    assert not (alphabets(train) | alphabets(val)) & alphabets(test)
    assert train.split_note == "30 background alphabets less 5 for validation"
    assert "Futurama" in val.split_note
    assert test.split_note == "the 20 evaluation alphabets"


@pytest.mark.parametrize(("variant", "classes"), [("minimal1", 136), ("minimal2", 156)])
def test_minimal_sets_train_on_five_alphabets(kshot_data, variant, classes):
    train, val, test = (small(f"omniglot:{variant}", s, kshot_data) for s in ("train", "val", "test"))
    assert (len(train.names), len(alphabets(train)), len(test.names)) == (classes, 5, 659)
    assert alphabets(val) == set(VALIDATION)
    assert "Greek" in train.split_note
    tune, held_out = (small(f"omniglot:{variant}-tune", s, kshot_data) for s in ("train", "val"))
    assert alphabets(held_out) == {"Latin"}
    assert alphabets(tune) | {"Latin"} == alphabets(train)
    assert (len(tune.names), len(held_out.names)) == (classes - 26, 26)


def test_random_split_has_the_published_sizes_and_shares_no_character(kshot_data):
    parts = {s: small("omniglot:random", s, kshot_data) for s in ("train", "val", "test")}
    assert {s: len(p.names) for s, p in parts.items()} == {"train": 4400, "val": 400, "test": 1692}
    characters = {s: {n.split(" ")[0] for n in p.names} for s, p in parts.items()}
    assert {s: len(c) for s, c in characters.items()} == {"train": 1100, "val": 100, "test": 423}
    assert len(set.union(*characters.values())) == 1623
    assert len(alphabets(parts["test"])) > 80  # alphabets from both archives, in four rotations
    upright = parts["val"].select(range(100))
    assert torch.equal(parts["val"].select(range(100, 200)).pixels, torch.rot90(upright.pixels, 1, (-2, -1)))


def test_a_random_split_means_the_same_in_every_version(kshot_data):
    val = small("omniglot:random", "val", kshot_data)
    assert val.names[0] == "Alphabet_of_the_Magi/character08"
    assert val.names[1:3] == ("Anglo-Saxon_Futhorc/character08", "Anglo-Saxon_Futhorc/character23")
    assert small("omniglot:random-0", "val", kshot_data).names == val.names
    assert small("omniglot:random-3", "val", kshot_data).names != val.names


def test_background_only_measures(kshot_data):
    images = small("omniglot:background", "test", kshot_data)
    assert len(images.names) == 964
    assert images.split_note == "all 30 background alphabets"
    with pytest.raises(UserError, match=r"omniglot:background only measures .* not 'train'; .* use omniglot:lake"):
        load("omniglot:background", "train", data_dir=kshot_data)


def test_pictures_are_bright_ink_on_nothing_at_any_size(kshot_data):
    original = load("omniglot:minimal1", data_dir=kshot_data, size=105).pixels
    assert original.shape == (2720, 1, 105, 105)
    assert set(original.unique().tolist()) == {0, 255}
    assert 0.02 < (original == 255).float().mean() < 0.15
    reduced = load("omniglot:minimal1", data_dir=kshot_data).pixels
    assert reduced.shape == (2720, 1, 28, 28)
    assert abs(reduced.float().mean() - original.float().mean()) < 0.1  # area averages keep the amount of ink
    with zipfile.ZipFile(locate("background", kshot_data)) as archive:
        first = np.asarray(Image.open(archive.open("images_background/Balinese/character01/0108_01.png")))
    assert np.array_equal(original[0, 0].numpy() == 0, first)


def test_the_one_published_pair_of_identical_drawings_is_found(kshot_data):
    braille = read_archive(locate("background", kshot_data), "background")
    own = braille.pixels([braille.characters.index("Braille/character01")])
    assert torch.equal(own[2], own[18])


def test_unpacked_as_a_folder_of_folders_it_gives_the_same_pixels(kshot_data, tmp_path):
    with zipfile.ZipFile(locate("background", kshot_data)) as archive:
        wanted = [n for n in archive.namelist() if "/Latin/character0" in n or "/Greek/character0" in n]
        archive.extractall(tmp_path, wanted)
    folder = load_folder(tmp_path / "images_background", "all", 20)
    real = load("omniglot:minimal1", data_dir=kshot_data, size=20)
    same = real.select([real.names.index(n) for n in folder.names])
    assert len(folder.names) == 18
    assert folder.groups == same.groups
    assert torch.equal(folder.pixels, same.pixels)


def test_a_second_start_reads_the_cache_in_well_under_two_seconds(kshot_data):
    load("omniglot:lake", data_dir=kshot_data)
    start = time.process_time()
    load("omniglot:lake", data_dir=kshot_data)
    assert time.process_time() - start < 1.5  # seconds of one core; 0.7 measured


@pytest.mark.parametrize(
    ("spec", "split", "size", "message"),
    [
        ("minimal3", "train", None, "unknown variant of omniglot 'minimal3'; did you mean 'minimal[12]'"),
        ("lake", "dev", None, "unknown split 'dev'"),
        ("random-x", "train", None, "needs a whole number as its seed, like random-3; got 'random-x'"),
        ("random-", "train", None, "needs a whole number as its seed"),
        ("lake", "train", 0, "size must be a number of pixels of at least 1; got 0"),
    ],
)
def test_wrong_names_and_sizes_are_explained(spec, split, size, message):
    with pytest.raises(UserError, match=message):
        load_omniglot(spec, split, size)
