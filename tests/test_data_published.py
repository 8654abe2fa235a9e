"""The papers' data sets from a user's own copy, in the layouts in which they are published (small pictures)."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch

from kshot.data import load
from kshot.errors import UserError
from kshot.tasks import make_source
from photo_support import (
    cifar_binary,
    class_files,
    cut,
    lines,
    picture,
    tar_bytes,
    under,
    wordnet,
    write_folder,
    zip_bytes,
)

MINI = cut(wordnet(100), 64, 16, 20)
TIERED = cut(wordnet(608), 351, 97, 160)
FINE = [f"thing_{c:02d}" for c in range(100)]
CIFAR = cut(FINE, 64, 16, 20)
BIRDS = [f"{i:03d}.Bird_{i}" for i in range(1, 201)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KSHOT_DATA", raising=False)


def names_of(spec: str, data: Path, size: int = 4) -> dict[str, set[str]]:
    return {s: set(load(spec, s, data_dir=data, size=size).names) for s in ("train", "val", "test")}


def sets(split: dict[str, list[str]]) -> dict[str, set[str]]:
    return {s: set(names) for s, names in split.items()}


def table(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def ravi() -> dict[str, bytes]:
    """mini-ImageNet's usual form: all pictures in one folder, and filename,label tables."""
    flat = {f"images/{c}0000{j}.jpg": picture(i, j) for i, c in enumerate(wordnet(100)) for j in (1, 2)}
    for split, names in MINI.items():
        rows = [("filename", "label"), *((f"{c}0000{j}.jpg", c) for c in names for j in (1, 2))]
        flat[f"{split}.csv"] = table(rows)
    return flat


@pytest.mark.parametrize(
    "form", ["flat", "zip", "images-zip", "folders", "split-folders", "split-tars", "text", "paths"]
)
def test_mini_imagenet_in_its_usual_layouts(tmp_path: Path, form: str) -> None:
    root = tmp_path / "data" / ("miniImageNet" if form == "flat" else "mini_imagenet")
    by_class = class_files(wordnet(100))
    csvs = {n: d for n, d in ravi().items() if n.endswith(".csv")}
    by_split = {s: {n: d for n, d in by_class.items() if n[:9] in names} for s, names in MINI.items()}
    if form == "flat":
        write_folder(root, ravi())
    elif form == "zip":
        root.parent.mkdir()
        root.with_suffix(".zip").write_bytes(zip_bytes(under("mini-imagenet", ravi())))
    elif form == "images-zip":
        pictures = {n: d for n, d in ravi().items() if n.startswith("images/")}
        write_folder(root, {"images.zip": zip_bytes(pictures), **under("split", csvs)})
    elif form == "folders":
        write_folder(root, {**by_class, **csvs})
    elif form == "text":
        write_folder(root, {**under("images", by_class), **{f"{s}.txt": lines(names) for s, names in MINI.items()}})
    elif form == "paths":
        paths = {s: [f"images/{c}/{c}_{j}.png {i}" for i, c in enumerate(n) for j in (0, 1)] for s, n in MINI.items()}
        write_folder(root, {**under("images", by_class), **{f"{s}.txt": lines(some) for s, some in paths.items()}})
    elif form == "split-folders":
        write_folder(root, {n: d for s, files in by_split.items() for n, d in under(s, files).items()})
    else:
        write_folder(root, {f"{s}.tar": tar_bytes(files) for s, files in by_split.items()})
    assert names_of("mini-imagenet", tmp_path / "data") == sets(MINI)
    images = load("mini-imagenet", "val", data_dir=tmp_path / "data", size=6)
    assert images.pixels.shape == (32, 3, 6, 6)
    assert set(images.counts.tolist()) == {2}
    first = wordnet(100).index(images.names[0])
    assert images.pixels[:2, :, 0, 0].tolist() in ([[first, 1, 0], [first, 2, 0]], [[first, 0, 0], [first, 1, 0]])
    assert images.split_note.startswith("16 of 100 classes of mini-imagenet by ")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_tiered_imagenet_from_imagenets_folders_and_the_list_of_classes(tmp_path: Path, form: str) -> None:
    files = under("train", class_files(wordnet(650), suffix=".JPEG"))  # ImageNet has more classes than the list
    for split, names in TIERED.items():
        listed = table([(n, "n00020090") for n in names])
        files[f"{split}.{form}"] = listed if form == "csv" else json.dumps({"class_names": names}).encode()
    write_folder(tmp_path / "tiered-imagenet", files)
    assert names_of("tiered-imagenet", tmp_path, 2) == sets(TIERED)


