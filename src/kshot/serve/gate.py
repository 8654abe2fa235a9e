"""One computation at a time, few that wait, and small memories: what many tabs at once may cost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Generic, TypeVar

from . import limits

V = TypeVar("V")


class Busy(Exception):
    """Too many ask at once."""


class Gate:
    """Lets one in at a time; who finds too many waiting, or has waited too long, is told that the server is busy.

    Methods are torch modules whose mode is switched while they predict, so that two must not use one at the same time;
    and two computations on the same cores would only make both slow.
    """

    def __init__(self, waiting: int = limits.WAITING, seconds: float = limits.WAIT_SECONDS) -> None:
        self.seconds, self._lock, self._places = seconds, threading.Lock(), threading.BoundedSemaphore(waiting)

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy("the server has as many questions waiting as it takes: ask again in a second")
        try:
            entered = self._lock.acquire(timeout=self.seconds)
        finally:
            self._places.release()
        if not entered:
            raise Busy(f"the server was busy for {self.seconds:g} seconds: ask again, or ask for less")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


class Memory(Generic[V]):
    """The values of the last keys.

    Args:
        size: how many are kept.
    """

    def __init__(self, size: int) -> None:
        self.size, self._kept, self._lock = size, OrderedDict[Hashable, V](), threading.Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """What was kept under the key, or what `make` makes (whose errors are passed on, and nothing is kept)."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = make()
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._kept)
