"""Omniglot: the protocols' splits on the real archives, and what happens when an archive is not what it should be."""

import io
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data import archives, load
from kshot.data.archives import Archive, locate, read_archive
from kshot.data.omniglot import MINIMAL, VALIDATION, load_omniglot
from kshot.errors import UserError


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    """Tests neither read nor fill the user's cache, nor know the user's data."""
    monkeypatch.setenv("KSHOT_CACHE", str(cache))
    monkeypatch.delenv("KSHOT_DATA", raising=False)


# ---------------------------------------------------------------- the real characters


def alphabets(images):
    return set(images.groups)


def test_all_1623_characters_are_there_20_drawings_each(kshot_data):
    background = load("omniglot:background", "all", data_dir=kshot_data, size=8)
    evaluation = load("omniglot:lake", "test", data_dir=kshot_data, size=8)
    assert (len(background.names), len(alphabets(background))) == (964, 30)
    assert (len(evaluation.names), len(alphabets(evaluation))) == (659, 20)
    assert len(set(background.names + evaluation.names)) == 1623
    assert set(background.counts.tolist()) == set(evaluation.counts.tolist()) == {20}
    assert len(load("omniglot", "all", data_dir=kshot_data, size=8).names) == 1623


def test_lake_holds_out_five_background_alphabets_and_shares_no_class_between_splits(kshot_data):
    train, val, test = (load("omniglot:lake", s, data_dir=kshot_data, size=8) for s in ("train", "val", "test"))
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
    train, val, test = (load(f"omniglot:{variant}", s, data_dir=kshot_data, size=8) for s in ("train", "val", "test"))
    assert (len(train.names), len(alphabets(train)), len(test.names)) == (classes, 5, 659)
    assert alphabets(val) == set(VALIDATION)
    assert "Greek" in train.split_note
    tune, held_out = (load(f"omniglot:{variant}-tune", s, data_dir=kshot_data, size=8) for s in ("train", "val"))
    assert alphabets(held_out) == {"Latin"}
    assert alphabets(tune) | {"Latin"} == alphabets(train)
    assert (len(tune.names), len(held_out.names)) == (classes - 26, 26)


def test_random_split_has_the_published_sizes_and_shares_no_character(kshot_data):
    parts = {s: load("omniglot:random", s, data_dir=kshot_data, size=8) for s in ("train", "val", "test")}
    assert {s: len(p.names) for s, p in parts.items()} == {"train": 4400, "val": 400, "test": 1692}
    characters = {s: {n.split(" ")[0] for n in p.names} for s, p in parts.items()}
    assert {s: len(c) for s, c in characters.items()} == {"train": 1100, "val": 100, "test": 423}
    assert len(set.union(*characters.values())) == 1623
    assert len(alphabets(parts["test"])) > 80  # alphabets from both archives, in four rotations
    upright = parts["val"].select(range(100))
    assert torch.equal(parts["val"].select(range(100, 200)).pixels, torch.rot90(upright.pixels, 1, (-2, -1)))


def test_a_random_split_means_the_same_in_every_version(kshot_data):
    val = load("omniglot:random", "val", data_dir=kshot_data, size=8)
    assert val.names[0] == "Alphabet_of_the_Magi/character08"
    assert val.names[1:3] == ("Anglo-Saxon_Futhorc/character08", "Anglo-Saxon_Futhorc/character23")
    assert load("omniglot:random-0", "val", data_dir=kshot_data, size=8).names == val.names
    assert load("omniglot:random-3", "val", data_dir=kshot_data, size=8).names != val.names


def test_background_only_measures(kshot_data):
    images = load("omniglot:background", "test", data_dir=kshot_data, size=8)
    assert len(images.names) == 964
    assert images.split_note == "all 30 background alphabets"
    with pytest.raises(UserError, match=r"omniglot:background only measures .* not 'train'; .* use omniglot:lake"):
        load("omniglot:background", "train", data_dir=kshot_data)


