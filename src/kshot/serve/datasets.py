"""Tasks from data that are here: the built-in ones, and those found in the data folder. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ..data import load
from ..data.archives import ARCHIVES
from ..data.catalogue import PUBLISHED
from ..data.copies import find_copy
from ..data.images import Images
from ..data.places import data_dirs
from ..data.scribbles import Scribbles
from ..errors import UserError, unknown
from ..tasks import make_source
from . import limits
from .gate import Gate, Memory
from .pictures import png
from .schemas import AboutData, DataRequest, DrawnClass, DrawnQuery, DrawnTask

TITLES = {
    "glyphs": "letters of many scripts, built in",
    "scribbles": "invented characters, built in",
    "omniglot": "handwritten characters of 50 alphabets",
    **{name: what.what.partition(",")[0] for name, what in PUBLISHED.items()},
}
SECONDS = 120.0  # that one waits while data are read for another


class Datasets:
    """The data of which tasks can be loaded.

    Args:
        data_dir: where the user's archives lie; by default KSHOT_DATA.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        self.data_dir = data_dir
        self._kept: Memory[Images | Scribbles] = Memory(limits.DATASETS_KEPT)
        self._gate = Gate(waiting=4, seconds=SECONDS)

    def about(self) -> list[AboutData]:
        """Every data set of pictures, and whether it is here."""
        return [AboutData(name=n, title=t, available=self._is_here(n)) for n, t in TITLES.items()]

    def _is_here(self, name: str) -> bool:
        if name == "omniglot":
            folders = data_dirs(self.data_dir)[0]
            places = [place for folder in folders for place in (folder / "omniglot", folder)]
            return all(any((p / archive.file).is_file() for p in places) for archive in ARCHIVES.values())
        if name not in PUBLISHED:
            return True
        try:
            return bool(find_copy(name, PUBLISHED[name], self.data_dir))
        except (UserError, OSError):
            return False

    def task(self, request: DataRequest) -> DrawnTask:
        """A task with its pictures as PNG: ink is dark on light paper, as people draw; photographs are as they are."""
        way, shot, query = request.way, request.shot, request.query
        if way * shot > limits.SUPPORT or way * query > limits.QUERIES:
            raise UserError(
                f"{way} classes with {shot} examples and {query} further pictures each; at most {limits.SUPPORT} "
                f"examples and {limits.QUERIES} further pictures in all are allowed: ask for fewer"
            )
        data = self._read(request.data, request.split)
        source = make_source(
            data, way=way, shot=shot, query=query, seed=request.seed, within=request.within, split=request.split
        )
        tasks = source[request.index]
        names = _names(data, tasks.classes[0].tolist())
        shown: list[list[str]] = [[] for _ in names]
        for x, y in zip(tasks.xs[0], tasks.ys[0].tolist()):
            shown[y].append(png(_on_paper(x)))
        return DrawnTask(
            data=request.data,
            description=source.description,
            classes=[DrawnClass(name=n, pictures=p) for n, p in zip(names, shown)],
            queries=[
                DrawnQuery(picture=png(_on_paper(x)), label=names[y]) for x, y in zip(tasks.xq[0], tasks.yq[0].tolist())
            ],
        )

    def _read(self, name: str, split: str) -> Images | Scribbles:
        """The classes of a split, read once; others wait meanwhile."""
        if name not in TITLES:
            raise unknown("data", name, TITLES)
        if not self._is_here(name):
            raise UserError(
                f"{name} is not here, and the page downloads nothing: put it into a folder, and start kshot serve with "
                f"--data-dir FOLDER (docs/data.md says how it must look)"
            )
        with self._gate:
            return self._kept.get((name, split), lambda: load(name, split, data_dir=self.data_dir))  # type: ignore[arg-type, return-value]


def _on_paper(x: Tensor) -> Tensor:
    """A picture [C, H, W] whose ink is high as dark ink on light paper."""
    return 255 - x if len(x) == 1 else x


def _names(data: Images | Scribbles, classes: list[int]) -> list[str]:
    """A name of its own for each class, short enough to be read above a box."""
    if isinstance(data, Images):
        named = [_short(data.names[c], data.groups[c])[: limits.NAME - 4] for c in classes]
    else:
        named = [f"character {i}" for i in range(1, len(classes) + 1)]
    return [name if named.count(name) == 1 else f"{name} {i}" for i, name in enumerate(named, 1)]


def _short(name: str, group: str) -> str:
    """ "Greek/character01" as "Greek 01", and "Lao/LAO LETTER KO" as "Lao ko"."""
    own = name.rpartition("/")[2]
    if own.startswith("character"):
        return f"{group} {own.removeprefix('character')}"
    if own.isupper() and group:
        unsaid = {*group.upper().split(), "LETTER"}
        return f"{group} {' '.join(w for w in own.split() if w not in unsaid).lower()}"
    return own
