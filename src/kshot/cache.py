"""The cache: files that may be removed at any time, in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def cache_dir() -> Path:
    """KSHOT_CACHE, or the user's cache folder of the operating system."""
    named = os.environ.get("KSHOT_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("kshot"))


def remembered(kind: str, key: dict[str, Any]) -> Any:
    """What was kept under a key; None if nothing was, or it cannot be read."""
    try:
        kept = json.loads(_path(kind, key).read_text(encoding="utf-8"))
        return kept["value"] if kept["key"] == json.loads(json.dumps(key)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(kind: str, key: dict[str, Any], value: Any) -> None:
    """Keep a value that JSON can hold; where the cache cannot be written, do nothing."""
    path = _path(kind, key)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"key": key, "value": value}, indent=1), encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)


def kept_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an .npz file; None where there is none or it is damaged. Nothing is unpickled."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def keep_arrays(
    path: Path, arrays: dict[str, np.ndarray], compress: bool = False, what: str = "the decoded pictures"
) -> bool:
    """Write an .npz file under a temporary name, sync it and rename it; where that fails, warn. Whether it was done."""
    save: Callable[..., None] = np.savez_compressed if compress else np.savez
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            save(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        return True
    except OSError as e:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        warnings.warn(
            f"could not keep {what} in {path.parent} ({e}), so that they are made again at every start; "
            f"name a folder that can be written by KSHOT_CACHE",
            stacklevel=2,
        )
        return False


def _path(kind: str, key: dict[str, Any]) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]
    return cache_dir() / kind / f"{name}.json"
