"""Labelled pictures or features in an .npz file: arrays `x` (or `images`) and `y` (or `labels`), nothing pickled."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from .classes import check_split, choose, too_few
from .images import Images, offsets_of
from .problems import Problems
from .resize import check_size

PICTURES, LABELS = ("x", "images"), ("y", "labels")
SAVE = "save pictures and labels as plain arrays by numpy.savez(path, x=pictures, y=labels)"
SHAPES = "[M, H, W], [M, H, W, C] or [M, C, H, W] with C of 1 or 3"


def load_arrays(
    path: Path, split: str = "train", size: int | None = None, *, least: int = 2, skip_bad: bool = False
) -> Images:
    """The classes of an .npz file, split 64 / 16 / 20 by a hash of their labels.

    Args:
        path: the file. Pictures are [M, H, W], [M, H, W, C] or [M, C, H, W]: integers 0..255, or numbers 0..1, or
            truth values; labels [M] are whole numbers or strings. Pictures are taken as they are, not inverted. In
            their place may be features [M, D] of a floating type. An array `attributes` [classes, A] describes the
            classes, in the order of the sorted labels; `attribute_names` [A] names its columns.
        split: "train", "val", "test" or "all".
        size: side in pixels to which pictures are brought by area averages; by default they keep their shape.
        least: how many pictures a class needs.
        skip_bad: leave out classes with too few pictures, and count them.
    """
    check_split(split)
    check_size(size)
    arrays = _read(path)
    x, y = (_pick(path, arrays, names) for names in (PICTURES, LABELS))
    pixels = _features(path, x) if x.ndim == 2 and x.dtype.kind == "f" else as_pixels(str(path), x)  # [M, ...]
    labels = _labels(path, y)
    if len(pixels) != len(labels):
        raise UserError(f"{path} has {len(pixels)} pictures but {len(labels)} labels; expected one label a picture")
    values, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    problems = Problems(skip_bad)
    few = counts < least
    for i in np.flatnonzero(few):
        problems.add(too_few(str(values[i]), str(path), int(counts[i]), least))
    kept = np.flatnonzero(~few)
    names = [str(values[i]) for i in kept]
    chosen, note = choose(names, [""] * len(names), split, path.name)
    picked = kept[chosen]
    rows = np.concatenate([np.flatnonzero(codes == i) for i in picked]) if len(picked) else np.empty(0, np.int64)
    if not len(rows):
        raise UserError(f"no class of {path} (split {split!r}) has {least} pictures: add pictures")
    attributes, attribute_names = _attributes(path, arrays, len(values))
    images = Images(
        pixels=pixels[torch.from_numpy(rows)],
        offsets=offsets_of(torch.from_numpy(counts[picked])),
        names=tuple(names[i] for i in chosen),
        groups=("",) * len(chosen),
        name=path.name,
        split=split,
        split_note=note + problems.note,
        skipped=tuple(problems.messages),
        attributes=None if attributes is None else attributes[picked],
        attribute_names=attribute_names,
    )
    return images if size is None else images.resized(size)


def _read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file."""
    if not path.is_file():
        raise UserError(f"{path} does not exist or is not a file; expected an .npz file: check the path")
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise UserError(f"{path} holds a single array; {SAVE}")
            return {name: file[name] for name in file.files}
    except UserError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
        why = "it holds Python objects, which are not read" if "allow_pickle" in str(e) else str(e)
        raise UserError(f"{path} cannot be read as an .npz file ({why}); {SAVE}") from e


def _pick(path: Path, arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    present = [n for n in names if n in arrays]
    if len(present) != 1:
        what = "both arrays" if present else "no array"
        found = ", ".join(sorted(arrays)) or "nothing"
        raise UserError(f"{path} has {what} {' or '.join(names)} (found: {found}); save exactly one of them")
    return arrays[present[0]]


def _features(path: Path, x: np.ndarray) -> Tensor:
    """Features as float32 [M, D]."""
    if 0 in x.shape or not np.isfinite(x).all():
        raise UserError(f"the features in {path} have the shape {list(x.shape)}; expected [M, D], none 0, and no NaN")
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _attributes(path: Path, arrays: dict[str, np.ndarray], classes: int) -> tuple[Tensor | None, tuple[str, ...]]:
    """What describes the classes, float32 [classes, A], and the names of its columns; None and () without."""
    if "attributes" not in arrays:
        return None, ()
    a = arrays["attributes"]
    if a.ndim != 2 or len(a) != classes or a.dtype.kind not in "iufb" or not np.isfinite(a).all():
        raise UserError(
            f"the attributes in {path} are {a.dtype} of shape {list(a.shape)}; expected numbers [{classes}, A], a row "
            f"for each of the {classes} sorted labels"
        )
    names = tuple(map(str, arrays.get("attribute_names", [f"attribute {i}" for i in range(1, a.shape[1] + 1)])))
    if len(names) != a.shape[1] or len(set(names)) != len(names):
        raise UserError(
            f"{path} has {len(names)} attribute_names for {a.shape[1]} attributes; expected one of its own for each"
        )
    return torch.from_numpy(a.astype(np.float32)), names


def as_pixels(where: str, x: np.ndarray) -> Tensor:
    """Pictures as uint8 [M, C, H, W].

    Args:
        where: what messages call the place of the pictures.
        x: see SHAPES; whole numbers 0..255, numbers 0..1, or truth values.
    """
    if x.ndim == 3:
        x = x[:, None]  # [M, 1, H, W]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)  # [M, C, H, W]
    if x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape:
        raise UserError(f"the pictures in {where} have the shape {list(x.shape)}; expected {SHAPES}, none of them 0")
    if x.dtype == bool:
        x = x.astype(np.uint8) * 255
    elif x.dtype != np.uint8:
        if x.dtype.kind not in "iuf":
            raise UserError(
                f"the pictures in {where} are of type {x.dtype}; expected whole numbers 0..255 or numbers 0..1"
            )
        low, high, top = x.min(), x.max(), 1 if x.dtype.kind == "f" else 255
        if not (low >= 0 and high <= top):  # also where there are NaNs
            raise UserError(
                f"the pictures in {where} are {x.dtype} from {low} to {high}; expected 0 to {top}: "
                f"{'divide them by their largest value' if top == 1 else 'scale them'} or save them as uint8"
            )
        x = (np.floor(x * 255.0 + 0.5) if top == 1 else x).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(x))


def _labels(path: Path, y: np.ndarray) -> np.ndarray:
    """Labels as whole numbers or strings [M]."""
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8")
    if y.ndim != 1 or y.dtype.kind not in "iuU":
        raise UserError(
            f"the labels in {path} are {y.dtype} of shape {list(y.shape)}; expected whole numbers or strings, [M]"
        )
    return y
