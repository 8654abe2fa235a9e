"""The numbers of a figure as a file beside it: what is drawn is read from there, so that it can be drawn again.

NAME.json holds a document whose values are numbers, text, lists and names; NAME.npz also arrays (pictures, weights).
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ...errors import UserError
from ..files import write_whole

Document = dict[str, Any]
FORMAT = 1  # of the documents; another one is measured again
DOCUMENT = "document"  # the entry of an .npz that holds the text
SUFFIXES = (".json", ".npz")


class LeftOut(Exception):
    """A figure that cannot be made of a method or its tasks; the message says why."""


def save(folder: Path, name: str, document: Document) -> Path:
    """Write a document as folder/name.json, or name.npz if it holds arrays; returns the path."""
    arrays = {k: v for k, v in document.items() if isinstance(v, np.ndarray)}
    plain = {"figure": name, "format": FORMAT, **{k: v for k, v in document.items() if k not in arrays}}
    text = as_text(plain)
    folder.mkdir(parents=True, exist_ok=True)
    path, other = (folder / f"{name}{suffix}" for suffix in (reversed(SUFFIXES) if arrays else SUFFIXES))
    if arrays:
        stream = io.BytesIO()
        entries: dict[str, Any] = {DOCUMENT: np.array(text), **arrays}
        np.savez_compressed(stream, **entries)
        write_whole(path, stream.getvalue())
    else:
        write_whole(path, text.encode())
    other.unlink(missing_ok=True)
    return path


def find(folder: Path, name: str) -> Path | None:
    """The file of a document, if it is there."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def read(path: Path) -> Document:
    """The document of a file; nothing is unpickled."""
    try:
        if path.suffix == ".npz":
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            found: Any = json.loads(str(arrays.pop(DOCUMENT)))
        else:
            arrays, found = {}, json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("figure") != path.stem:
            raise ValueError(f"it does not say that it is of the figure {path.stem!r}")
        if found.get("format") != FORMAT:
            raise ValueError(f"it has the format {found.get('format')}, and this version of kshot writes {FORMAT}")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{path} does not hold the numbers of a figure ({error}): delete it and plot again") from error
    return {**found, **arrays}


def as_text(document: Document) -> str:
    """JSON with a line for each name. What is not a number (nan, inf) becomes null: JSON has no word for it."""
    lines = [
        f"  {json.dumps(k)}: {json.dumps(finite_numbers(v), allow_nan=False, ensure_ascii=False)}"
        for k, v in document.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def finite_numbers(value: Any) -> Any:
    """The same with None for nan and infinities, and lists for tuples."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): finite_numbers(v) for k, v in value.items()}
    return [finite_numbers(v) for v in value] if isinstance(value, list | tuple) else value


def numbers(values: list[float | None]) -> list[float]:
    """Numbers as they are drawn: None, which is no number, as nan."""
    return [math.nan if v is None else v for v in values]
