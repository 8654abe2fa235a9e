"""Loading the data sets of catalogue.py from the user's own copy: found, split, read once, kept in the cache.

A copy is a folder or an archive called like the data set, in the folder that --data-dir or KSHOT_DATA names. Split
lists are read from the copy, and the number of classes is checked against the published one. No pickle is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ..cache import cache_dir, keep_arrays, kept_arrays
from ..errors import UserError
from .assign import Collection, Parts, by_folders, by_lists, check_parts
from .catalogue import PUBLISHED, Published
from .cifar import read_binary
from .classes import check_split, too_few
from .copies import find_copy, no_pictures, stamps
from .images import Images, offsets_of
from .photos import read_photos
from .problems import Problems
from .resize import area_resize, check_size
from .splits import SPLITS, SplitLists, find_lists, is_picture
from .trees import Entry, Tree

X = TypeVar("X")
Decode = Callable[[list[X]], tuple[Tensor, list[int]]]
VERSION = 2  # of what the cache holds
LEAST = 2  # pictures of a class


@dataclass(frozen=True)
class Wanted:
    """What is asked for: a data set, its variant and split, the side of the pictures, and the copy they come from."""

    name: str
    what: Published
    variant: str
    split: str
    size: int
    places: Sequence[Path]
    problems: Problems

    @property
    def where(self) -> str:
        """The copy, in messages."""
        return ", ".join(map(str, self.places))


def load_published(
    name: str, variant: str, split: str, size: int | None = None, data_dir: Path | None = None, skip_bad: bool = False
) -> Images:
    """One split of a data set of PUBLISHED.

    Args:
        name: of the data set.
        variant: which of several split lists: the name of their folder; for caltech101, the seed.
        split: "train", "val", "test" or "all".
        size: side of the pictures, which are squeezed into squares; by default that of the papers.
        data_dir: folder that holds the copy; by default KSHOT_DATA.
        skip_bad: leave out pictures that cannot be read, and count them.
    """
    what = PUBLISHED[name]
    check_split(split)
    check_size(size)
    wanted = Wanted(name, what, variant, split, size or what.size, find_copy(name, what, data_dir), Problems(skip_bad))
    key = json.dumps([VERSION, name, variant, split, wanted.size, stamps(wanted.places)])
    cached = cache_dir() / name / f"{split}-{wanted.size}px-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    images = _from_cache(cached)
    if images is None:
        images = _read(wanted)
        if not wanted.problems.messages:
            keep_arrays(cached, _to_cache(images))
    return images


def _read(wanted: Wanted) -> Images:
    """One split from the copy itself."""
    with Tree(wanted.places, wanted.problems) as tree:
        lists, size, what = find_lists(tree.files), wanted.size, wanted.what
        binary = read_binary(tree.files)
        if binary is not None:
            table, numbers = binary

            def take(chosen: list[int]) -> tuple[Tensor, list[int]]:
                return area_resize(torch.from_numpy(table[chosen]), size, size), list(range(len(chosen)))

            return _images(wanted, numbers, lists, take)
        files = {n: e for n, e in tree.files.items() if is_picture(n)}
        files = {n: e for n, e in files.items() if PurePosixPath(n).parent.name not in wanted.what.left_out}
        if not files:
            raise no_pictures(wanted.name, wanted.what, tree.files, wanted.where)

        def decode(chosen: list[Entry]) -> tuple[Tensor, list[int]]:
            return read_photos(chosen, size, wanted.problems, wanted.name)

        images = _images(wanted, Collection(files), lists, decode)
        attributes, names = (None, ()) if what.attributes is None else what.attributes(tree.files, images.names)
        return replace(images, attributes=attributes, attribute_names=names)


def _images(wanted: Wanted, all_of: Collection[X], lists: Sequence[SplitLists], decode: Decode[X]) -> Images:
    name, what, split = wanted.name, wanted.what, wanted.split
    parts, by = split_up(wanted, all_of, lists)
    check_parts(parts, all_of.groups, what.whole_groups, by)
    classes = dict(sorted((c, xs) for s in SPLITS if split in (s, "all") for c, xs in parts[s].items()))
    pixels, kept = decode([x for xs in classes.values() for x in xs])
    owner = torch.arange(len(classes)).repeat_interleave(torch.tensor([len(xs) for xs in classes.values()]))[kept]
    counts = torch.bincount(owner, minlength=len(classes))
    for c, count in zip(classes, counts.tolist()):
        if count < LEAST:
            wanted.problems.add(too_few(c, wanted.where, count, LEAST))
    enough = counts >= LEAST
    names = [c for c, good in zip(classes, enough.tolist()) if good]
    if not names:
        raise UserError(f"no class of {name} ({split}) in {wanted.where} has {LEAST} usable pictures: get it again")
    if not bool(enough.all()):
        pixels = pixels[enough[owner]]
    total = sum(what.classes.values())
    return Images(
        pixels=pixels,
        offsets=offsets_of(counts[enough]),
        names=tuple(names),
        groups=tuple(all_of.groups.get(c, "") for c in names),
        name=f"{name}:{wanted.variant}" if wanted.variant else name,
        split=split,
        split_note=f"{len(names)} of {total} classes of {name} by {by}, {len(pixels):,} pictures at {wanted.size} px"
        + wanted.problems.note,
        skipped=tuple(wanted.problems.messages),
    )


def split_up(wanted: Wanted, all_of: Collection[X], lists: Sequence[SplitLists]) -> tuple[Parts[X], str]:
    """The examples of each class of each split, with the published number of classes, and what says so."""
    name, what, variant, where = wanted.name, wanted.what, wanted.variant, wanted.where
    by_rule = what.rule is not None and not what.lists and variant != "listed"
    seen: list[str] = []  # what is there and does not fit
    if not by_rule:
        fitting = _fitting(wanted, all_of, lists, seen)
        if len({json.dumps({s: sorted(c) for s, c in parts.items()}) for parts, _ in fitting}) > 1:
            folders = ", ".join(by for _, by in fitting)
            raise UserError(f"{where} has several splits of {name}: {folders}. Choose one by its folder: {name}:FOLDER")
        if fitting:
            return fitting[0]
        by_folder = None if variant else by_folders(all_of)
        if by_folder is not None:
            if sizes(by_folder) == what.classes:
                return by_folder, "the folders train, val and test"
            seen.append(f"the folders train, val and test have {_counts(sizes(by_folder))} classes")
    if what.rule is not None and not seen and variant != "listed":
        members = all_of.by_class()
        ruled = {s: {c: members[c] for c in names} for s, names in what.rule(list(members), variant).items()}
        if sizes(ruled) == what.classes:
            return ruled, what.by.format(variant=variant or 0)
        seen.append(f"there are {len(members)} class folders")
    found = "; ".join(seen) or f"no split {f'called {variant}' if variant else 'list'} was found"
    raise UserError(
        f"{where} is not {name}: expected {_counts(what.classes)} classes for train, val and test; {found}. It must "
        f"hold {what.layout}. Published: {what.source}; see docs/data.md"
    )


def _fitting(
    wanted: Wanted, all_of: Collection[X], lists: Sequence[SplitLists], seen: list[str]
) -> list[tuple[Parts[X], str]]:
    """What the lists of the variant make of the examples, where they have the published number of classes."""
    found = []
    for one in lists:
        folder = PurePosixPath(one.folder).name
        if wanted.variant not in ("", "listed", folder):
            continue
        parts, by = by_lists(all_of, one), ", ".join(PurePosixPath(f).name for f in one.files)
        if isinstance(parts, str):
            seen.append(f"{one.folder} ({by}) names {parts!r}, which is not there")
        elif sizes(parts) != wanted.what.classes:
            seen.append(f"{one.folder} ({by}) has {_counts(sizes(parts))} classes")
        else:
            found.append((parts, f"{by} of {folder}"))
    return found


def sizes(parts: Parts[X]) -> dict[str, int]:
    """The number of classes of each split."""
    return {s: len(parts[s]) for s in SPLITS}


def _counts(count: dict[str, int]) -> str:
    return " / ".join(str(count[s]) for s in SPLITS)


def _to_cache(images: Images) -> dict[str, np.ndarray]:
    told = [images.names, images.groups, images.name, images.split, images.split_note, images.attribute_names]
    kept = {"pixels": images.pixels.numpy(), "offsets": images.offsets.numpy(), "words": np.array(json.dumps(told))}
    return kept if images.attributes is None else kept | {"attributes": images.attributes.numpy()}


def _from_cache(path: Path) -> Images | None:
    """What was kept, or None where nothing was or it is damaged."""
    kept = kept_arrays(path)
    try:
        names, groups, name, split, note, attribute_names = json.loads(str(kept["words"]))  # type: ignore[index]
        pixels, offsets = (torch.from_numpy(kept[k]) for k in ("pixels", "offsets"))  # type: ignore[index]
        attributes = torch.from_numpy(kept["attributes"]) if attribute_names else None  # type: ignore[index]
        return Images(
            pixels,
            offsets,
            tuple(names),
            tuple(groups),
            name,
            split,
            note,
            attributes=attributes,
            attribute_names=tuple(attribute_names),
        )
    except (TypeError, KeyError, ValueError):
        return None
