"""Memory that is used again: on Linux, freshly mapped pages cost a training up to a third of its time."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # parameters of mallopt(3)


@cache
def keep_memory() -> bool:
    """Let the C library keep freed memory for the next step of a training instead of giving it back each time.

    A setting of the whole process, made once by trainings and evaluations. KSHOT_KEEP_MEMORY=0 leaves things as they
    are; so does a system whose C library is not glibc.

    Returns:
        whether it was done.
    """
    if os.environ.get("KSHOT_KEEP_MEMORY") == "0" or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((MMAP_THRESHOLD, 2**31 - 1), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 64 << 20))
    taken = [mallopt(name, value) for name, value in wanted]
    return all(taken)
