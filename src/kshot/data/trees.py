"""Files by name, whether they lie in a folder or in the archives in it. Nothing is ever unpacked to disk."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import UserError
from .classes import HIDDEN, listing, usable
from .problems import Problems

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
DAMAGES = (OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, tarfile.TarError,
           zipfile.BadZipFile)  # fmt: skip
BLOCK = 512  # bytes of a tar archive
MOST = 1 << 32  # bytes of archives within archives
LARGEST = 1 << 28  # bytes of a file that is read from an archive, unless it is an archive itself


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes:
        where: its path, within its archive if it lies in one; for messages.
        order: (number of the archive, place in it): reading in this order is fastest.
        load: its bytes; `read` explains what goes wrong.
    """

    where: str
    order: tuple[int, int]
    load: Callable[[], bytes] = field(repr=False)

    def read(self) -> bytes:
        """The bytes."""
        try:
            return self.load()
        except DAMAGES as e:
            raise UserError(f"{self.where} cannot be read ({e}): get the file again") from e


class Tree:
    """The files below folders, and those in archives that lie there (and in archives within these, once).

    The files of the archive `sub/name.tar` are called `sub/name/...`, and those of each root begin with its name. An
    archive beside a folder of its name counts as unpacked there and is left alone. Links, hidden files and names that
    lead out of their archive are no files; the last are problems.

    Args:
        roots: folders or archives.
        problems: takes what cannot be used.

    Attributes:
        files: the entries by their names, with "/" between the parts.
    """

    def __init__(self, roots: Iterable[Path], problems: Problems) -> None:
        self.files: dict[str, Entry] = {}
        self._problems, self._open = problems, ExitStack()
        self._archives = self._inside = 0
        try:
            for root in roots:
                self._add(root)
        except BaseException:
            self._open.close()
            raise

    def _add(self, root: Path) -> None:
        prefix = stem(root.name) + "/"
        if root.is_dir():
            self._folder(root, root, prefix)
        else:
            self._archive(str(root), partial(_open, root), prefix, nested=False)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _folder(self, folder: Path, root: Path, prefix: str) -> None:
        entries = [e for e in listing(folder) if usable(e, root, self._problems)]
        folders = {e.name for e in entries if e.is_dir()}
        for entry in entries:
            if entry.is_dir():
                self._folder(entry, root, f"{prefix}{entry.name}/")
            elif not is_archive(entry.name):
                self.files[prefix + entry.name] = Entry(str(entry), (0, len(self.files)), entry.read_bytes)
            elif stem(entry.name) not in folders:
                self._archive(str(entry), partial(_open, entry), f"{prefix}{stem(entry.name)}/", nested=False)

    def _archive(self, where: str, open_it: Callable[[], IO[bytes]], prefix: str, nested: bool) -> None:
        """The files of an archive; `where` is its path."""
        self._archives += 1
        number = self._archives
        try:
            opened = self._open.enter_context(open_it())
            members = self._zip(opened) if where.lower().endswith(".zip") else self._tar(opened)
        except DAMAGES as e:
            raise UserError(f"{where} cannot be read as an archive ({e}): get it again") from e
        for place, (name, size, load) in enumerate(members):
            parts = PurePosixPath(name).parts
            if "\\" in name or name[1:2] == ":" or name.startswith("/") or ".." in parts:
                self._problems.add(f"{where} holds {name!r}, a name that leads out of the archive: get another archive")
            elif any(p.startswith(".") or p.lower() in HIDDEN for p in parts):
                continue
            elif is_archive(name):
                if not nested:
                    self._inside += size
                    if self._inside > MOST:
                        raise UserError(
                            f"{where} holds archives of more than {MOST:,} bytes, which would be read into memory: "
                            f"unpack it into a folder"
                        )
                    inside = partial(self._inner, load)
                    self._archive(f"{where}/{name}", inside, prefix + stem("/".join(parts)) + "/", nested=True)
            elif size > LARGEST:
                self._problems.add(f"{where}/{name} has {size:,} bytes; at most {LARGEST:,} are read: leave it out")
            else:
                self.files[prefix + "/".join(parts)] = Entry(f"{where}/{name}", (number, place), load)

    @staticmethod
    def _inner(load: Callable[[], bytes]) -> IO[bytes]:
        return BytesIO(load())

    def _zip(self, opened: IO[bytes]) -> list[tuple[str, int, Callable[[], bytes]]]:
        archive = self._open.enter_context(zipfile.ZipFile(opened))
        return [(i.filename, i.file_size, partial(archive.read, i)) for i in archive.infolist() if not i.is_dir()]

    def _tar(self, opened: IO[bytes]) -> list[tuple[str, int, Callable[[], bytes]]]:
        archive = self._open.enter_context(tarfile.open(fileobj=opened))  # noqa: SIM115

        def load(member: tarfile.TarInfo) -> bytes:
            inside = archive.extractfile(member)
            return inside.read() if inside else b""

        names = [(m.name.removeprefix("./"), m) for m in archive if m.isreg()]
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)  # tarfile takes whatever is no header for the end
        if archive.fileobj.read(BLOCK) != bytes(BLOCK):
            raise EOFError("it ends before its end mark")
        return [(name, m.size, partial(load, m)) for name, m in names]


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def is_archive(name: str) -> bool:
    """Whether a file is called like an archive."""
    return name.lower().endswith(ARCHIVES)


def stem(name: str) -> str:
    """The name of an archive without its suffix."""
    end = max((s for s in ARCHIVES if name.lower().endswith(s)), key=len, default="")
    return name[: len(name) - len(end)]
