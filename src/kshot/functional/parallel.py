"""Work for the cores of a processor: Python threads, each with one core of its own.

The tensors of one small task are too small to be shared among cores, and each core has a fast memory of its own; two
tasks on two cores do not wait for each other. torch lets go of the interpreter's lock while it computes.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")

_here = threading.local()
_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def worker() -> int | None:
    """The number of the worker thread that asks; None outside `in_threads`."""
    return getattr(_here, "number", None)


def cores() -> int:
    """How many workers `in_threads` has: one for each thread that torch may use; 1 within a worker."""
    return 1 if worker() is not None else torch.get_num_threads()


def in_threads(f: Callable[[A], B], parts: Sequence[A]) -> list[B]:
    """f of every part, computed by worker threads with one core each; results in the order of the parts.

    The first error is raised here, after all parts have ended. Workers inherit whether gradients are recorded and in
    which precision is computed.
    """
    if len(parts) == 1:
        return [f(parts[0])]
    mode, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    cast, kind = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def task(part: A) -> B:
        mixed = torch.autocast("cpu", kind, enabled=cast, cache_enabled=False)
        with torch.inference_mode(inference), torch.set_grad_enabled(mode), mixed:
            return f(part)

    contexts = [contextvars.copy_context() for _ in parts]
    futures = [_pool(len(parts)).submit(c.run, task, part) for c, part in zip(contexts, parts)]
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error
    return [future.result() for future in futures]


def _pool(size: int) -> ThreadPoolExecutor:
    with _lock:
        if size not in _pools:
            numbers = iter(range(size))
            whole = torch.get_num_threads()
            _pools[size] = ThreadPoolExecutor(size, "kshot", initializer=_start, initargs=(numbers,))
            list(_pools[size].map(_settle, [threading.Barrier(size)] * size))  # every worker has started
            torch.set_num_threads(whole)  # what threads of others that start later will have
        return _pools[size]


def _start(numbers: object) -> None:
    with _numbering:
        _here.number = next(numbers)  # type: ignore[call-overload]
    torch.set_num_threads(1)
    torch.get_num_threads()  # torch settles a thread's number when first asked, and later takes what others have set


_numbering = threading.Lock()


def _settle(barrier: threading.Barrier) -> None:
    barrier.wait()
