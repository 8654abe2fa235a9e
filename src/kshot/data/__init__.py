"""Where examples come from: built-in glyphs, scribbles and curves, Omniglot, folders of pictures, arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from ..errors import UserError, unknown
from .curves import Sinusoid
from .images import Images
from .runs import OneShotRuns

if TYPE_CHECKING:
    from .scribbles import Scribbles

__all__ = ["DATASETS", "Images", "Loader", "OneShotRuns", "Sinusoid", "load"]


class Loader(Protocol):
    """What an entry of DATASETS is: a function from variant and split to data."""

    def __call__(
        self, variant: str, split: str, size: int | None, data_dir: Path | None, skip_bad: bool
    ) -> Images | Sinusoid | Scribbles:
        """Load one split; `variant` is "" for the default."""


def _sinusoid(variant: str, split: str, size: int | None, data_dir: Path | None, skip_bad: bool) -> Sinusoid:
    """Sine curves with the ranges of Finn et al. 2017; endless, so that every split draws new ones."""
    if variant:
        raise UserError(f"sinusoid has no variants; got {variant!r}: leave out ':{variant}'")
    return Sinusoid()


def _glyphs(variant: str, split: str, size: int | None, data_dir: Path | None, skip_bad: bool) -> Images:
    """Built-in: the characters of matplotlib's fonts; scripts are split into train, val and test."""
    from .glyphs import load_glyphs

    return load_glyphs(variant=variant, split=split, size=size)


def _scribbles(variant: str, split: str, size: int | None, data_dir: Path | None, skip_bad: bool) -> Scribbles:
    """Built-in: endless hand-like characters, drawn on the device."""
    from .scribbles import Scribbles

    if variant:
        raise UserError(f"scribbles has no variants; got {variant!r}: leave out ':{variant}'")
    return Scribbles() if size is None else Scribbles(size=size)


def _omniglot(variant: str, split: str, size: int | None, data_dir: Path | None, skip_bad: bool) -> Images:
    """1,623 characters of 50 alphabets, 20 drawings each; downloaded once, or from --data-dir or KSHOT_DATA."""
    from .omniglot import load_omniglot

    return load_omniglot(variant, split, size, data_dir, skip_bad)


DATASETS: dict[str, Loader] = {
    "glyphs": _glyphs,
    "omniglot": _omniglot,
    "scribbles": _scribbles,
    "sinusoid": _sinusoid,
}


def load(
    spec: str | Path,
    split: str = "train",
    *,
    size: int | None = None,
    data_dir: Path | None = None,
    skip_bad: bool = False,
    device: torch.device | str = "cpu",
) -> Images | Sinusoid | Scribbles | OneShotRuns:
    """Data by name or path.

    Args:
        spec: a name of DATASETS, name:variant ("omniglot:random"), a folder of class folders of pictures, an .npz
            file, or a folder or zip of the original one-shot runs. A name wins over a folder of that name ("./name").
        split: "train", "val", "test" or "all".
        size: side of the pictures in pixels; each kind of data has its own default.
        data_dir: folder that already holds the archives of named data sets.
        skip_bad: leave out unusable files and count them, instead of stopping at the first.
        device: where the pixels lie.
    """
    name, _, variant = str(spec).partition(":")
    if name not in DATASETS or isinstance(spec, Path):
        raise unknown("data", str(spec), DATASETS)
    data = DATASETS[name](variant, split, size, data_dir, skip_bad)
    return data.to(device) if isinstance(data, Images) else data
