"""What people hold in their hands - paths, PIL pictures, arrays, tensors, rows of numbers - as inputs of a method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from .arrays import as_pixels
from .folder import COLOUR_SIZE, GREY_SIZE
from .pictures import fit, is_grey, plain, read_picture

EXPECTED = (
    "expected file paths, PIL pictures, pictures [M, H, W], [M, H, W, C] or [M, C, H, W] (0..255, or 0..1), or rows "
    "of numbers [M, D]"
)


def are_pictures(X: Any) -> bool:
    """Whether X holds pictures: paths, PIL pictures, arrays of pictures, or one array with more than two axes."""
    return isinstance(X, (str, Path)) or _are_files(X) or _are_pil(X) or _are_arrays(X) or getattr(X, "ndim", 0) > 2


def picture_inputs(X: Any, shape: tuple[int, ...] | None = None, size: int | None = None) -> Tensor:
    """Pictures as uint8 [M, C, H, W], as they are: nothing is inverted.

    Args:
        X: a sequence of paths, of PIL pictures or of arrays of one picture each, or an array or tensor, see EXPECTED.
        shape: (C, H, W) that is wanted; by default grey where all are grey, of `size` pixels.
        size: where no shape is given; by default 28 for grey and 84 for colour; arrays keep their size.
    """
    if isinstance(X, (str, Path)):
        raise UserError(f"X is the single path {str(X)!r}; {EXPECTED}. For one picture give a list of one path")
    if _are_files(X):
        return _fitted([read_picture(Path(x)) for x in X], shape, size)
    if _are_pil(X):
        return _fitted([plain(x) for x in X], shape, size)
    if _are_arrays(X):
        arrays = [_array(x) for x in X]
        if len({a.shape for a in arrays}) > 1:
            return _fitted([_pil(as_pixels("X", a[None])[0]) for a in arrays], shape, size)
        X = np.stack(arrays)
    pixels = as_pixels("X", _array(X))
    if shape is None and size is None:
        return pixels
    own = tuple(pixels.shape[1:])
    if own == shape or (shape is None and own[1:] == (size, size)):
        return pixels
    return _fitted([_pil(p) for p in pixels], shape, size)


def _array(x: Any) -> np.ndarray:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def _pil(pixels: Tensor) -> Any:
    """uint8 [C, H, W] as a PIL picture."""
    from PIL import Image

    return Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy())


def _fitted(pictures: Sequence[Any], shape: tuple[int, ...] | None, size: int | None) -> Tensor:
    """PIL pictures in mode L or RGB as uint8 [M, C, side, side]."""
    if shape is None:
        grey = all(map(is_grey, pictures))
        shape = (1 if grey else 3, *[size or (GREY_SIZE if grey else COLOUR_SIZE)] * 2)
    return torch.stack([fit(p, shape[1], shape[0]) for p in pictures])


def _are_files(X: Any) -> bool:
    return _all(X, (str, Path))


def _are_pil(X: Any) -> bool:
    from PIL import Image

    return _all(X, Image.Image)


def _are_arrays(X: Any) -> bool:
    return _all(X, (np.ndarray, Tensor)) and all(x.ndim in (2, 3) for x in X)


def _all(X: Any, kind: type | tuple[type, ...]) -> bool:
    """Whether X is a sequence of which every entry is of that kind."""
    if isinstance(X, np.ndarray):
        X = X.tolist() if X.ndim == 1 and X.dtype.kind in "OU" else []
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(isinstance(x, kind) for x in X)
