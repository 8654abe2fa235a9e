"""The attributes of the birds: class_attribute_labels_continuous.txt of CUB-200-2011, 312 numbers for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import torch
from torch import Tensor

from ..errors import UserError
from .trees import Entry

TABLE, NAMES = "class_attribute_labels_continuous.txt", "attributes.txt"


def read_attributes(files: Mapping[str, Entry], classes: Sequence[str]) -> tuple[Tensor | None, tuple[str, ...]]:
    """What describes the classes, float32 [classes, 312] in 0..1, and what each number means; None and () without.

    Args:
        files: of the copy, see `Tree.files`.
        classes: their folders, which begin with their numbers ("001.Black_footed_Albatross"); row 1 of the table is
            that of class 1.
    """
    table = next((e for n, e in sorted(files.items()) if PurePosixPath(n).name == TABLE), None)
    if table is None:
        return None, ()
    numbers = [PurePosixPath(name).name.partition(".")[0] for name in classes]
    try:
        values = torch.tensor([[float(cell) for cell in row.split()] for row in _lines(table)]) / 100
        attributes = values[[int(number) - 1 for number in numbers]]
    except (ValueError, IndexError) as e:
        raise UserError(
            f"{table.where} does not describe the classes ({e}); expected a line of numbers for each class, by the "
            f"numbers with which the class folders begin (001.Black_footed_Albatross): get it again"
        ) from e
    said = next((e for n, e in sorted(files.items()) if PurePosixPath(n).name == NAMES), None)
    names = tuple(row.split()[-1] for row in _lines(said)) if said else ()
    if len(names) != attributes.shape[1]:
        names = tuple(f"attribute {i}" for i in range(1, attributes.shape[1] + 1))
    return attributes, names


def _lines(entry: Entry) -> list[str]:
    return [row for row in entry.read().decode("utf-8", "replace").splitlines() if row.strip()]
