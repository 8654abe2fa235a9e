"""Where examples come from: built-in glyphs, scribbles and curves, published data sets, folders of pictures, arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from ..errors import UserError, unknown
from .arrays import load_arrays
from .catalogue import PUBLISHED, Published
from .curves import Sinusoid
from .descriptions import describe, read_descriptions
from .folder import load_folder, read_images, read_support
from .images import Images
from .mixture import Mixture
from .pictures import Invert
from .problems import Problems
from .runs import OneShotRuns, is_runs, load_runs
from .sentences import TABLES, Sentences, is_table, load_sentences

if TYPE_CHECKING:
    from .scribbles import Scribbles

__all__ = [
    "DATASETS",
    "Images",
    "Invert",
    "Loader",
    "Mixture",
    "OneShotRuns",
    "Problems",
    "Sentences",
    "Sinusoid",
    "is_photos",
    "load",
    "load_arrays",
    "load_folder",
    "load_runs",
    "load_sentences",
    "read_descriptions",
    "read_images",
    "read_support",
]


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
    """Built-in: about a thousand letters of 13 scripts in matplotlib's typefaces, split by script; glyphs:names are 860
    letters with and without marks, described by their names for zero-shot tasks, split by combination."""
    if variant == "names":
        from .glyph_names import load_named_glyphs

        return load_named_glyphs(split, size)
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


def _published(name: str, what: Published) -> Loader:
    """The loader of a data set of photographs."""

    def loader(variant: str, split: str, size: int | None, data_dir: Path | None, skip_bad: bool) -> Images:
        from .published import load_published

        return load_published(name, variant, split, size, data_dir, skip_bad)

    loader.__doc__ = what.what
    return loader


DATASETS: dict[str, Loader] = {
    "glyphs": _glyphs,
    "omniglot": _omniglot,
    "scribbles": _scribbles,
    "sinusoid": _sinusoid,
    **{name: _published(name, what) for name, what in PUBLISHED.items()},
}


def load(
    spec: str | Path,
    split: str = "train",
    *,
    size: int | None = None,
    data_dir: Path | None = None,
    skip_bad: bool = False,
    channels: int | None = None,
    invert: Invert = "auto",
    least: int = 2,
    attributes: Path | None = None,
    device: torch.device | str = "cpu",
) -> Images | Sinusoid | Scribbles | OneShotRuns | Mixture | Sentences:
    """Data by name or path.

    Args:
        spec: a name of DATASETS, name:variant ("omniglot:random"), several of them ("scribbles+glyphs", whose tasks
            take turns), a folder of class folders of pictures, an .npz file, a table of sentences (.csv), or a folder
            or zip of the original one-shot runs. A name wins over a folder of that name ("./name").
        split: "train", "val", "test" or "all".
        size: side of the pictures in pixels; each kind of data has its own default.
        data_dir: folder that already holds the archives of named data sets.
        skip_bad: leave out unusable files of a folder and count them, instead of stopping at the first.
        channels, invert: for folders, see `load_folder`.
        least: for folders, .npz files and tables, how many examples a class needs.
        attributes: a table that describes the classes, for zero-shot tasks: see `data.descriptions`.
        device: where the pixels lie.
    """
    name, _, variant = str(spec).partition(":")
    data: Images | Sinusoid | Scribbles | OneShotRuns | Mixture | Sentences
    if is_mixture(spec):
        names = str(spec).split("+")
        parts = [load(n, split, size=size, data_dir=data_dir, skip_bad=skip_bad, device=device) for n in names]
        data = Mixture(tuple(parts), str(spec))  # type: ignore[arg-type]
    elif name in DATASETS and not isinstance(spec, Path):
        data = DATASETS[name](variant, split, size, data_dir, skip_bad)
    else:
        data = _by_path(spec, split, size, channels=channels, invert=invert, least=least, skip_bad=skip_bad)
    if attributes is not None:
        if not isinstance(data, Images):
            raise UserError(f"{spec} has no classes that a table could describe: leave out --attributes {attributes}")
        data = describe(data, attributes)
    return data.to(device) if isinstance(data, Images) else data


def is_mixture(spec: str | Path) -> bool:
    """Whether it names several data sets: "scribbles+glyphs"; a file or folder of that name is that."""
    first, plus, _ = str(spec).partition("+")
    named = bool(plus) and not isinstance(spec, Path) and first.partition(":")[0] in DATASETS
    return named and not Path(spec).exists()


def is_photos(spec: str | Path) -> bool:
    """Whether a name or path stands for photographs in files of any size, which are best read as large as needed."""
    name = str(spec).partition(":")[0]
    return name in PUBLISHED or (name not in DATASETS and Path(spec).expanduser().is_dir())


def _by_path(
    spec: str | Path,
    split: str,
    size: int | None,
    *,
    channels: int | None,
    invert: Invert,
    least: int,
    skip_bad: bool,
) -> Images | OneShotRuns | Sentences:
    """A folder, an .npz file, a table of sentences, or the one-shot runs."""
    path = Path(spec).expanduser()
    if not path.exists():
        if isinstance(spec, Path) or path.suffix or "/" in spec or "\\" in spec:
            raise UserError(
                f"{spec} does not exist; expected a folder of class folders of pictures, an .npz file, a table of "
                f"sentences (.csv), or one of {', '.join(DATASETS)}: check the path"
            )
        raise unknown("data", str(spec), DATASETS)
    if is_runs(path):
        if split in ("train", "val"):
            raise UserError(f"{path} holds the one-shot runs, which only evaluate; got the split {split!r}: use test")
        return load_runs(path, size)
    if path.is_dir():
        return load_folder(path, split, size, channels=channels, invert=invert, least=least, skip_bad=skip_bad)
    if path.suffix.lower() == ".npz":
        return load_arrays(path, split, size, least=least, skip_bad=skip_bad)
    if is_table(path):
        return load_sentences(path, split, least=least, skip_bad=skip_bad)
    raise UserError(
        f"{path} is neither a folder of class folders of pictures, nor an .npz file, nor a table of sentences "
        f"({', '.join(TABLES)}), nor the one-shot runs; unpack an archive and name its folder"
    )