@pytest.mark.parametrize("form", ["folders", "binary"])
def test_cifar_fs_from_class_folders_or_the_binary_version(tmp_path: Path, form: str) -> None:
    lists = {f"{s}.txt": lines(names) for s, names in CIFAR.items()}
    if form == "folders":  # as published: cifar100/data and cifar100/splits/bertinetto
        files = {**under("cifar100/data", class_files(FINE)), **under("cifar100/splits/bertinetto", lists)}
        write_folder(tmp_path, {"cifar-fs.zip": zip_bytes(files)})
    else:
        binary = tar_bytes(under("cifar-100-binary", cifar_binary()), "w:gz")
        write_folder(tmp_path, {"cifar-100-binary.tar.gz": binary, **under("cifar-fs", lists)})
    assert names_of("cifar-fs", tmp_path) == sets(CIFAR)
    images = load("cifar-fs", "test", data_dir=tmp_path)
    assert images.pixels.shape[1:] == (3, 32, 32)
    assert images.pixels[0, 0, 0, 0] == FINE.index(images.names[0])
    if form == "binary":
        assert set(images.counts.tolist()) == {4}  # training and test pictures together
        assert images.groups[0] == f"super_{FINE.index(images.names[0]) % 20:02d}"


def test_fc100_by_lists_of_superclasses_keeps_them_whole(tmp_path: Path) -> None:
    parts = {"train": range(12), "val": range(12, 16), "test": range(16, 20)}
    lists = {f"FC100_{s}.json": json.dumps([f"super_{i:02d}" for i in some]).encode() for s, some in parts.items()}
    write_folder(tmp_path, {**under("cifar100", cifar_binary()), **under("FC100", lists)})
    found = {s: load("fc100", s, data_dir=tmp_path) for s in parts}
    assert {s: len(im.names) for s, im in found.items()} == {"train": 60, "val": 20, "test": 20}
    assert set(found["val"].groups) == {f"super_{i}" for i in range(12, 16)}
    mixed = cut(FINE, 60, 20, 20)
    write_folder(tmp_path / "FC100", {f"FC100_{s}.json": json.dumps(names).encode() for s, names in mixed.items()})
    with pytest.raises(UserError, match=r"the superclass 'super_\d\d' is in train and in \w+ \(FC100_train.json"):
        load("fc100", "train", data_dir=tmp_path)


def test_cub_by_its_numbers_or_by_a_list(tmp_path: Path) -> None:
    files = under("CUB_200_2011/images", class_files(BIRDS, suffix=".jpg"))
    files["CUB_200_2011/train_test_split.txt"] = b"1 0\n2 1\n"
    write_folder(tmp_path, {"CUB_200_2011.tgz": tar_bytes(files, "w:gz")})
    found = names_of("cub", tmp_path)
    assert found == {"train": set(BIRDS[::2]), "val": set(BIRDS[1::4]), "test": set(BIRDS[3::4])}
    other = cut(BIRDS, 100, 50, 50)
    paths = {s: [f"/home/me/images/{n}/{n}_{j}.jpg" for n in names for j in (0, 1)] for s, names in other.items()}
    for name, split in (("base", "train"), ("val", "val"), ("novel", "test")):
        document = {"label_names": BIRDS, "image_names": paths[split], "image_labels": [0] * len(paths[split])}
        write_folder(tmp_path / "cub", {f"{name}.json": json.dumps(document).encode()})
    write_folder(tmp_path / "cub", files)
    assert names_of("cub", tmp_path) == sets(other)
    assert load("cub", "val", data_dir=tmp_path).split_note.startswith(
        "50 of 200 classes of cub by base.json, val.json"
    )


