"""Caltech-101: the archive as it lies, a split that is a function of its seed, and what is left out."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path

import pytest

from kshot.data import load
from kshot.data.caltech import CLASSES, TWINS, split_by_seed
from kshot.errors import UserError
from photo_support import class_files, tar_bytes, under, write_folder, zip_bytes

NAMES = sorted([*(f"thing_{i:02d}" for i in range(94)), *TWINS, *TWINS.values()])


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KSHOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_split_is_a_function_of_its_seed_and_keeps_twins_together() -> None:
    for seed in range(20):
        parts = split_by_seed(list(reversed(NAMES)), seed)
        assert parts == split_by_seed(NAMES, seed)
        assert {s: len(parts[s]) for s in CLASSES} == CLASSES
        owner = {name: s for s, names in parts.items() for name in names}
        assert set(owner) == set(NAMES)
        assert all(owner[head] == owner[whole] for head, whole in TWINS.items())
    assert split_by_seed(NAMES, 0) != split_by_seed(NAMES, 1)


def test_the_shared_copy_has_100_classes_in_three_splits(kshot_data: Path) -> None:
    parts = {s: load("caltech101", s, data_dir=kshot_data, size=8) for s in ("val", "test")}
    with zipfile.ZipFile(kshot_data / "caltech101" / "caltech101_84x84.zip") as archive:
        everything = {n.split("/")[0] for n in archive.namelist() if "/" in n}
    wanted = split_by_seed(sorted(everything), 0)
    assert sum(len(names) for names in wanted.values()) == 100
    assert {s: list(im.names) for s, im in parts.items()} == {s: wanted[s] for s in parts}
    assert all(int(im.counts.min()) >= 31 and im.pixels.shape[1:] == (3, 8, 8) for im in parts.values())
    assert parts["test"].split_note == "20 of 100 classes of caltech101 by seed 0, twins together, 976 pictures at 8 px"


def test_a_split_means_the_same_in_every_version(kshot_data: Path) -> None:
    test = load("caltech101", "test", data_dir=kshot_data, size=8)
    assert test.names[:5] == ("airplanes", "binocular", "brain", "brontosaurus", "flamingo")
    assert split_by_seed(NAMES, 0)["val"][:3] == ["thing_05", "thing_06", "thing_22"]


def test_the_split_that_lies_beside_the_pictures_can_be_asked_for(kshot_data: Path) -> None:
    test = load("caltech101:listed", "test", data_dir=kshot_data, size=8)
    assert len(test.names) == 20
    assert {"anchor", "yin_yang"} & set(test.names) == {"anchor"}
    assert "by splits.json" in test.split_note


def test_a_second_start_is_fast(kshot_data: Path) -> None:
    load("caltech101", "val", data_dir=kshot_data, size=8)
    start = time.process_time()
    load("caltech101", "val", data_dir=kshot_data, size=8)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("form", ["as published", "inner", "folder"])
def test_the_published_archives_are_read_and_two_folders_left_out(tmp_path: Path, form: str) -> None:
    pictures = under("101_ObjectCategories", class_files([*NAMES, "BACKGROUND_Google", "Faces_easy"], suffix=".jpg"))
    inner = tar_bytes(pictures, "w:gz")
    if form == "as published":
        files = {"101_ObjectCategories.tar.gz": inner, "Annotations.tar": tar_bytes({"Annotations/a/1.mat": b"x"})}
        write_folder(tmp_path, {"caltech-101.zip": zip_bytes(under("caltech-101", files))})
    elif form == "inner":
        write_folder(tmp_path, {"101_ObjectCategories.tar.gz": inner})
    else:
        write_folder(tmp_path / "caltech101", pictures)
    found = load("caltech101", "all", data_dir=tmp_path, size=4)
    assert list(found.names) == NAMES
    assert len(found) == 200
    parts = split_by_seed(NAMES, 7)
    assert list(load("caltech101:7", "val", data_dir=tmp_path, size=4).names) == parts["val"]


def test_another_number_of_classes_or_another_variant_is_explained(tmp_path: Path) -> None:
    write_folder(tmp_path / "caltech101", class_files(NAMES[:-1]))
    with pytest.raises(UserError, match=r"is not caltech101: expected 64 / 16 / 20 .*there are 99 class folders"):
        load("caltech101", data_dir=tmp_path)
    write_folder(tmp_path / "caltech101", class_files(NAMES))
    with pytest.raises(UserError, match="no split called listed was found"):
        load("caltech101:listed", data_dir=tmp_path)
    with pytest.raises(UserError, match="caltech101:lake is no variant"):
        load("caltech101:lake", data_dir=tmp_path)
