"""Labelled sentences: a table with a line for each.

text,label
where is my parcel,delivery
"i want my money back, please",refund
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from .classes import check_split, choose, same_name, too_few
from .images import offsets_of
from .problems import Problems

TABLES = (".csv", ".tsv")
TEXT, LABEL = ("text", "sentence"), ("label", "class")
FORM = "a first line that names the columns, text,label, and then a line for each sentence"


@dataclass(frozen=True, eq=False)
class Sentences:
    """Labelled sentences, sorted by class. Methods learn from them through an encoder, see `kshot.encoders`.

    Attributes:
        texts: the M sentences.
        offsets: int64 [n_classes + 1]; the sentences of class c are those from offsets[c] to offsets[c + 1] - 1.
        names, groups, name, split, split_note, skipped: as of `Images`.
    """

    texts: tuple[str, ...]
    offsets: Tensor
    names: tuple[str, ...]
    groups: tuple[str, ...]
    name: str
    split: str
    split_note: str = ""
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Line:
    """A line of a file: its number, the text and its label ("" where there is none)."""

    number: int
    text: str
    label: str


def is_table(path: Path) -> bool:
    """Whether a file is called like a table."""
    return path.suffix.lower() in TABLES


def load_sentences(path: Path, split: str = "train", *, least: int = 2, skip_bad: bool = False) -> Sentences:
    """The classes of a table of sentences, split 64 / 16 / 20 by a hash of their names.

    A sentence that comes again, but for case and spaces, is left out, so that no query is an example.

    Args:
        path: .csv or .tsv in UTF-8, with columns text and label; others do not matter.
        split: "train", "val", "test" or "all".
        least: how many sentences a class needs.
        skip_bad: leave out what cannot be used, and count it.
    """
    check_split(split)
    problems = Problems(skip_bad)
    texts, repeated = _by_class(path, read_labelled(path, problems), problems)
    for name in [n for n, mine in texts.items() if len(mine) < least]:
        problems.add(too_few(name, str(path), len(texts.pop(name)), least))
    names = sorted(texts)
    if not names:
        raise UserError(f"no class of {path} has {least} sentences: add sentences")
    chosen, note = choose(names, [""] * len(names), split, path.name)
    picked = [names[i] for i in chosen]
    again = f"; {repeated} repeated sentence{'' if repeated == 1 else 's'} left out" if repeated else ""
    return Sentences(
        texts=tuple(text for name in picked for text in texts[name]),
        offsets=offsets_of(torch.tensor([len(texts[name]) for name in picked])),
        names=tuple(picked),
        groups=("",) * len(picked),
        name=path.name,
        split=split,
        split_note=note + again + problems.note,
        skipped=tuple(problems.messages),
    )


def _by_class(path: Path, lines: Sequence[Line], problems: Problems) -> tuple[dict[str, list[str]], int]:
    """The different sentences of each class, and how many were repeated."""
    texts: dict[str, list[str]] = {}
    seen: dict[str, Line] = {}
    repeated = 0
    for line in lines:
        first = seen.setdefault(same_name(line.text), line)
        if first is line:
            texts.setdefault(line.label, []).append(line.text)
        elif first.label == line.label:
            repeated += 1
        else:
            problems.add(
                f"lines {first.number} and {line.number} of {path} are the same sentence with the labels "
                f"{first.label!r} and {line.label!r}: correct one of them"
            )
    return texts, repeated


def read_labelled(path: Path, problems: Problems | None = None) -> list[Line]:
    """The labelled sentences of a table.

    Args:
        path: .csv or .tsv, see FORM.
        problems: takes lines that cannot be used; by default an error.
    """
    problems = problems or Problems()
    found, spelt = [], dict[str, str]()
    for line in _table(path, (TEXT, LABEL)):
        if not line.text or not line.label:
            problems.add(f"line {line.number} of {path} has no {'label' if line.text else 'text'}: complete the line")
        elif (first := spelt.setdefault(same_name(line.label), line.label)) != line.label:
            problems.add(
                f"line {line.number} of {path} has the label {line.label!r}, which is {first!r} but for case, spaces "
                f"or Unicode form: write them alike"
            )
        else:
            found.append(line)
    if not found:
        raise UserError(f"{path} holds no labelled sentence; expected {FORM}")
    return found


def read_texts(path: Path) -> list[Line]:
    """The sentences of a .txt file, one a line, or of the column text of a table; empty lines are passed over."""
    if is_table(path):
        lines = _table(path, (TEXT,))
    else:
        lines = [Line(n, text.strip(), "") for n, text in enumerate(io.StringIO(_read(path)), 1)]
    lines = [line for line in lines if line.text]
    if not lines:
        raise UserError(f"{path} holds no sentence; expected one on each line")
    return lines


def _table(path: Path, wanted: Sequence[Sequence[str]]) -> list[Line]:
    """The wanted columns of a table (text, and label), each known by one of several names."""
    text = io.StringIO(_read(path), newline="")
    reader = csv.reader(text, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as e:
        raise UserError(f"{path} cannot be read as a table ({e}): save it as comma-separated text in UTF-8") from e
    heading = [cell.strip().casefold() for cell in rows[0][1]] if rows else []
    columns = []
    for names in wanted:
        at = [i for i, cell in enumerate(heading) if cell in names]
        if len(at) != 1:
            first = ",".join(heading[:5]) or "nothing"
            raise UserError(f"the first line of {path} is {first[:80]!r}; expected {FORM}: it must name one {names[0]}")
        columns.append(at[0])
    lines = []
    for number, row in rows[1:]:
        cells = [row[i].strip() if i < len(row) else "" for i in columns]
        lines.append(Line(number, cells[0], unicodedata.normalize("NFC", cells[1]) if len(cells) > 1 else ""))
    return lines


def _read(path: Path) -> str:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {what}; expected a file of sentences (.csv with columns text,label, or .txt)")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path} cannot be read as text ({e}): save it in UTF-8") from e
