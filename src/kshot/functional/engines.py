"""Engines: how the inner loops of a batch of tasks are computed, and how the exact meta-gradient is taken.

Tasks are computed one after the other, all at once (`vmap`), or some at a time; by one thread or by one for each core.
The gradient through the inner steps is taken either from a graph of all steps (unrolled), or step by step backwards:

    v_k = grad L^query(theta_k),   v_i = v_{i+1} d theta_{i+1} / d theta_i   (for SGD: v_{i+1} - alpha H_i v_{i+1})

where theta_0..theta_k are kept and step i is computed once more for its vector-Jacobian product (recomputed). Its
memory is that of one step, whatever k. All engines give the same gradient up to rounding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..errors import UserError
from .inner import Gradient, InnerLoop, MultiStepLoop, Params, autograd_gradient, functional_gradient
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


@dataclass(frozen=True)
class MetaGradient:
    """The mean over the tasks of the losses of their queries, and its gradient.

    Attributes:
        grads: by the names of the meta-parameters.
        loss: scalar.
        output: what the inner loop's `loss` reports, stacked over tasks [T, ...].
    """

    grads: Params
    loss: Tensor
    output: Any


Part = tuple[Params, Tensor, Any]  # sums over some tasks of gradient and loss, and their outputs [c, ...]
EarlyLoss = Callable[..., Tensor]  # see MultiStepLoop
Pullback = Callable[..., tuple[Any, Callable[[Any], Any], Any]]


def meta_gradient(
    meta: Params,
    data: tuple[Tensor, ...],
    engine: Engine,
    part: Callable[..., Part],
) -> MetaGradient:
    """The gradient of the mean query loss after the inner loop, through all inner steps.

    Args:
        meta: the meta-parameters by name.
        data: xs [T, S, ...], ys [T, S, ...], xq [T, Q, ...], yq [T, Q, ...], and what else the loop starts from.
        engine: how to compute it.
        part: computes some tasks, `part(meta, *data)`, see `part_of`.
    """
    leaves = {n: p.detach() for n, p in meta.items()}

    def some(pieces: Sequence[tuple[Tensor, ...]]) -> Part:
        total: Params = {}
        loss, outputs = torch.zeros(()), list[Any]()
        for piece in pieces:
            grads, value, output = part(leaves, *piece)
            total = {n: total[n].add_(g) for n, g in grads.items()} if total else dict(grads)
            loss, outputs = value if not outputs else loss + value, [*outputs, output]
        return total, loss, _concatenated(outputs)

    T = len(data[0])
    parts = run_pieces(some, data, engine)
    grads = parts[0][0]
    for more, _, _ in parts[1:]:
        grads = {n: g.add_(more[n]) for n, g in grads.items()}
    loss = torch.stack([p[1] for p in parts]).sum() / T
    return MetaGradient({n: g / T for n, g in grads.items()}, loss, _concatenated([p[2] for p in parts]))


def part_of(loop: InnerLoop, engine: Engine, *, functional: bool = False) -> Callable[..., Part]:
    """What computes the tasks of one piece: part(meta, xs, ys, xq, yq, *own) with tensors [c, ...].

    Args:
        functional: through `torch.func` alone, as the compiler wants it; eagerly, autograd is faster.
    """
    batched = engine.at_once != 1
    gradient = functional_gradient if functional else gradient_for(engine)
    pullback: Pullback = _functional_pullback if functional else _autograd_pullback
    go = _recomputed if engine.recompute and loop.steps else _unrolled
    early = loop.early_loss if isinstance(loop, MultiStepLoop) else None

    def part(meta: Params, *data: Tensor) -> Part:
        return go(loop, early, meta, data if batched else tuple(d[0] for d in data), gradient, pullback, batched)

    return part


def gradient_for(engine: Engine) -> Gradient:
    """The inner gradient that goes with an engine."""
    return autograd_gradient if engine.at_once == 1 else functional_gradient


def over_tasks(f: Callable[..., Any], stacked: tuple[Any, ...], engine: Engine) -> Any:
    """f of every task's slice of the stacked arguments (trees of tensors [T, ...]), results stacked again."""

    def some(pieces: Sequence[Any]) -> Any:
        if engine.at_once == 1:
            return _concatenated([pytree.tree_map(lambda r: r[None], f(*_first(piece))) for piece in pieces])
        return _concatenated([torch.vmap(f)(*piece) for piece in pieces])

    return _concatenated(run_pieces(some, stacked, engine))


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


def _unrolled(
    loop: InnerLoop,
    early: EarlyLoss | None,
    meta: Params,
    data: tuple[Tensor, ...],
    gradient: Gradient,
    pullback: Pullback,
    batched: bool,
) -> Part:
    """Autograd through all steps at once."""

    def total(meta: Params) -> tuple[Tensor, Any]:
        def task(*task: Tensor) -> tuple[Tensor, Any]:
            state = loop.start(meta, *task[:2], *task[4:])
            before: list[Tensor] = []
            for i in range(loop.steps):
                if i and early:
                    before.append(early(meta, state, i, *task[:4]))
                state = loop.step(meta, state, i, gradient, *task[:2])
            loss, output = loop.loss(meta, state, *task[:4])
            return sum(before, loss), output

        losses, output = torch.vmap(task)(*data) if batched else task(*data)
        return losses.sum(), output

    loss, pull, output = pullback(total, meta)
    return pull(torch.ones_like(loss))[0], loss, output if batched else pytree.tree_map(lambda o: o[None], output)


