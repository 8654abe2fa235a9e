"""Recordings: the tensor operations of a function, noted once and then called one after the other.

In every step Python, autograd and `vmap` find out anew which operation follows which; for small networks that takes
more time than the operations themselves. A recording calls the same operations on the same operands in the same order,
so its results are the same to the last bit, which is checked when it is made.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Hashable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from .engines import Engine, MetaGradient, Part, cuts, meta_gradient
from .inner import Params

LOG = logging.getLogger("kshot")
CALLS, SECONDS = 20, 3.0  # what a function has taken before it is recorded, which takes seconds itself
MOST = 8  # recordings of one method: more would only be many shapes that seldom come
Function = Callable[..., Any]


class Unrecordable(Exception):
    """A function that is no fixed list of operations, such as one that draws random numbers; says why."""


def record(f: Function, *args: Any) -> Function:
    """f for arguments of these shapes (trees of tensors), without the Python code that f consists of.

    What f reads beside its arguments, other than tensors, is that of now. Results have no gradients.

    Raises:
        Unrecordable: f reads values of tensors, or other tensors than its arguments; or its results change.
    """
    from torch.fx.experimental.proxy_tensor import make_fx  # takes a second to import

    leaves, tree = pytree.tree_flatten(args)
    form: list[pytree.TreeSpec] = []

    def flat(*leaves: Tensor) -> list[Any]:
        found, spec = pytree.tree_flatten(f(*pytree.tree_unflatten(list(leaves), tree)))
        form.append(spec)
        return found

    def noted() -> Function:
        module = make_fx(flat, tracing_mode="fake")(*leaves)
        graph = module.graph
        simplify(graph)
        code = graph.python_code("self")
        names = dict(code.globals)
        exec(code.src, names)  # the graph's own text: calls of torch's operations
        constants = SimpleNamespace(**{n.target: getattr(module, n.target) for n in graph.nodes if n.op == "get_attr"})
        operations, spec = names["forward"], form[0]

        def replay(*args: Any) -> Any:
            with torch.no_grad(), torch.autocast("cpu", enabled=False):  # casts are among the operations
                return pytree.tree_unflatten(operations(constants, *pytree.tree_flatten(args)[0]), spec)

        return replay

    with torch.random.fork_rng(devices=[]):  # as if nothing had been tried
        known = pytree.tree_flatten(f(*args))[0]
        try:
            replay = noted()
            found = pytree.tree_flatten(replay(*args))[0]
        except Exception as error:
            raise Unrecordable(f"{type(error).__name__}: {error}") from error
    if not same(found, known):
        raise Unrecordable("repeated with the same arguments, it has other results")
    return replay


def same(found: list[Any], known: list[Any]) -> bool:
    """Whether two lists hold tensors of the same types and numbers, to the last bit (NaN is a number here)."""
    return len(found) == len(known) and all(
        isinstance(a, Tensor) and a.dtype == b.dtype and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
        for a, b in zip(found, known)
    )


def simplify(graph: fx.Graph) -> None:
    """Take out what computes nothing, in place: copies of references, views that are there already, unused results."""
    known: dict[Hashable, fx.Node] = {}
    for node in list(graph.nodes):
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            continue
        place = (value.untyped_storage()._cdata, value.storage_offset(), value.shape, value.stride(), value.dtype)
        if node.op == "call_function" and is_view(node) and place in known:
            node.replace_all_uses_with(known[place])
            graph.erase_node(node)
        else:
            known.setdefault(place, node)
    graph.eliminate_dead_code()


def is_view(node: fx.Node) -> bool:
    """Whether the result of an operation is a part of its operand's memory, which it does not write."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or schema.is_mutable or len(schema.returns) != 1:
        return False
    return schema.returns[0].alias_info is not None


class Recorder:
    """Meta-gradients that are recorded once they have taken so long that a recording is worth its seconds.

    Copies and pickles of it start anew.

    Attributes:
        calls, seconds: what a meta-gradient has taken before it is recorded.
    """

    def __init__(self, calls: int = CALLS, seconds: float = SECONDS) -> None:
        self.calls, self.seconds = calls, seconds
        self._spent: dict[Hashable, tuple[int, float]] = {}
        self._made: dict[Hashable, dict[int, Function]] = {}  # by the number of tasks of a piece

    def __reduce__(self) -> tuple[type[Recorder], tuple[int, float]]:
        return Recorder, (self.calls, self.seconds)

    def run(
        self, name: str, part: Callable[..., Part], meta: Params, data: tuple[Tensor, ...], engine: Engine
    ) -> MetaGradient:
        """`engines.meta_gradient`, with a recording of `part` in its place where there is one.

        Args:
            name: what `part` depends on beside its arguments.
        """
        mixed = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        key = (name, mixed, *((d.dtype, d.shape, d.device) for d in data))
        calls, seconds = self._spent.get(key, (0, 0.0))
        began = time.perf_counter()
        due = key not in self._made and calls >= self.calls and seconds >= self.seconds
        if due and len(self._made) < MOST and recordable(data, engine):
            self._made[key] = pieces(part, meta, data, engine)
        made = self._made.get(key, {})
        found = meta_gradient(meta, data, engine, lambda *args: made.get(len(args[1]), part)(*args))
        self._spent[key] = (calls + 1, seconds + time.perf_counter() - began)
        return found


def pieces(part: Callable[..., Part], meta: Params, data: tuple[Tensor, ...], engine: Engine) -> dict[int, Function]:
    """Recordings of `part` for every number of tasks that it is given at once; none if it cannot be recorded."""
    leaves = {n: p.detach() for n, p in meta.items()}
    bounds = {high - low: (low, high) for worker in cuts(len(data[0]), engine) for low, high in worker}
    began = time.perf_counter()
    try:
        found = {size: record(part, leaves, *(d[low:high] for d in data)) for size, (low, high) in bounds.items()}
    except Unrecordable as reason:
        LOG.info("the steps are not recorded: %s", reason)
        return {}
    LOG.info("the steps are recorded from here on (%.1f s)", time.perf_counter() - began)
    return found


def recordable(data: tuple[Tensor, ...], engine: Engine) -> bool:
    """Whether steps may be recorded: on a processor, unless KSHOT_RECORD=0 forbids it.

    Not where steps are computed anew to save memory: the list of operations takes tens of megabytes, the more the more
    inner steps there are.
    """
    return os.environ.get("KSHOT_RECORD") != "0" and not data[0].is_cuda and not engine.recompute
