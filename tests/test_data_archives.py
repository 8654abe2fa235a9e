"""Omniglot's archives: found, downloaded, checked by content, decoded once; and what happens when one is wrong."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from kshot.data import archives
from kshot.data.archives import Archive, locate, read_archive
from kshot.errors import UserError


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
