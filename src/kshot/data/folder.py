"""A folder of class folders of pictures, and the folders that `predict` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from .classes import (
    SPLITS,
    ClassFolder,
    check_split,
    choose,
    find_classes,
    listing,
    same_name,
    split_folders,
    too_few,
    usable,
)
from .images import Images, offsets_of
from .pictures import Invert, fit, ink_high, is_grey, read_picture
from .problems import Problems
from .progress import track
from .resize import check_size

GREY_SIZE, COLOUR_SIZE = 28, 84


def load_folder(
    path: Path,
    split: str = "train",
    size: int | None = None,
    *,
    channels: int | None = None,
    invert: Invert = "auto",
    least: int = 2,
    skip_bad: bool = False,
) -> Images:
    """The classes of a folder, `path/<class>/*` or `path/<group>/<class>/*`.

    Folders named train, val and test are the splits; otherwise classes are split 64 / 16 / 20 by a hash of their names.

    Args:
        path: the folder.
        split: "train", "val", "test" or "all".
        size: side of the square pictures; 28 by default for grey ones, 84 for colour.
        channels: 1 or 3; by default 1 when no picture shows any colour.
        invert: whether dark ink on light paper becomes high ink: see `ink_high`.
        least: how many pictures a class needs.
        skip_bad: leave out what cannot be used, and count it.
    """
    check_split(split)
    problems = Problems(skip_bad)
    classes, note = _split_classes(path, split, least, problems)
    files = [f for c in classes for f in c.files]
    pixels, read = read_files(files, size, channels, invert, problems)
    rows = {f: i for i, f in enumerate(read)}
    kept: list[ClassFolder] = []
    order: list[list[int]] = []
    for c in classes:
        mine = [rows[f] for f in c.files if f in rows]
        if len(mine) < least:
            problems.add(too_few(c.name, str(path), len(mine), least))
            continue
        kept.append(c)
        order.append(mine)
    if not kept:
        raise UserError(f"no class of {path} (split {split!r}) has {least} usable pictures: add pictures")
    return Images(
        pixels=pixels[[row for mine in order for row in mine]],
        offsets=offsets_of(torch.tensor([len(mine) for mine in order])),
        names=tuple(c.name for c in kept),
        groups=tuple(c.group for c in kept),
        name=path.resolve().name,
        split=split,
        split_note=note + problems.note,
        skipped=tuple(problems.messages),
    )


def _split_classes(path: Path, split: str, least: int, problems: Problems) -> tuple[list[ClassFolder], str]:
    """The class folders of one split and a note that says how they were chosen."""
    parts = split_folders(path)
    if not parts:
        classes = find_classes(path, problems, least)
        chosen, note = choose([c.name for c in classes], [c.group for c in classes], split, path.resolve().name)
        return [classes[i] for i in chosen], note
    if split != "all" and split not in parts:
        raise UserError(
            f"{path} has the split folders {', '.join(p for p in SPLITS if p in parts)} but none for {split!r}: add a "
            f"folder {split} of classes, or use another split"
        )
    found = {p: find_classes(parts[p], Problems(skip=True)) for p in SPLITS if p in parts}
    owner: dict[str, str] = {}
    for p, classes in found.items():
        for c in classes:
            if owner.setdefault(same_name(c.name), p) != p:
                raise UserError(
                    f"the class {c.name!r} of {path} is in {owner[same_name(c.name)]} and in {p}; a class to be "
                    f"learned from a few examples must be new: put all its pictures into one of them"
                )
    wanted = list(found) if split == "all" else [split]
    classes = [c for p in wanted for c in find_classes(parts[p], problems, least)]
    names = ", ".join(str(parts[p].name) for p in wanted)
    return classes, f"{len(classes)} classes of {path.resolve().name} in {names}"


def read_files(
    files: Sequence[Path], size: int | None, channels: int | None, invert: Invert, problems: Problems
) -> tuple[Tensor, list[Path]]:
    """Picture files as uint8 [M, C, size, size] with high ink, and which files they are."""
    if channels not in (None, 1, 3):
        raise UserError(f"channels must be 1 (grey) or 3 (colour); got {channels}")
    check_size(size)
    if channels is None:
        before = len(problems.messages)
        done = _read(files, size or GREY_SIZE, 1, problems, colour_stops=True)
        if done is None:
            del problems.messages[before:]  # they come again
            done = _read(files, size or COLOUR_SIZE, 3, problems)
    else:
        done = _read(files, size or (GREY_SIZE if channels == 1 else COLOUR_SIZE), channels, problems)
    assert done is not None
    pixels, kept = done
    if not kept:
        if not files:
            raise UserError("no picture files were given: name at least one")
        raise UserError(
            f"none of the {len(files)} files in {files[0].parent} is a usable picture (the last problem: "
            f"{problems.messages[-1]})"
        )
    return ink_high(torch.stack(pixels), invert), kept


def _read(
    files: Sequence[Path], size: int, channels: int, problems: Problems, colour_stops: bool = False
) -> tuple[list[Tensor], list[Path]] | None:
    """Each picture [C, size, size] and its path; None at the first colour if that stops."""
    pixels, kept = [], []
    for path in track(files, "reading pictures"):
        try:
            picture = read_picture(path)
        except UserError as e:
            problems.add(str(e))
            continue
        if colour_stops and not is_grey(picture):
            return None
        pixels.append(fit(picture, size, channels))
        kept.append(path)
    return pixels, kept


def read_images(
    where: Path | Sequence[Path],
    size: int | None = None,
    channels: int | None = None,
    invert: Invert = "auto",
    problems: Problems | None = None,
) -> tuple[Tensor, list[Path]]:
    """The pictures that lie directly in a folder, or the given files, for prediction.

    Args:
        where: the folder or files.
        size, channels, invert: as for `load_folder`.
        problems: takes what cannot be used: `Problems(skip=True)` to leave it out; by default an error.

    Returns:
        uint8 [M, C, size, size] with high ink, and the M paths, sorted by name for a folder.
    """
    problems = problems or Problems()
    return read_files(query_files(where, problems), size, channels, invert, problems)


def query_files(where: Path | Sequence[Path], problems: Problems) -> list[Path]:
    """The files that lie directly in a folder, sorted by name; or the given ones."""
    if not isinstance(where, Path):
        return list(where)
    entries = [e for e in listing(where) if usable(e, where, problems)]
    if not entries:
        raise UserError(f"{where} holds no pictures: put the pictures to be labelled there")
    for folder in (e for e in entries if e.is_dir()):
        problems.add(f"{folder} is a folder among the pictures to be labelled: name it on its own or move it")
    return [e for e in entries if not e.is_dir()]


def read_support(
    folder: Path,
    size: int | None = None,
    channels: int | None = None,
    invert: Invert = "auto",
    problems: Problems | None = None,
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """The labelled examples of a new task, `folder/<class>/*`.

    Args:
        folder: the folder.
        size, channels, invert: as for `load_folder`.
        problems: takes what cannot be used: `Problems(skip=True)` to leave it out; by default an error.

    Returns:
        uint8 [M, C, size, size] with high ink, labels int64 [M], and the names of the labels.
    """
    problems = problems or Problems()
    classes = find_classes(folder, problems)
    pixels, read = read_files([f for c in classes for f in c.files], size, channels, invert, problems)
    labels, names = support_labels(folder, classes, read)
    return pixels, labels, names


def support_labels(
    folder: Path, classes: Sequence[ClassFolder], read: Sequence[Path]
) -> tuple[Tensor, tuple[str, ...]]:
    """The labels int64 [M] of the M files that could be read, and their names; every class must have kept a file."""
    kept = [c for c in classes if not set(c.files).isdisjoint(read)]
    if len(kept) < 2:
        raise UserError(
            f"{folder} has {len(kept)} class with usable pictures; a task needs at least 2: add a folder for each class"
        )
    if len(kept) < len(classes):
        lost = ", ".join(c.name for c in classes if c not in kept)
        raise UserError(f"no picture of {lost} in {folder} can be used: add pictures or delete the class")
    label = {f: i for i, c in enumerate(kept) for f in c.files}
    return torch.tensor([label[f] for f in read]), tuple(c.name for c in kept)


def in_colour(folder: Path, most: int = 10) -> bool:
    """Whether the first picture of most classes of a folder shows colour; looks at no more than `most` of them."""
    seen = []
    for c in find_classes(folder, Problems(skip=True))[:most]:
        try:
            seen.append(not is_grey(read_picture(c.files[0])))
        except UserError:
            continue
    return 2 * sum(seen) > len(seen)
