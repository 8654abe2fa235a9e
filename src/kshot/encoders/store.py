"""Features that were computed before: files in the cache, one folder an encoder, safe to remove at any time.

A file holds the features of one call (or, merged, of several), is written under a temporary name and renamed, and is
never changed afterwards, so that any number of processes may read and write. At most KSHOT_FEATURES_MB megabytes are
kept (1,000 by default; 0 keeps nothing): what was not used for longest goes first.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..cache import cache_dir, keep_arrays
from ..errors import UserError

FOLDER, DIGESTS, VECTORS = "features", "digests", "vectors"
LIMIT_MB = 1000
AT_ONCE = 1024  # features that are written together, so that an interrupted computation loses no more
MANY, SMALL = 24, 4_000_000  # so many files smaller than that (in bytes) become one
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class FeatureStore:
    """The features of one encoder by the digest of the input.

    Args:
        key: of the encoder.
    """

    def __init__(self, key: str) -> None:
        self.folder, self.limit = cache_dir() / FOLDER / key, limit_bytes()
        self.known: dict[bytes, np.ndarray] = {}
        self.new: dict[bytes, np.ndarray] = {}
        self.where: dict[bytes, Path] = {}
        if self.limit:
            for path in sorted(self.folder.glob("*.npz")):
                for row in _read(path, DIGESTS, 2, np.uint8):
                    self.where[row.tobytes()] = path

    def get(self, digest: bytes) -> np.ndarray | None:
        """The feature float32 [D]; None where it is not known."""
        if digest not in self.known and digest in self.where:
            self._load(self.where[digest])
        return self.known.get(digest)

    def __getitem__(self, digest: bytes) -> np.ndarray:
        found = self.get(digest)
        assert found is not None  # whoever asks has added it
        return found

    def add(self, digest: bytes, vector: np.ndarray) -> None:
        """Keep a feature."""
        self.known[digest] = self.new[digest] = vector
        if len(self.new) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        if not self.new or not self.limit:
            return
        self._write(self.new)
        self.new = {}
        self._merge()
        trim(self.limit)

    def _load(self, path: Path) -> None:
        """All features of one file; a file that is gone or damaged is as if it were not there."""
        digests, vectors = _read(path, DIGESTS, 2, np.uint8), _read(path, VECTORS, 2, np.float32)
        names = [row.tobytes() for row in digests]
        if len(names) == len(vectors):
            self.known.update(zip(names, vectors))
            with contextlib.suppress(OSError):
                os.utime(path)  # it was used
        else:
            with contextlib.suppress(OSError):
                path.unlink()
        self.where = {digest: p for digest, p in self.where.items() if p != path}

    def _write(self, features: dict[bytes, np.ndarray]) -> bool:
        digests = np.frombuffer(b"".join(features), np.uint8).reshape(len(features), -1)
        path = self.folder / f"{secrets.token_hex(8)}.npz"  # no two writers share a name
        return keep_arrays(path, {DIGESTS: digests, VECTORS: np.stack(list(features.values()))}, what="features")

    def _merge(self) -> None:
        """Make one file of many small ones. What another process merges meanwhile is twice there, or already gone."""
        small = [path for path, size, _ in _files(self.folder) if size < SMALL]
        if len(small) < MANY:
            return
        merged: dict[bytes, np.ndarray] = {}
        for path in small:
            digests, vectors = _read(path, DIGESTS, 2, np.uint8), _read(path, VECTORS, 2, np.float32)
            if len(digests) == len(vectors):
                merged.update(zip((row.tobytes() for row in digests), vectors))
        if merged and self._write(merged):
            for path in small:
                with contextlib.suppress(OSError):
                    path.unlink()


def limit_bytes() -> int:
    """What KSHOT_FEATURES_MB allows."""
    said = os.environ.get("KSHOT_FEATURES_MB", str(LIMIT_MB))
    try:
        megabytes = float(said)
    except ValueError:
        megabytes = -1.0
    if not 0 <= megabytes < float("inf"):
        raise UserError(f"KSHOT_FEATURES_MB must be a number of megabytes of at least 0; got {said!r}")
    return int(megabytes * 1e6)


def trim(limit: int) -> None:
    """Remove the features that were not used for longest, until those of all encoders have `limit` bytes."""
    files = [f for folder in (cache_dir() / FOLDER).glob("*") for f in _files(folder)]
    total = sum(size for _, size, _ in files)
    for path, size, _ in sorted(files, key=lambda f: f[2]):
        if total <= limit:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size


def _files(folder: Path) -> list[tuple[Path, int, float]]:
    """Files of features with their bytes and the time of their last use."""
    found = []
    for path in folder.glob("*.npz"):
        with contextlib.suppress(OSError):  # another process removed it
            about = path.stat()
            found.append((path, about.st_size, about.st_mtime))
    return found


def _read(path: Path, name: str, ndim: int, dtype: type) -> np.ndarray:
    """One array of a file; empty where the file is gone or damaged."""
    with contextlib.suppress(*DAMAGED), path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        found = file[name]
        if found.ndim == ndim and found.dtype == dtype:
            return np.ascontiguousarray(found)
    return np.empty((0,) * ndim, dtype)
