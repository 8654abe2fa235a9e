"""From a published split list, or folders called train, val and test, to the examples of each class of each split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from ..errors import UserError
from .classes import SPLIT_FOLDERS
from .splits import SPLITS, Row, SplitLists

X = TypeVar("X")
Parts = dict[str, dict[str, list[X]]]
HEAD = {"filename", "file", "image", "label", "class", "class_name", "name", "wnid", "category", "split"}


@dataclass(frozen=True)
class Collection(Generic[X]):
    """All examples, before they are split. X is a picture's file, or its number in a table.

    Attributes:
        pictures: by path.
        groups: the superclass of each class, where it is known.
    """

    pictures: dict[str, X]
    groups: dict[str, str] = field(default_factory=dict)

    def by_class(self) -> dict[str, list[X]]:
        """The examples by the folder in which they lie."""
        found: dict[str, list[X]] = {}
        for path, x in self.pictures.items():
            found.setdefault(class_of(path), []).append(x)
        return found


def class_of(path: str) -> str:
    """The name of the folder in which a picture lies."""
    return unicodedata.normalize("NFC", PurePosixPath(path).parent.name)


def by_lists(all_of: Collection[X], lists: SplitLists) -> Parts[X] | str:
    """The examples of each class of each split; or, where the lists do not fit, what they name that is not there."""
    rows = {s: [r for r in rows if r.picture or not HEAD.issuperset(w.lower() for w in r.words)]
            for s, rows in lists.rows.items()}  # fmt: skip
    if all(r.picture for split in rows.values() for r in split):
        by_file = _by_file(all_of, rows)
        if by_file is not None:
            return by_file
    members = all_of.by_class()
    known = {plain(c): [c] for c in members}
    for name, group in all_of.groups.items():
        known.setdefault("group " + plain(group), []).append(name)
    parts: Parts[X] = {}
    for split, some in rows.items():
        parts[split] = {}
        for row in some:
            words = [*row.words, *([class_of(row.picture)] if row.picture else [])]
            names = next((known[k] for w in words for k in (plain(w), "group " + plain(w)) if k in known), None)
            if names is None:
                return words[0] if words else row.picture
            parts[split] |= {n: members[n] for n in names}
    return parts


def _by_file(all_of: Collection[X], rows: Mapping[str, Sequence[Row]]) -> Parts[X] | None:
    """Each named picture in the class of its row; None where a picture is not there."""
    tails: dict[str, list[str]] = {}
    for name in all_of.pictures:
        for n in (1, 2):
            tails.setdefault("/".join(name.split("/")[-n:]), []).append(name)
    found: Parts[X] = {}
    for split, some in rows.items():
        paths: dict[str, list[str]] = {}
        for row in some:
            own = row.picture.replace("\\", "/").split("/")
            path = next((p[0] for n in (2, 1) if len(p := tails.get("/".join(own[-n:]), [])) == 1), "")
            if not path:
                return None
            label = next((w for w in row.words if not w.isdecimal()), "")
            paths.setdefault(label or (own[-2] if len(own) > 1 else row.words[0] if row.words else ""), []).append(path)
        found[split] = {c: [all_of.pictures[p] for p in sorted(set(some))] for c, some in paths.items()}
    return found


def by_folders(all_of: Collection[X]) -> Parts[X] | None:
    """The splits of pictures that all lie in train/<class>, val/<class> or test/<class>; None where they do not."""
    parts: Parts[X] = {s: {} for s in SPLITS}
    for path, x in all_of.pictures.items():
        above = PurePosixPath(path).parts[:-2]
        split = next((SPLIT_FOLDERS[p.lower()] for p in reversed(above) if p.lower() in SPLIT_FOLDERS), None)
        if split is None:
            return None
        parts[split].setdefault(class_of(path), []).append(x)
    return parts if all_of.pictures else None


def check_parts(parts: Parts[X], groups: Mapping[str, str], whole_groups: bool, by: str) -> None:
    """Raise where a class (or, if the groups must stay whole, a superclass) is in two splits."""
    for what, name_of in (("class", lambda c: c), ("superclass", lambda c: groups.get(c, c))):
        owner: dict[str, str] = {}
        for split, classes in parts.items():
            for name in map(name_of, classes):
                if owner.setdefault(name, split) != split and (what == "class" or whole_groups):
                    raise UserError(
                        f"the {what} {name!r} is in {owner[name]} and in {split} ({by}); a {what} to be tested must "
                        f"be new: get the published split again"
                    )


def plain(name: str) -> str:
    """What two spellings of a class share: case, spaces, hyphens and underscores do not matter."""
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()