def test_pictures_are_bright_ink_on_nothing_at_any_size(kshot_data):
    original = load("omniglot:minimal1", data_dir=kshot_data, size=105).pixels
    assert original.shape == (2720, 1, 105, 105)
    assert set(original.unique().tolist()) == {0, 255}
    assert 0.02 < (original == 255).float().mean() < 0.15
    small = load("omniglot:minimal1", data_dir=kshot_data).pixels
    assert small.shape == (2720, 1, 28, 28)
    assert abs(small.float().mean() - original.float().mean()) < 0.1  # area averages keep the amount of ink
    with zipfile.ZipFile(locate("background", kshot_data)) as archive:
        first = np.asarray(Image.open(archive.open("images_background/Balinese/character01/0108_01.png")))
    assert np.array_equal(original[0, 0].numpy() == 0, first)


def test_the_one_published_pair_of_identical_drawings_is_found(kshot_data):
    braille = load("omniglot:background", "all", data_dir=kshot_data, size=105)
    own = braille.select([braille.names.index("Braille/character01")]).pixels
    assert torch.equal(own[2], own[18])


def test_a_second_start_reads_the_cache_in_well_under_two_seconds(kshot_data):
    load("omniglot:lake", data_dir=kshot_data)
    start = time.perf_counter()
    load("omniglot:lake", data_dir=kshot_data)
    assert time.perf_counter() - start < 5  # 0.7 s on an idle core; the machine may be busy


# ---------------------------------------------------------------- archives that are wrong


