"""What is to be encoded - files, PIL pictures, arrays, sentences - one by one, each known by its content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ..data.arrays import as_pixels
from ..data.pictures import SUFFIXES, plain, read_picture
from ..errors import UserError

PICTURES = "file paths, PIL pictures, or pictures [M, H, W], [M, H, W, C] or [M, C, H, W] (0..255, or 0..1)"
TEXT = "sentence-transformers:NAME"


class Example(NamedTuple):
    """One input.

    Attributes:
        digest: SHA-256 of its content; empty where it cannot be read, and then `load` says why.
        load: gives the picture, in mode RGB, or the sentence.
    """

    digest: bytes
    load: Callable[[], Any]


def examples_of(X: Any, kind: str, name: str) -> list[Callable[[], Example]]:
    """What a user holds in the hand, as examples for an encoder of that kind; anything else is explained."""
    if isinstance(X, (str, Path)):
        raise UserError(f"X is the single {type(X).__name__} {str(X)!r}; expected a list, also for a single one")
    listed = _listed(X)
    if kind == "sentences":
        return sentence_examples(_sentences(listed, X, name))
    if listed and all(isinstance(x, (str, Path)) for x in listed):
        return file_examples(_paths(listed, name))
    from PIL import Image

    if listed and all(isinstance(x, Image.Image) for x in listed):
        return [partial(_pil, plain(x)) for x in listed]
    pixels = X.detach().cpu().numpy() if isinstance(X, Tensor) else np.asarray(X)
    if pixels.ndim < 3 or pixels.dtype == object:
        raise UserError(f"{name} encodes pictures, and X is {_told(pixels)}; expected {PICTURES}")
    return array_examples(as_pixels("X", pixels).numpy())


def file_examples(paths: Sequence[Path]) -> list[Callable[[], Example]]:
    """Picture files."""
    return [partial(_file, path) for path in paths]


def array_examples(pixels: np.ndarray) -> list[Callable[[], Example]]:
    """Pictures uint8 [M, C, H, W] with C of 1 or 3."""
    return [partial(_array, picture) for picture in pixels]


def sentence_examples(texts: Sequence[str]) -> list[Callable[[], Example]]:
    """Sentences."""
    return [partial(_sentence, text) for text in texts]


def _file(path: Path) -> Example:
    """A picture file, read once: what is decoded is what was hashed."""
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if not content:
        return Example(b"", lambda: read_picture(path))  # says what is wrong

    def load() -> Any:
        return read_picture(path, io.BytesIO(content)).convert("RGB")

    return Example(hashlib.sha256(b"file\n" + content).digest(), load)


def _pil(picture: Any) -> Example:
    about = f"pil {picture.mode} {picture.size}\n".encode()
    return Example(hashlib.sha256(about + picture.tobytes()).digest(), lambda: picture.convert("RGB"))


def _array(picture: np.ndarray) -> Example:
    def load() -> Any:
        from PIL import Image

        flat = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(flat)).convert("RGB")

    return Example(hashlib.sha256(f"array {picture.shape}\n".encode() + picture.tobytes()).digest(), load)


def _sentence(text: str) -> Example:
    return Example(hashlib.sha256(b"sentence\n" + text.encode("utf-8", "surrogatepass")).digest(), lambda: text)


def _listed(X: Any) -> list[Any]:
    """The entries of a list, a tuple, or anything with one axis; [] for all else."""
    if isinstance(X, (list, tuple)):
        return list(X)
    return np.asarray(X, dtype=object).tolist() if getattr(X, "ndim", 0) == 1 else []


def _sentences(listed: list[Any], X: Any, name: str) -> list[str]:
    if not listed or not all(isinstance(x, str) for x in listed):
        what = type(listed[0]).__name__ if listed else _told(X)
        raise UserError(
            f"{name} encodes sentences, and X holds {what}; expected a list of texts. Pictures need an encoder of "
            f"pictures, such as timm:NAME"
        )
    files = [x for x in listed if x.lower().endswith(SUFFIXES) and Path(x).is_file()]
    if files:
        raise UserError(
            f"{name} encodes sentences, and {files[0]!r} names a picture: take an encoder of pictures, such "
            f"as timm:NAME"
        )
    empty = [i for i, x in enumerate(listed) if not x.strip()]
    if empty:
        raise UserError(f"text {empty[0]} of X is empty: leave it out, or say what it is")
    return [str(x) for x in listed]


def _paths(listed: list[Any], name: str) -> list[Path]:
    for x in listed:
        if isinstance(x, str) and not Path(x).suffix and not _exists(x):
            raise UserError(
                f"{name} encodes pictures, and {x[:60]!r} is no file but, it seems, a text: take an encoder of "
                f"sentences ({TEXT}), or give paths of pictures"
            )
    return [Path(x) for x in listed]


def _exists(x: str) -> bool:
    try:
        return Path(x).exists()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def _told(X: Any) -> str:
    shape = getattr(X, "shape", None)
    return type(X).__name__ if shape is None else f"an array of {X.dtype} of shape {list(shape)}"
