"""Measure what is missing, store it, and draw it from what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import UserError, unknown
from ..figures import FORMATS, write_figure
from ..report import versions
from . import PLOTS
from .document import SUFFIXES, Document, LeftOut, find, read, save
from .learning import of_metrics
from .subject import Asked, Subject

FORMS = ("svg", "png")


@dataclass(frozen=True)
class Made:
    """A figure that was made, or left out.

    Attributes:
        name: of the figure.
        data: the file of its numbers; None if it was left out.
        files: the drawings.
        measured: whether the numbers were measured now; otherwise they lay there.
        left_out: why there is no figure.
    """

    name: str
    data: Path | None = None
    files: list[Path] = field(default_factory=list)
    measured: bool = False
    left_out: str = ""

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        data = None if self.data is None else str(self.data)
        return {**asdict(self), "data": data, "files": [str(f) for f in self.files]}


def check_names(names: Iterable[str]) -> list[str]:
    """Names of figures, each once; unknown ones are refused."""
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in PLOTS:
            raise unknown("figure", name, PLOTS)
    return names


def names_for(count: int) -> list[str]:
    """The figures that can be of so many runs."""
    return [name for name, plot in PLOTS.items() if (plot.alone if count == 1 else plot.together)]


def draw_stored(folder: Path, name: str, path: Path, forms: Sequence[str] = FORMS) -> Made:
    """Draw a figure from a file of its numbers; neither model nor data are needed."""
    return Made(name, path, write_figure(PLOTS[name].draw(read(path)), folder, name, forms))


def redraw(folder: Path, names: Sequence[str] = (), forms: Sequence[str] = FORMS) -> list[Made]:
    """Draw all figures whose numbers lie in the folder, or the named ones."""
    paths = {name: path for name in PLOTS if (path := find(folder, name)) is not None}
    missing = [name for name in names if name not in paths]
    if missing or not paths:
        what = f"no numbers of the figure {missing[0]}" if missing else "no numbers of figures"
        raise UserError(f"{folder} holds {what}: leave out --redraw to measure them")
    found = []
    for name in names or paths:
        try:
            found.append(draw_stored(folder, name, paths[name], forms))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise UserError(
                f"{paths[name]} lacks what the figure {name} needs ({what}): delete it and plot without --redraw"
            ) from error
    return found


def make(
    subjects: Sequence[Subject],
    asked: Asked,
    folder: Path,
    *,
    names: Sequence[str] = (),
    choice: Mapping[str, Any] | None = None,
    forms: Sequence[str] = FORMS,
    again: bool = False,
    on_start: Callable[[str], None] | None = None,
) -> list[Made]:
    """Figures of one method or of several together.

    Args:
        subjects: the methods with their tasks.
        asked: what the user chose.
        folder: where numbers and drawings go.
        names: of the figures; by default all that can be of so many methods.
        choice: what was said about data and tasks: numbers that lie there are of use if they were measured so.
        forms: of the drawings: svg, png, pdf.
        again: measure what lies there once more.
        on_start: called with the name of a figure before it is measured.
    """
    possible, found = names_for(len(subjects)), []
    for name in names or possible:
        if name not in possible:
            runs = "one run" if PLOTS[name].alone else "two runs or more"
            found.append(Made(name, left_out=f"it is drawn of {runs}, and there are {len(subjects)}"))
            continue
        origin = made_from(name, subjects, asked, choice or {})
        path, measured = (None if again else stored(folder, name, origin)), False
        if path is None:
            if on_start is not None:
                on_start(name)
            try:
                document = PLOTS[name].gather(subjects, asked)
            except LeftOut as reason:
                found.append(Made(name, left_out=str(reason)))
                continue
            path, measured = save(folder, name, document | origin), True
        found.append(replace(draw_stored(folder, name, path, forms), measured=measured))
    return found


def make_learning(name: str, metrics: Path, folder: Path, trained: str, forms: Sequence[str] = ("svg",)) -> Made:
    """The learning curve alone, of a training that has just ended; left out if it logged nothing."""
    try:
        path = save(folder, "learning", of_metrics({name: metrics}, trained))
    except LeftOut as reason:
        return Made("learning", left_out=str(reason))
    return draw_stored(folder, "learning", path, forms)


def forget(folder: Path) -> None:
    """Remove the figures of a folder and their numbers, and nothing else."""
    for name in PLOTS:
        for suffix in (*SUFFIXES, *(f".{form}" for form in FORMATS)):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    with suppress(OSError):  # other files may lie there
        folder.rmdir()


def made_from(name: str, subjects: Sequence[Subject], asked: Asked, choice: Mapping[str, Any]) -> Document:
    """What the numbers of a figure depend on, as a part of its document; nothing if they are gathered each time."""
    if PLOTS[name].cheap:
        return {}
    mine = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(asked).items() if k in PLOTS[name].asked}
    chosen = {**choice, **mine, "transductive": asked.transductive}
    plain = str | int | float | bool | list | None
    return {
        "made_from": {
            "runs": {s.name: s.stamp for s in subjects},
            "asked": {k: v if isinstance(v, plain) else str(v) for k, v in chosen.items()},
            "kshot": versions()["kshot"],
        }
    }


def stored(folder: Path, name: str, origin: Document) -> Path | None:
    """The numbers that lie in the folder, if they are what would be measured now."""
    path = find(folder, name)
    if path is None or PLOTS[name].cheap:
        return None
    try:
        return path if read(path).get("made_from") == origin["made_from"] else None
    except UserError:
        return None
