"""Which classes a folder holds, and which of them belong to a split."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError, unknown
from .pictures import SUFFIXES
from .problems import Problems

SPLITS = ("train", "val", "test", "all")
SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
                 "test": "test", "testing": "test"}  # fmt: skip
HIDDEN = ("thumbs.db", "desktop.ini", "__macosx")
TEST_PERCENT, VAL_PERCENT = 20, 16


@dataclass(frozen=True)
class ClassFolder:
    """One class: its name (the path below the data's folder), its group (the path's parent) and its files."""

    name: str
    group: str
    files: tuple[Path, ...]


def listing(folder: Path) -> list[Path]:
    """What lies in a folder, sorted by name, less hidden files and those that file managers leave behind."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; expected a folder of pictures: check the path")
    try:
        entries = [e for e in folder.iterdir() if not e.name.startswith(".") and e.name.lower() not in HIDDEN]
    except OSError as e:
        raise UserError(f"{folder} cannot be listed ({e.strerror}): make it readable or move it elsewhere") from e
    return sorted(entries, key=lambda e: (unicodedata.normalize("NFC", e.name), e.name))


def usable(entry: Path, root: Path, problems: Problems) -> bool:
    """Whether an entry is a file or folder of its own, or a link to a file within the root; else it is a problem."""
    if entry.is_symlink():
        if not entry.exists():
            problems.add(f"{entry} is a link to something that does not exist: delete it or repair it")
            return False
        if not entry.resolve().is_relative_to(root.resolve()):
            problems.add(f"{entry} is a link out of the folder {root}, to {entry.resolve()}: put a copy in its place")
            return False
        if entry.is_dir():
            problems.add(f"{entry} is a link to a folder, whose pictures would count twice: delete it")
            return False
    if not entry.is_dir() and not entry.is_file():
        problems.add(f"{entry} is neither a file nor a folder: delete it")
        return False
    return True


def find_classes(root: Path, problems: Problems, least: int = 1) -> list[ClassFolder]:
    """The class folders below a folder, sorted by name.

    A folder that holds pictures is a class. A folder that holds only folders is a group of classes, as an alphabet
    is a group of characters. Other files beside class folders (a README) are no matter.

    Args:
        root: the folder.
        problems: takes what cannot be used.
        least: how many files a class needs.
    """
    classes: list[ClassFolder] = []
    _walk(root, root, classes, problems)
    seen: dict[str, ClassFolder] = {}
    for c in classes:
        folder = root / c.name
        if not c.files:
            problems.add(f"the class folder {folder} is empty: add pictures or delete it")
        elif len(c.files) < least:
            problems.add(too_few(c.name, str(root), len(c.files), least))
        elif (same := seen.setdefault(same_name(c.name), c)) is not c:
            problems.add(
                f"the class folders {root / same.name} and {folder} have the same name but for case, spaces or "
                f"Unicode form: merge them or rename one"
            )
    if not seen:
        raise UserError(f"{root} holds no usable class folder (the first problem: {problems.messages[0]})")
    return list(seen.values())


def _walk(folder: Path, root: Path, classes: list[ClassFolder], problems: Problems) -> None:
    try:
        entries = [e for e in listing(folder) if usable(e, root, problems)]
    except UserError as e:
        if folder == root:
            raise
        problems.add(str(e))
        return
    folders = [e for e in entries if e.is_dir()]
    files = [e for e in entries if not e.is_dir()]
    loose = [f for f in files if f.suffix.lower() in SUFFIXES]
    if folder == root and not folders:
        found = f"{len(files)} files but no folders" if files else "nothing"
        raise UserError(
            f"{root} holds {found}; expected one folder for each class with its pictures: {root}/<class>/*.png"
        )
    if folder != root and (loose or not folders):
        for inner in folders:
            problems.add(f"{inner} is a folder inside the class folder {folder}: move its pictures out of it")
        name = unicodedata.normalize("NFC", folder.relative_to(root).as_posix())
        classes.append(ClassFolder(name, name.rpartition("/")[0], tuple(files)))
        return
    for file in loose:
        problems.add(f"{file} lies beside the class folders: move it into the folder of its class")
    for inner in folders:
        _walk(inner, root, classes, problems)


def same_name(name: str) -> str:
    """What two class names share when a reader takes them for one."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def too_few(name: str, data: str, count: int, least: int) -> str:
    """The message for a class with too few examples."""
    return (
        f"the class {name!r} of {data} has {count} usable example{'' if count == 1 else 's'} but needs at least "
        f"{least}: add examples or delete it"
    )


def check_split(split: str) -> None:
    """Raise for a split that does not exist."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of a root whose folders are named train, val or test, by split; empty where there is any other."""
    folders = [e for e in listing(root) if e.is_dir()]
    if not folders or any(f.name.lower() not in SPLIT_FOLDERS for f in folders):
        return {}
    by_split: dict[str, Path] = {}
    for folder in folders:
        split = SPLIT_FOLDERS[folder.name.lower()]
        if split in by_split:
            raise UserError(f"{by_split[split]} and {folder} are both folders of the split {split!r}: merge them")
        by_split[split] = folder
    return by_split


def choose(names: Sequence[str], groups: Sequence[str], split: str, data: str) -> tuple[list[int], str]:
    """The classes of a split, 64 / 16 / 20 of a hundred, and a note.

    Classes are ordered by a hash of their names, so that a split does not depend on the machine, the order of the
    files or a seed. Where there are five groups or more, whole groups go to a split.

    Returns:
        The numbers of the classes, rising, and the note for reports.
    """
    check_split(split)
    if split == "all":
        return list(range(len(names))), f"all {len(names)} classes of {data}"
    whole = len(set(groups)) >= 5
    units = _hashed(groups if whole else names)
    what = "groups" if whole else "classes"
    if len(units) < 3:
        raise UserError(
            f"{data} has {len(units)} classes, too few to set some aside for validation and test: use the split 'all', "
            f"or make folders train, val and test and put classes into each"
        )
    test = max(1, round(len(units) * TEST_PERCENT / 100))
    val = max(1, round(len(units) * VAL_PERCENT / 100))
    parts = {"test": units[:test], "val": units[test : test + val], "train": units[test + val :]}
    mine = set(parts[split])
    chosen = [i for i, (n, g) in enumerate(zip(names, groups)) if (g if whole else n) in mine]
    note = f"{len(chosen)} of {len(names)} classes of {data} by a hash of the names of the {what}"
    return chosen, note


def _hashed(names: Iterable[str]) -> list[str]:
    return sorted(set(names), key=lambda n: (hashlib.sha256(same_name(n).encode()).hexdigest(), n))
