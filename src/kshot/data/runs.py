"""The original one-shot classification runs of Omniglot (Lake et al. 2015), as an evaluation source.

Layout: folders run01, run02, ... each with training/class01.png ..., test/item01.png ... and class_labels.txt, whose
lines name a test picture and the training picture of the same character:

    run01/test/item01.png run01/training/class05.png

A folder or a zip archive, in which the runs may lie one folder down.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from .pictures import fit, ink_high, read_picture
from .resize import check_size

LABELS = re.compile(r"^(?:([^/]+)/)?(run\d+)/class_labels\.txt$")
LINE = re.compile(r"^(run\d+)/test/([^/\s]+)\s+(run\d+)/training/([^/\s]+)$")
SIZE = 28


@dataclass(frozen=True, eq=False)
class OneShotRuns:
    """R fixed one-shot tasks.

    Attributes:
        support: uint8 [R, N, 1, H, W], the training picture of each class, sorted by file name; ink is 255.
        query: uint8 [R, Q, 1, H, W], the test pictures, sorted by file name.
        labels: int64 [R, Q], the row of `support` that shows the same character.
        names: the name of each run, "run01", ...
    """

    support: Tensor
    query: Tensor
    labels: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Files:
    """The files of a folder or an archive: their names, and how to read one."""

    names: list[str]
    read: Callable[[str], bytes]


def _files(path: Path) -> _Files | None:
    """The files of a folder (two levels are enough to find runs) or of a zip archive; None for anything else."""
    if path.is_dir():
        listed = [p for pattern in ("run*/**/*", "*/run*/**/*") for p in path.glob(pattern) if p.is_file()]
        return _Files(sorted(p.relative_to(path).as_posix() for p in listed), lambda n: (path / n).read_bytes())
    if path.suffix.lower() == ".zip" and path.is_file() and zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
        return _Files(sorted(n for n in archive.namelist() if not n.startswith("__MACOSX")), archive.read)
    return None


def is_runs(path: Path) -> bool:
    """Whether a folder or zip archive has the layout of the one-shot runs."""
    files = _files(path)
    return files is not None and any(LABELS.match(n) for n in files.names)


def load_runs(path: Path, size: int | None = None) -> OneShotRuns:
    """The runs of a folder or zip archive, at `size` pixels (28 by default, 105 in the original).

    Pictures are black ink on white and are inverted. A training picture's place among the sorted file names is its
    label; "the n-th line is the n-th class" would be wrong.
    """
    size = SIZE if size is None else size
    check_size(size)
    files = _files(path)
    lists = {m[2]: m[1] or "" for n in files.names if (m := LABELS.match(n))} if files else {}
    if files is None or not lists:
        raise UserError(f"{path} has no run01/class_labels.txt; expected the folder or zip of the one-shot runs")
    support, query, labels = [], [], []
    for run, parent in sorted(lists.items()):
        base = f"{parent}/" if parent else ""
        classes, items, answer = _run(path, files, base, run)
        support.append(_pictures(path, files, [f"{base}{run}/training/{c}" for c in classes], size))
        query.append(_pictures(path, files, [f"{base}{run}/test/{i}" for i in items], size))
        labels.append(torch.tensor([classes.index(answer[i]) for i in items]))
    shapes = {run: (len(s), len(q)) for run, s, q in zip(sorted(lists), support, query)}
    if len(set(shapes.values())) > 1:
        raise UserError(f"the runs of {path} must have the same number of classes and test pictures; got {shapes}")
    return OneShotRuns(torch.stack(support), torch.stack(query), torch.stack(labels), tuple(sorted(lists)))


def _run(path: Path, files: _Files, base: str, run: str) -> tuple[list[str], list[str], dict[str, str]]:
    """The training pictures and test pictures of a run, sorted, and which training picture answers each test."""
    listed = f"{path}/{base}{run}/class_labels.txt"
    answer: dict[str, str] = {}
    for number, line in enumerate(files.read(f"{base}{run}/class_labels.txt").decode("utf-8", "replace").splitlines()):
        if not line.strip():
            continue
        m = LINE.match(line.strip())
        if not m or {m[1], m[3]} != {run}:
            raise UserError(
                f"line {number + 1} of {listed} is {line!r}; expected '{run}/test/NAME.png {run}/training/NAME.png'"
            )
        answer[m[2]] = m[4]
    folder = f"{base}{run}/training/"
    classes = [n.removeprefix(folder) for n in files.names if n.startswith(folder) and n.lower().endswith(".png")]
    missing = sorted(set(answer.values()) - set(classes))
    if not answer or missing:
        what = f"names {missing[0]}, which is not in {run}/training" if missing else "is empty"
        raise UserError(f"{listed} {what}: get the one-shot runs again")
    return classes, sorted(answer), answer


def _pictures(path: Path, files: _Files, names: list[str], size: int) -> Tensor:
    """The named pictures with high ink: uint8 [len(names), 1, size, size]."""
    out = []
    for name in names:
        if name not in files.names:
            raise UserError(f"{path}/{name} is named in class_labels.txt but does not exist: get the runs again")
        out.append(fit(read_picture(path / name, io.BytesIO(files.read(name))), size, 1))
    return ink_high(torch.stack(out), "yes")