def test_cub_brings_its_attributes(tmp_path: Path) -> None:
    """Row i of the table is that of class i, in percent; the second time they come from the cache."""
    files = under("CUB_200_2011/images", class_files(BIRDS, suffix=".jpg"))
    rows = [f"{i} {100 - i / 2} 0.0" for i in range(200)]
    files["CUB_200_2011/attributes/class_attribute_labels_continuous.txt"] = lines(rows)
    files["attributes.txt"] = lines(["1 has_bill_shape::hooked", "2 has_size::large", "3 has_size::small"])
    write_folder(tmp_path, {"CUB_200_2011.tgz": tar_bytes(files, "w:gz")})
    for _ in range(2):
        images = load("cub", "val", data_dir=tmp_path, size=4)
        numbers = torch.tensor([int(n.partition(".")[0]) - 1 for n in images.names]).float()
        assert images.attribute_names == ("has_bill_shape::hooked", "has_size::large", "has_size::small")
        torch.testing.assert_close(images.attributes[:, 0], numbers / 100)
        torch.testing.assert_close(images.attributes[:, 1], 1 - numbers / 200)
        assert make_source(images, way=5, shot=0, query=2).spec.support == "descriptions"
    files["CUB_200_2011/attributes/class_attribute_labels_continuous.txt"] = lines(rows[:7])
    write_folder(tmp_path / "short", {"CUB_200_2011.tgz": tar_bytes(files, "w:gz")})
    with pytest.raises(UserError, match=r"does not describe the classes .* a line of numbers for each class"):
        load("cub", "val", data_dir=tmp_path / "short", size=4)


def test_a_copy_that_was_unpacked_beside_its_archive_counts_once(tmp_path: Path) -> None:
    files = under("CUB_200_2011/images", class_files(BIRDS, suffix=".jpg"))
    write_folder(tmp_path, {"CUB_200_2011.tgz": tar_bytes(files, "w:gz")})
    write_folder(tmp_path / "cub", files)
    for place in (tmp_path, tmp_path / "cub"):
        assert len(load("cub", "val", data_dir=place, size=4)) == 100


def test_of_several_lists_the_fitting_one_is_taken_or_the_user_chooses(tmp_path: Path) -> None:
    other = cut(list(reversed(wordnet(100))), 64, 16, 20)
    wrong = cut(wordnet(100), 80, 10, 10)
    files = class_files(wordnet(100))
    for folder, split in (("ravi", MINI), ("small", wrong)):
        files |= {f"splits/{folder}/{s}.txt": lines(names) for s, names in split.items()}
    root = write_folder(tmp_path / "mini-imagenet", files)
    assert names_of("mini-imagenet", tmp_path) == sets(MINI)
    swapped = {"train": other["train"], "val": other["test"][:16], "test": [*other["val"], *other["test"][16:]]}
    write_folder(root, {f"splits/mine/{s}.txt": lines(names) for s, names in swapped.items()})
    with pytest.raises(UserError, match=r"several splits of mini-imagenet: .*ravi.*mini-imagenet:FOLDER"):
        load("mini-imagenet", "val", data_dir=tmp_path)
    assert names_of("mini-imagenet:mine", tmp_path) == sets(swapped)
    assert load("mini-imagenet:mine", "val", data_dir=tmp_path).name == "mini-imagenet:mine"
    with pytest.raises(UserError, match="no split called yours was found"):
        load("mini-imagenet:yours", "val", data_dir=tmp_path)


def test_a_class_in_two_splits_is_refused(tmp_path: Path) -> None:
    leaking = {**MINI, "test": [*MINI["test"][1:], MINI["train"][0]]}
    files = {**class_files(wordnet(100)), **{f"{s}.txt": lines(n) for s, n in leaking.items()}}
    write_folder(tmp_path / "mini-imagenet", files)
    with pytest.raises(UserError, match=f"the class {MINI['train'][0]!r} is in train and in test"):
        load("mini-imagenet", "train", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val.txt": lines(MINI["val"][:-1])}, r"expected 64 / 16 / 20 classes .*has 64 / 15 / 20 classes"),
        ({"val.txt": lines([*MINI["val"][:-1], "n77"])}, r"names 'n77', which is not there"),
        ({"val.txt": None}, r"no split list was found. It must hold pictures .*image-net.org"),
    ],
)
def test_lists_that_do_not_fit_are_explained(tmp_path: Path, change: dict[str, bytes | None], message: str) -> None:
    files = {**class_files(wordnet(100)), **{f"{s}.txt": lines(n) for s, n in MINI.items()}, **change}
    write_folder(tmp_path / "mini-imagenet", {n: d for n, d in files.items() if d is not None})
    with pytest.raises(UserError, match=message):
        load("mini-imagenet", "train", data_dir=tmp_path)
