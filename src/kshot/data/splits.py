"""Published split lists: which classes (or pictures) train, validate and test, in the forms that are in use.

A list is a file whose name says the split: train.csv, val.txt, novel.json, trainclasses1.txt. The three lists of one
split lie in one folder. What they may hold:

* .txt: a class, or a picture's path, on each line (further words on it do not matter);
* .csv: rows with a picture's file name, a class, or both (Ravi & Larochelle 2017: `filename,label`), with or without
  a head;
* .json: a list of classes; or an object with `class_names`, `image_names`, or all of train, val and test at once.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..errors import UserError
from .pictures import SUFFIXES
from .trees import Entry

SPLITS = ("train", "val", "test")
WORDS = {"train": "train", "training": "train", "base": "train", "val": "val", "valid": "val", "validation": "val",
         "test": "test", "testing": "test", "novel": "test"}  # fmt: skip
WHOLE = ("split", "splits")  # files that hold all three


@dataclass(frozen=True)
class Row:
    """One line of a list: the picture's path ("" where it names a class only), and words that may be its class."""

    picture: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class SplitLists:
    """The three lists of one split.

    Attributes:
        folder: where they lie.
        files: their names.
        rows: the rows of each split.
    """

    folder: str
    files: tuple[str, ...]
    rows: dict[str, list[Row]]


def find_lists(files: Mapping[str, Entry]) -> list[SplitLists]:
    """All complete lists among files, by folder."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in sorted(files):
        path = PurePosixPath(name)
        if path.suffix.lower() not in (".txt", ".csv", ".json"):
            continue
        split, rest = split_of(path.stem)
        if split:
            found.setdefault((str(path.parent), rest), {}).setdefault(split, name)
    sets = []
    for (folder, _), names in found.items():
        if "all" in names:
            rows = _whole(files[names["all"]])
            if rows:
                sets.append(SplitLists(folder, (names["all"],), rows))
        elif all(s in names for s in SPLITS):
            rows = {s: read_list(files[names[s]]) for s in SPLITS}
            sets.append(SplitLists(folder, tuple(names[s] for s in SPLITS), rows))
    return sets


def split_of(stem: str) -> tuple[str, str]:
    """("val", "fc100") of "FC100_val": the split that a file name says ("all", or "" for none), and its other words."""
    words = [w.removesuffix("classes") for w in re.split(r"[^a-z0-9]+", re.sub(r"\d+$", "", stem.lower()))]
    said = [w for w in words if w in WORDS or w in WHOLE]
    rest = "_".join(w for w in words if w and w not in said)
    if len(said) != 1:
        return "", rest
    return ("all" if said[0] in WHOLE else WORDS[said[0]]), rest


def read_list(entry: Entry) -> list[Row]:
    """The rows of one list."""
    text = _text(entry)
    if entry.where.lower().endswith(".json"):
        rows = _json_rows(_json(entry, text))
    elif entry.where.lower().endswith(".csv"):
        rows = [_row(cells) for cells in csv.reader(io.StringIO(text))]
    else:
        rows = [_row(line.split() if any(map(is_picture, line.split())) else [line, *line.split()])
                for line in text.splitlines()]  # fmt: skip
    rows = [r for r in rows if r.picture or r.words]
    if not rows:
        raise UserError(f"{entry.where} names no class and no picture: get the list again")
    return rows


def _whole(entry: Entry) -> dict[str, list[Row]]:
    """The rows of a file that holds all three splits; empty if it does not."""
    if not entry.where.lower().endswith(".json"):
        return {}
    parts = _json(entry, _text(entry))
    if not isinstance(parts, dict) or not all(s in parts for s in SPLITS):
        return {}
    return {s: _json_rows(parts[s]) for s in SPLITS}


def _text(entry: Entry) -> str:
    return entry.read().decode("utf-8-sig", "replace")


def _json(entry: Entry, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise UserError(f"{entry.where} is not JSON ({e}): get the list again") from e


def _json_rows(value: Any) -> list[Row]:
    if isinstance(value, dict):
        value = value.get("class_names") or value.get("image_names") or []
    items = value if isinstance(value, list) else []
    return [_row([str(x) for x in (item if isinstance(item, list) else [item])]) for item in items]


def _row(cells: Iterable[str]) -> Row:
    words = tuple(dict.fromkeys(c.strip() for c in cells if c.strip()))
    picture = next((w for w in words if is_picture(w) and " " not in w), "")
    return Row(picture, tuple(w for w in words if not is_picture(w)))


def is_picture(name: str) -> bool:
    """Whether a file is called like a picture."""
    return name.lower().endswith(SUFFIXES)
