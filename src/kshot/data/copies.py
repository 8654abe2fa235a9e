"""The user's own copy of a published data set: where it lies, and what to say where it does not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import UserError
from .catalogue import Published
from .places import data_dirs
from .trees import Entry, is_archive, stem

PICKLES = (".pkl", ".pickle", ".p")


def find_copy(name: str, what: Published, data_dir: Path | None) -> list[Path]:
    """The one folder (or else archive) that holds a data set's pictures, after those that hold its lists alone.

    Of several, the first of the names in the catalogue; shared pictures where there are none of its own.
    """
    folders, named_by = data_dirs(data_dir)
    lists: list[Path] = []
    pictures: list[Path] = []
    for called in (what.called, what.shared):
        for folder in dict.fromkeys(folders):
            inside = sorted(folder.iterdir()) if folder.is_dir() else []
            here = [folder] if plain(folder.name) in called else [p for p in inside if plain(p.name) in called]
            here = [p for p in here if p.is_dir() or (p.is_file() and is_archive(p.name))]
            for place in sorted(here, key=lambda p: (p.is_file(), called.index(plain(p.name)))):
                (lists if only_lists(place) else pictures).append(place)
        if pictures:
            break
    found = [*lists, *pictures[:1]]
    if not found:
        where = f"in {folders[0]} (the folder named by {named_by})" if named_by else "here"
        raise UserError(
            f"no {name} {where}. It is not downloaded: get it from where it is published ({what.source}), put a folder "
            f"or archive (.zip, .tar, .tgz) called {name} into a folder that you name by --data-dir or KSHOT_DATA, "
            f"holding {what.layout}. See docs/data.md"
        )
    return found


def plain(name: str) -> str:
    """The name of a folder or archive as the catalogue has it."""
    return re.sub(r"[^a-z0-9]", "", stem(name).lower())


def only_lists(place: Path) -> bool:
    """Whether a folder holds nothing but small text files: then the pictures are elsewhere."""
    return place.is_dir() and all(
        p.is_dir() or p.name.startswith(".") or p.suffix.lower() in (".txt", ".csv", ".json", ".md")
        for p in place.rglob("*")
    )


def stamps(places: Sequence[Path]) -> list[list[Any]]:
    """Names, sizes and times of all files: the same for the same copy."""
    found = []
    for i, place in enumerate(places):
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        for file in files:
            stat = file.stat()
            found.append([i, file.relative_to(place.parent).as_posix(), stat.st_size, stat.st_mtime_ns])
    return found


def no_pictures(name: str, what: Published, files: Mapping[str, Entry], where: str) -> UserError:
    """The error for a copy without pictures: it may be a pickle."""
    for file, entry in files.items():
        path = PurePosixPath(file)
        if path.suffix.lower() in PICKLES or "cifar-100-python" in path.parts:
            return UserError(
                f"{entry.where} is a pickle, and reading a pickle runs whatever code is in it: kshot loads none. For "
                f"{name}, {what.unpickled}. It must hold {what.layout}"
            )
    return UserError(
        f"{where} holds no picture ({len(files)} other files): for {name} it must hold {what.layout}. Published: "
        f"{what.source}; see docs/data.md"
    )