def png(side=105, ink=((1, 2),)):
    picture = np.full((side, side), True)
    for y, x in ink:
        picture[y, x] = False
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def write_archive(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "images_background.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"images_background/{name}", data)
    return path


def tiny_files():
    return {
        f"{a}/character01/{k:04d}_{d:02d}.png": png(ink=((d, k),))
        for k, a in enumerate(("Greek", "Latin"), 1)
        for d in range(1, 21)
    }


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """An archive of two characters, taken for the whole background set, and a cache of its own."""
    monkeypatch.setitem(archives.ARCHIVES, "background", Archive("images_background.zip", "0" * 32, 2, 2))
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    return write_archive(tmp_path / "data" / "omniglot", tiny_files())


def test_an_archive_is_found_in_the_named_folder_or_its_omniglot_folder(tiny, monkeypatch):
    assert locate("background", tiny.parent) == tiny
    assert locate("background", tiny.parent.parent) == tiny
    monkeypatch.setenv("KSHOT_DATA", str(tiny.parent.parent))
    assert locate("background", None) == tiny


@pytest.mark.parametrize("by", ["--data-dir", "KSHOT_DATA"])
def test_a_named_folder_without_the_archive_is_an_error_and_downloads_nothing(tmp_path, monkeypatch, by):
    monkeypatch.setattr("kshot.data.archives.download", lambda archive: pytest.fail("downloaded"))
    monkeypatch.setenv("KSHOT_DATA", str(tmp_path))
    message = f"no images_background.zip in {tmp_path} .*named by {by}; put the archive there .*leave out {by}"
    with pytest.raises(UserError, match=message):
        locate("background", tmp_path if by == "--data-dir" else None)


def test_without_a_folder_the_published_archive_is_downloaded_with_its_checksum(tmp_path, monkeypatch):
    asked = {}

    def retrieve(url, **options):
        asked.update(options, url=url)
        return str(tmp_path / "images_background.zip")

    monkeypatch.setattr("kshot.data.archives.data_dirs", lambda data_dir: ([], ""))
    monkeypatch.setattr("pooch.retrieve", retrieve)
    assert locate("background", None) == tmp_path / "images_background.zip"
    assert asked["url"] == "https://github.com/brendenlake/omniglot/raw/master/python/images_background.zip"
    assert asked["known_hash"] == "md5:68d2efa1b9178cc56df9314c21c6e718"


def test_a_failed_download_says_what_to_do(monkeypatch):
    def retrieve(url, **options):
        raise ValueError("MD5 hash does not match")

    monkeypatch.setattr("kshot.data.archives.data_dirs", lambda data_dir: ([], ""))
    monkeypatch.setattr("pooch.retrieve", retrieve)
    message = r"could not download .*images_evaluation.zip: MD5 hash does not match. .*--data-dir or KSHOT_DATA"
    with pytest.raises(UserError, match=message):
        locate("evaluation", None)


def test_drawings_are_packed_to_bits_and_come_back_whole(tiny):
    drawings = read_archive(tiny, "background")
    assert drawings.characters == ("Greek/character01", "Latin/character01")
    latin = drawings.pixels([1])
    assert latin.shape == (20, 1, 105, 105)
    assert [p.nonzero().tolist() for p in latin[:, 0]] == [[[d, 2]] for d in range(1, 21)]
    assert set(latin.unique().tolist()) == {0, 255}


def test_the_cache_is_used_and_belongs_to_the_very_archive(tiny, monkeypatch):
    first = read_archive(tiny, "background")
    with monkeypatch.context() as patch:
        patch.setattr("kshot.data.archives.decode", lambda *a: pytest.fail("decoded again"))
        again = read_archive(tiny, "background")
    assert np.array_equal(first.bits, again.bits)
    assert first.characters == again.characters
    files = tiny_files() | {"Greek/character01/0001_01.png": png(ink=((50, 50),))}
    write_archive(tiny.parent, files)
    assert not np.array_equal(read_archive(tiny, "background").bits, first.bits)


@pytest.mark.parametrize("damage", [b"", b"no archive", "cut", "short"])
def test_a_damaged_cache_is_made_again(tiny, tmp_path, damage):
    first = read_archive(tiny, "background")
    (cached,) = (tmp_path / "cache" / "omniglot").iterdir()
    if damage == "short":
        np.savez(cached, bits=first.bits[:-1], characters=np.array(first.characters))
    else:
        cached.write_bytes(cached.read_bytes()[:-200] if damage == "cut" else damage)
    assert np.array_equal(read_archive(tiny, "background").bits, first.bits)
    assert np.load(cached)["bits"].shape == first.bits.shape


def test_a_cache_that_cannot_be_written_is_no_error_but_a_warning(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="could not keep the decoded pictures in .*name a folder .* by KSHOT_CACHE"):
        assert len(read_archive(tiny, "background").characters) == 2


def without_last(files):
    return dict(list(files.items())[:-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_last, "is not Omniglot's background set: expected 2 alphabets, 2 characters and 20 drawings of each"),
        (lambda f: f | {"Tamil/character01/0003_01.png": png()}, "found 3 alphabets, 3 characters and 41 drawings"),
        (lambda f: f | {"Greek/character01/0001_07.png": b""}, "Greek/character01/0001_07.png in .* cannot be read"),
        (lambda f: f | {"Greek/character01/0001_07.png": png()[:-40]}, "0001_07.png in .* cannot be read"),
        (
            lambda f: f | {"Greek/character01/0001_07.png": png(28)},
            "0001_07.png in .* is 28 x 28 pixels, not 105",
        ),
        (lambda f: {}, "found 0 alphabets, 0 characters and 0 drawings"),
    ],
)
def test_an_archive_put_there_by_hand_is_checked_by_content(tiny, change, message):
    path = write_archive(tiny.parent, change(tiny_files()))
    with pytest.raises(UserError, match=message) as error:
        read_archive(path, "background")
    assert str(path) in str(error.value)
    assert "get images_background.zip again from https://github.com/brendenlake/omniglot" in str(error.value)


def test_a_file_that_is_no_zip_is_named(tiny):
    tiny.write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"images_background.zip is not a zip archive .*get images_background.zip"):
        read_archive(tiny, "background")


# ---------------------------------------------------------------- names that are wrong


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
