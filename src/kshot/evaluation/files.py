"""Files that are whole or absent, whenever the writer is killed."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY = ".tmp"  # suffix of a file being written


def write_whole(path: Path, content: bytes) -> None:
    """Write to a temporary name, sync, rename, sync the folder: after a crash the file is the old or the new one."""
    temporary = path.with_name(path.name + TEMPORARY)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if os.name == "posix":  # make the renaming itself last through a power cut
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
