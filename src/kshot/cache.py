"""The cache: files that may be removed at any time, in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


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


def _path(kind: str, key: dict[str, Any]) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]
    return cache_dir() / kind / f"{name}.json"
