"""What is said of classes, for zero-shot tasks: a table with a line for each class, of numbers or of words.

class,stripes,legs              class,description
zebra,1,4                       zebra,striped four legs
dolphin,0,0                     dolphin,smooth fins
"""

from __future__ import annotations

import csv
import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from .images import Images

HEADING = ("class", "name")  # a first line that begins with one of these names the columns
FORM = "a line for each class: its name, then numbers (zebra,1,0.5) or words (zebra,striped four legs)"


@dataclass(frozen=True)
class Descriptions:
    """A table of descriptions.

    Attributes:
        classes: the name of each class.
        names: the A names of the columns; of a table of words, its vocabulary.
        values: float32 [classes, A].
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    values: Tensor


@dataclass(frozen=True)
class Line:
    """A line of a table: its number in the file, the class, and what is said of it."""

    number: int
    name: str
    cells: tuple[str, ...]


def words(text: str) -> list[str]:
    """The words of a text in small letters; spaces, commas and semicolons part them."""
    return [w for w in re.split(r"[\s,;]+", unicodedata.normalize("NFC", text).casefold()) if w]


def bags(texts: Iterable[Sequence[str]], vocabulary: Sequence[str]) -> Tensor:
    """Texts, given as words of a vocabulary, as bags of words: float32 [texts, len(vocabulary)] of 0 and 1."""
    at = {word: i for i, word in enumerate(vocabulary)}
    rows = [[at[word] for word in text] for text in texts]
    result = torch.zeros(len(rows), len(at))
    for row, columns in zip(result, rows):
        row[columns] = 1.0
    return result


def read_descriptions(path: Path, names: Sequence[str] = ()) -> Descriptions:
    """Read a .csv (or, with tabs, .tsv) file.

    Args:
        path: the file, in UTF-8. A first line that begins with "class" or "name" is a heading and names the columns.
            Either all that follows the names of the classes is numbers, or nothing is; then it is words.
        names: the columns that there shall be, as in the training; a table of words may use these words alone. By
            default those of the heading, or all words of the table.
    """
    heading, lines = _read(path)
    numbers = [_is_number(cell) for line in lines for cell in line.cells]
    if any(numbers):
        return _numbers(path, heading, lines, tuple(names))
    texts = [words(" ".join(line.cells)) for line in lines]
    vocabulary = tuple(names) or tuple(sorted({w for text in texts for w in text}))
    known = set(vocabulary)
    for line, text in zip(lines, texts):
        if not text:
            raise UserError(f"line {line.number} of {path} says nothing of the class {line.name!r}; expected {FORM}")
        for word in text:
            if word not in known:
                near = difflib.get_close_matches(word, vocabulary, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise UserError(
                    f"line {line.number} of {path} has the word {word!r}, which is none of the {len(known)} words that "
                    f"the model was trained on{hint} Leave it out or say it in other words"
                )
    return Descriptions(tuple(line.name for line in lines), vocabulary, bags(texts, vocabulary))


def describe(images: Images, path: Path) -> Images:
    """The same pictures with the descriptions of a table; lines of classes that are not there do not matter."""
    table = read_descriptions(path)
    row = {name: i for i, name in enumerate(table.classes)}
    missing = [name for name in images.names if name not in row]
    if missing:
        near = difflib.get_close_matches(missing[0], row, n=1, cutoff=0.7)
        hint = f" (is it the line {near[0]!r}?)" if near else ""
        raise UserError(
            f"{path} describes {len(images.names) - len(missing)} of the {len(images.names)} classes of {images.name} "
            f"({images.split}); {missing[0]!r} is missing{hint}: add a line for each class"
        )
    values = table.values[[row[name] for name in images.names]]
    return replace(images, attributes=values.to(images.pixels.device), attribute_names=table.names)


def _read(path: Path) -> tuple[tuple[str, ...], list[Line]]:
    """The heading, () where there is none, and the lines; empty lines are passed over."""
    if not path.is_file():
        raise UserError(f"{path} does not exist or is not a file; expected a .csv file with {FORM}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.reader(text.splitlines(), delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise UserError(f"{path} cannot be read as a table ({e}): save it as comma-separated text in UTF-8") from e
    lines = [
        Line(n, unicodedata.normalize("NFC", row[0].strip()), tuple(cell.strip() for cell in row[1:]))
        for n, row in enumerate(rows, 1)
        if any(cell.strip() for cell in row)
    ]
    heading: tuple[str, ...] = ()
    if lines and lines[0].name.casefold() in HEADING:
        heading = lines.pop(0).cells
    if not lines:
        raise UserError(f"{path} describes no class; expected {FORM}")
    seen: dict[str, int] = {}
    for line in lines:
        if not line.name:
            raise UserError(f"line {line.number} of {path} begins without the name of a class; expected {FORM}")
        if seen.setdefault(line.name, line.number) != line.number:
            raise UserError(
                f"the class {line.name!r} is described twice in {path}, in line {seen[line.name]} and in line "
                f"{line.number}: keep one of them"
            )
    return heading, lines


def _numbers(path: Path, heading: tuple[str, ...], lines: list[Line], names: tuple[str, ...]) -> Descriptions:
    """A table of numbers, its columns in the order of `names` if these are given."""
    width = len(heading) or len(lines[0].cells)
    for line in lines:
        if len(line.cells) != width:
            raise UserError(
                f"line {line.number} of {path} ({line.name!r}) has {len(line.cells)} numbers after the name; expected "
                f"{width} as in the first line: fill the gaps with 0"
            )
        for column, cell in enumerate(line.cells, 2):
            if not _is_number(cell):
                raise UserError(
                    f"line {line.number} of {path}, column {column} is {cell!r}, which is no number (others are): "
                    f"correct it, or begin the first line with 'class' if that is a heading"
                )
    for name in heading:
        if heading.count(name) > 1:
            raise UserError(f"two columns of {path} have the name {name!r}: rename one")
    values = torch.tensor([[float(cell) for cell in line.cells] for line in lines])
    found = heading or tuple(f"attribute {i}" for i in range(1, width + 1))
    if names and heading:
        missing = [name for name in names if name not in heading]
        if missing:
            raise UserError(f"{path} has no column {missing[0]!r}, on which the model was trained: add it")
        values, found = values[:, [heading.index(name) for name in names]], names
    if names and len(found) != len(names):
        raise UserError(
            f"{path} has {len(found)} numbers for each class, and the model was trained on {len(names)} "
            f"({', '.join(names[:3])}, ...): use the same columns"
        )
    return Descriptions(tuple(line.name for line in lines), names or found, values)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