def _recomputed(
    loop: InnerLoop,
    early: EarlyLoss | None,
    meta: Params,
    data: tuple[Tensor, ...],
    gradient: Gradient,
    pullback: Pullback,
    batched: bool,
) -> Part:
    """The states are kept, the graphs are not: backwards, one step is computed once more at a time.

    The first step starts from the meta-parameters themselves, which all tasks share.
    """
    support = (*data[:2], *data[4:])

    def step(meta: Params, state: Params | None, i: int, gradient: Gradient, *task: Tensor) -> Params:
        return loop.step(meta, loop.start(meta, *task) if state is None else state, i, gradient, *task[:2])

    def over(f: Callable[..., Any], state: Params | None, tasks: tuple[Tensor, ...]) -> Any:
        if not batched:
            return f(state, *tasks)
        return torch.vmap(f, in_dims=(None if state is None else 0, *(0 for _ in tasks)))(state, *tasks)

    def constant(loss: Callable[..., Any], at: Params, constant: bool = True) -> tuple[Params, Any]:
        return gradient(loss, at, constant=True)

    states: list[Params | None] = [None]
    with torch.no_grad():
        for i in range(loop.steps):
            states.append(over(lambda s, *t, i=i: step(meta, s, i, constant, *t), states[-1], support))

    def ending(meta: Params, state: Params) -> tuple[Tensor, Any]:
        losses, output = over(lambda s, *t: loop.loss(meta, s, *t), state, data[:4])
        return losses.sum(), output

    def before(f: EarlyLoss, meta: Params, state: Params, *, i: int) -> tuple[Tensor, tuple[()]]:
        return over(lambda s, *t: f(meta, s, i, *t), state, data[:4]).sum(), ()

    def one(meta: Params, state: Params | None = None, *, i: int) -> tuple[Params, tuple[()]]:
        return over(lambda s, *t: step(meta, s, i, gradient, *t), state, support), ()

    def at(state: Params | None) -> tuple[Params, ...]:
        return (meta,) if state is None else (meta, state)

    loss, pull, output = pullback(ending, *at(states.pop()))
    grads, *v = pull(torch.ones_like(loss))
    for i in reversed(range(loop.steps)):
        del pull  # and with it the graph of the part before
        _, pull, _ = pullback(partial(one, i=i), *at(state := states.pop()))
        more, *v = pull(v[0])
        grads = added(grads, more)
        if i and early:
            del pull
            value, pull, _ = pullback(partial(before, early, i=i), *at(state))
            more, direct = pull(torch.ones_like(value))
            loss, grads, v = loss + value, added(grads, more), [added(v[0], direct)]
    return grads, loss, output if batched else pytree.tree_map(lambda o: o[None], output)


def added(a: Params, b: Params) -> Params:
    """Their sums by name."""
    return {n: x + b[n] for n, x in a.items()}


def _autograd_pullback(f: Callable[..., tuple[Any, Any]], *at: Params) -> tuple[Any, Callable[[Any], Any], Any]:
    """f's result, its vector-Jacobian product and its auxiliary output, by autograd; what f ignores has zeros."""
    leaves, tree = pytree.tree_flatten(at)
    with torch.enable_grad():
        leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        out, aux = f(*pytree.tree_unflatten(leaves, tree))
    outs, _ = pytree.tree_flatten(out)

    def pull(cotangent: Any) -> Any:
        pairs = [(o, c) for o, c in zip(outs, pytree.tree_flatten(cotangent)[0]) if o.requires_grad]
        varying, cotangents = zip(*pairs)
        found = torch.autograd.grad(varying, leaves, cotangents, materialize_grads=True)
        return pytree.tree_unflatten(list(found), tree)

    detached = pytree.tree_map_only(Tensor, Tensor.detach, (out, aux))
    return detached[0], pull, detached[1]


def _functional_pullback(f: Callable[..., tuple[Any, Any]], *at: Params) -> tuple[Any, Callable[[Any], Any], Any]:
    """The same by torch.func."""
    return torch.func.vjp(f, *at, has_aux=True)  # type: ignore[return-value]


def _first(piece: Any) -> Any:
    return pytree.tree_map(lambda x: x[0], piece)


def _concatenated(parts: list[Any]) -> Any:
    """Trees of tensors [c, ...] as one tree of tensors [T, ...]."""
    if len(parts) == 1:
        return parts[0]
    flat = [pytree.tree_flatten(p) for p in parts]
    return pytree.tree_unflatten([torch.cat(leaf) for leaf in zip(*(f[0] for f in flat))], flat[0][1])
