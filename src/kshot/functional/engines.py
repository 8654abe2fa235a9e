"""Engines: how the inner loops of a batch of tasks are computed.

Tasks are computed one after the other, all at once (`vmap`), or some at a time; by one thread or by one for each core.
How the gradient through the inner steps is taken is in `metagradients`. All engines give the same up to rounding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..errors import UserError
from .inner import Gradient, autograd_gradient, functional_gradient
from .parallel import cores, in_threads

FORMS = "auto, loop, vmap or chunk:C (C tasks at a time), and behind it +threads, +recompute or both"


@dataclass(frozen=True)
class Engine:
    """One way to compute a batch of tasks.

    Attributes:
        at_once: tasks that are batched by `vmap`; 0 for all of them, 1 for one after the other without `vmap`.
        threads: share the tasks out among the cores, one thread each.
        recompute: take the gradient through the inner steps step by step.
    """

    at_once: int = 0
    threads: bool = False
    recompute: bool = False

    @classmethod
    def parse(cls, text: str) -> Engine:
        """From its name: loop, vmap, chunk:C, with +threads and +recompute."""
        form, *more = text.split("+")
        sizes = {"vmap": 0, "loop": 1}
        if (found := re.fullmatch(r"chunk:(\d+)", form)) and int(found[1]) > 1:
            sizes[form] = int(found[1])
        if form not in sizes or sorted(more) != sorted({"threads", "recompute"} & set(more)):
            raise UserError(f"engine must be {FORMS} (such as chunk:4+threads); got {text!r}")
        return cls(sizes[form], "threads" in more, "recompute" in more)

    def __str__(self) -> str:
        form = {0: "vmap", 1: "loop"}.get(self.at_once, f"chunk:{self.at_once}")
        return form + "+threads" * self.threads + "+recompute" * self.recompute


def gradient_for(engine: Engine) -> Gradient:
    """The inner gradient that goes with an engine."""
    return autograd_gradient if engine.at_once == 1 else functional_gradient


def over_tasks(f: Callable[..., Any], stacked: tuple[Any, ...], engine: Engine) -> Any:
    """f of every task's slice of the stacked arguments (trees of tensors [T, ...]), results stacked again."""

    def some(pieces: Sequence[Any]) -> Any:
        if engine.at_once == 1:
            return concatenated([pytree.tree_map(lambda r: r[None], f(*_first(piece))) for piece in pieces])
        return concatenated([torch.vmap(f)(*piece) for piece in pieces])

    return concatenated(run_pieces(some, stacked, engine))


def run_pieces(f: Callable[[Sequence[Any]], Any], stacked: Any, engine: Engine) -> list[Any]:
    """f of lists of pieces of the stacked arguments: one list, or one for each core."""
    leaves, tree = pytree.tree_flatten(stacked)

    def pieces(bounds: Sequence[tuple[int, int]]) -> list[Any]:
        return [pytree.tree_unflatten([x[low:high] for x in leaves], tree) for low, high in bounds]

    return in_threads(f, [pieces(bounds) for bounds in cuts(len(leaves[0]), engine)])


def cuts(T: int, engine: Engine) -> list[list[tuple[int, int]]]:
    """Where T tasks are cut into pieces: first and last + 1 of every piece; one list, or one for each core."""
    workers = min(cores(), T) if engine.threads else 1
    found = []
    for low, high in pairwise(T * w // workers for w in range(workers + 1)):
        size = engine.at_once or high - low
        found.append([(s, min(s + size, high)) for s in range(low, high, size)])
    return found


def _first(piece: Any) -> Any:
    return pytree.tree_map(lambda x: x[0], piece)


def concatenated(parts: list[Any]) -> Any:
    """Trees of tensors [c, ...] as one tree of tensors [T, ...]."""
    if len(parts) == 1:
        return parts[0]
    flat = [pytree.tree_flatten(p) for p in parts]
    return pytree.tree_unflatten([torch.cat(leaf) for leaf in zip(*(f[0] for f in flat))], flat[0][1])
