"""Where data lie: the folders that the user names."""

from __future__ import annotations

import os
from pathlib import Path


def data_dirs(data_dir: Path | None) -> tuple[list[Path], str]:
    """Folders in which archives are looked for, and who named them.

    Returns:
        The folders and "--data-dir", "KSHOT_DATA" or "" (nobody: then a missing archive is downloaded).
    """
    if data_dir is not None:
        return [Path(data_dir).expanduser()], "--data-dir"
    named = os.environ.get("KSHOT_DATA")
    if named:
        return [Path(named).expanduser()], "KSHOT_DATA"
    checkout = Path(__file__).resolve().parents[3]
    return [top.parent / "shared" / "data" for top in (checkout, Path.cwd())], ""
