"""Copies of published data sets that are missing, damaged, pickled or changed; and the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kshot.data import load
from kshot.data.published import load_published
from kshot.errors import UserError
from photo_support import cifar_binary, class_files, cut, lines, picture, tar_bytes, wordnet, write_folder

MINI = cut(wordnet(100), 64, 16, 20)
FINE = [f"thing_{c:02d}" for c in range(100)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KSHOT_DATA", raising=False)


@pytest.mark.parametrize("name", ["mini-imagenet", "tiered-imagenet", "cifar-fs", "fc100", "cub", "caltech101"])
def test_without_the_data_the_message_says_what_is_needed_and_where_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for by in ("--data-dir", "KSHOT_DATA"):
        monkeypatch.setenv("KSHOT_DATA", str(tmp_path))
        with pytest.raises(UserError) as error:
            load(name, data_dir=tmp_path if by == "--data-dir" else None)
        said = str(error.value)
        for part in (
            f"no {name} in {tmp_path} (the folder named by {by})",
            "published (",
            f"called {name}",
            "docs/data.md",
        ):
            assert part in said
    monkeypatch.delenv("KSHOT_DATA")
    monkeypatch.setattr("kshot.data.copies.data_dirs", lambda data_dir: ([tmp_path / "nowhere"], ""))
    with pytest.raises(UserError, match=f"no {name} here. It is not downloaded"):
        load(name)


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("mini-imagenet/mini-imagenet-cache-train.pkl", "make pictures of it once, with the lines in docs/data.md"),
        ("cifar-fs/CIFAR_FS_train.pickle", "take CIFAR-100's binary version"),
        ("cifar-100-python.tar.gz", "take CIFAR-100's binary version"),
    ],
)
def test_a_pickle_is_never_loaded_and_the_message_says_what_to_do(tmp_path: Path, file: str, remedy: str) -> None:
    bomb = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    data = tar_bytes({"cifar-100-python/train": bomb}, "w:gz") if file.endswith("gz") else bomb
    write_folder(tmp_path, {file: data})
    name = "mini-imagenet" if file.startswith("mini") else "cifar-fs"
    with pytest.raises(UserError, match=rf"is a pickle, and reading a pickle runs .*: kshot loads none.*{remedy}"):
        load(name, data_dir=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_second_start_reads_the_cache_and_a_changed_copy_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**class_files(wordnet(100)), **{f"{s}.txt": lines(n) for s, n in MINI.items()}}
    root = write_folder(tmp_path / "mini-imagenet", files)
    first = load("mini-imagenet", "test", data_dir=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("kshot.data.published._read", lambda *a: pytest.fail("read again"))
        again = load("mini-imagenet", "test", data_dir=tmp_path)
    assert torch.equal(first.pixels, again.pixels)
    assert (first.names, first.split_note, first.counts.tolist()) == (
        again.names, again.split_note, again.counts.tolist()
    )  # fmt: skip
    changed = MINI["test"][0]
    (root / changed / f"{changed}_0.png").write_bytes(picture(9, 9, 9, side=5))
    assert not torch.equal(load("mini-imagenet", "test", data_dir=tmp_path).pixels, first.pixels)
    for kept in (tmp_path / "cache" / "mini-imagenet").iterdir():
        kept.write_bytes(kept.read_bytes()[:300])
    assert len(load("mini-imagenet", "test", data_dir=tmp_path)) == 40


def test_damaged_pictures_stop_or_are_left_out_and_counted(tmp_path: Path) -> None:
    files = {**class_files(wordnet(100), each=3), **{f"{s}.txt": lines(n) for s, n in MINI.items()}}
    bad = MINI["test"][0]
    files[f"{bad}/{bad}_1.png"] = b"no picture"
    write_folder(tmp_path / "mini-imagenet", files)
    with pytest.raises(UserError, match=rf"{bad}_1.png is not a picture .*--skip-bad"):
        load("mini-imagenet", "test", data_dir=tmp_path)
    images = load("mini-imagenet", "test", data_dir=tmp_path, skip_bad=True)
    assert len(images) == 59
    assert images.counts[images.names.index(bad)] == 2
    assert images.split_note.endswith("; 1 unusable file or folder left out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train.bin": b"\0" * 3000}, r"train.bin has 3,000 bytes, no multiple of the 3074"),
        ({"fine_label_names.txt": lines(FINE[:50])}, r"classes up to 99 .* names for 50 and 20"),
        ({"test.bin": None}, r"test.bin of CIFAR-100's binary version is not beside .*cifar-100-binary"),
    ],
)
def test_a_damaged_binary_version_is_explained(tmp_path: Path, change: dict[str, bytes | None], message: str) -> None:
    files = {**cifar_binary(), **change}
    write_folder(tmp_path / "cifar-100-binary", {n: d for n, d in files.items() if d is not None})
    with pytest.raises(UserError, match=message):
        load("cifar-fs", data_dir=tmp_path)


def test_wrong_splits_and_sizes_are_explained() -> None:
    with pytest.raises(UserError, match="unknown split 'dev'"):
        load_published("cub", "", "dev")
    with pytest.raises(UserError, match="size must be a number of pixels of at least 1; got 0"):
        load_published("cub", "", "train", 0)


def test_pictures_of_any_shape_are_squeezed_into_squares(tmp_path: Path) -> None:
    from PIL import Image

    from kshot.data.photos import square

    wide = np.zeros((3, 8, 3), np.uint8)
    wide[:, 4:] = 200
    shown = square(Image.fromarray(wide), 2)
    assert shown.tolist() == [[[0, 200]] * 2] * 3
    assert square(Image.fromarray(wide).convert("L"), 12).shape == (3, 12, 12)
    assert square(Image.new("RGB", (900, 700), (10, 20, 30)), 84)[:, 5, 5].tolist() == [10, 20, 30]
