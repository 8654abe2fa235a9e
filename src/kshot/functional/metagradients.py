"""The exact gradient of the loss after the inner steps, by any engine.

It is taken either from a graph of all steps (unrolled), or step by step backwards (recomputed):

    v_k = grad L^query(theta_k),   v_i = v_{i+1} d theta_{i+1} / d theta_i   (for SGD: v_{i+1} - alpha H_i v_{i+1})

where theta_0..theta_k are kept and step i is computed once more for its vector-Jacobian product. Its memory is that of
one step, whatever k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from .engines import Engine, concatenated, gradient_for, run_pieces
from .inner import Gradient, InnerLoop, MultiStepLoop, Params, functional_gradient


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
Pullback = Callable[..., tuple[Any, Callable[[Any], Any], Any]]
Calling = Callable[..., Any]  # calls its second argument with the others; the first is its name


def directly(name: str, f: Callable[..., Any], *args: Any) -> Any:
    """f(*args)."""
    return f(*args)


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
        return total, loss, concatenated(outputs)

    T = len(data[0])
    parts = run_pieces(some, data, engine)
    grads = parts[0][0]
    for more, _, _ in parts[1:]:
        grads = {n: g.add_(more[n]) for n, g in grads.items()}
    loss = torch.stack([p[1] for p in parts]).sum() / T
    return MetaGradient({n: g / T for n, g in grads.items()}, loss, concatenated([p[2] for p in parts]))


def part_of(
    loop: InnerLoop, engine: Engine, calling: Calling = directly, *, functional: bool = False
) -> Callable[..., Part]:
    """What computes the tasks of one piece: part(meta, xs, ys, xq, yq, *own) with tensors [c, ...].

    Args:
        calling: calls the pure functions of tensors that the part consists of, by names that tell them apart.
        functional: through `torch.func` alone, as the compiler wants it; eagerly, autograd is faster.
    """
    batched = engine.at_once != 1
    gradient = functional_gradient if functional else gradient_for(engine)
    pullback: Pullback = _functional_pullback if functional else _autograd_pullback
    early = loop.early_loss if isinstance(loop, MultiStepLoop) else None
    ways = _Ways(loop, early, gradient, pullback, batched, calling)
    go = _recomputed if engine.recompute and loop.steps else _unrolled

    def part(meta: Params, *data: Tensor) -> Part:
        grads, loss, output = go(ways, meta, *(data if batched else (d[0] for d in data)))
        return grads, loss, output if batched else pytree.tree_map(lambda o: o[None], output)

    return part


@dataclass(frozen=True)
class _Ways:
    loop: InnerLoop
    early_loss: Any  # of a MultiStepLoop, else None
    gradient: Gradient
    pullback: Pullback
    batched: bool
    calling: Calling

    def over(self, f: Callable[..., Any], state: Params | None, *data: Tensor) -> Any:
        """f(state, *data) of every task, with the state and data of one."""
        if not self.batched:
            return f(state, *data)
        return torch.vmap(f, in_dims=(None if state is None else 0, *(0 for _ in data)))(state, *data)


def _unrolled(ways: _Ways, meta: Params, *data: Tensor) -> Part:
    """Autograd through all steps at once."""
    loop = ways.loop

    def task(meta: Params, _: None, *data: Tensor) -> tuple[Tensor, Any]:
        state = loop.start(meta, *data[:2], *data[4:])
        before: list[Tensor] = []
        for i in range(loop.steps):
            if i and ways.early_loss:
                before.append(ways.early_loss(meta, state, i, *data[:4]))
            state = loop.step(meta, state, i, ways.gradient, *data[:2])
        loss, output = loop.loss(meta, state, *data[:4])
        return sum(before, loss), output

    def whole(meta: Params, *data: Tensor) -> Part:
        def total(meta: Params) -> tuple[Tensor, Any]:
            losses, output = ways.over(partial(task, meta), None, *data)
            return losses.sum(), output

        loss, pull, output = ways.pullback(total, meta)
        return pull(torch.ones_like(loss))[0], loss, output

    return ways.calling("whole", whole, meta, *data)


def _recomputed(ways: _Ways, meta: Params, *data: Tensor) -> Part:
    """The states are kept, the graphs are not: backwards, one step is computed once more at a time.

    The first step starts from the meta-parameters themselves, which all tasks share.
    """
    loop, support = ways.loop, (*data[:2], *data[4:])

    def step(meta: Params, i: int, gradient: Gradient, state: Params | None, *task: Tensor) -> Params:
        return loop.step(meta, loop.start(meta, *task) if state is None else state, i, gradient, *task[:2])

    def constant(loss: Callable[..., Any], at: Params, constant: bool = True) -> tuple[Params, Any]:
        return ways.gradient(loss, at, constant=True)

    def forwards(i: int, meta: Params, state: Params | None, *support: Tensor) -> Params:
        with torch.no_grad():
            return ways.over(partial(step, meta, i, constant), state, *support)

    def backwards(i: int, meta: Params, state: Params | None, v: Params, *support: Tensor) -> tuple[Params, ...]:
        def one(meta: Params, state: Params | None = None) -> tuple[Params, tuple[()]]:
            return ways.over(partial(step, meta, i, ways.gradient), state, *support), ()

        return ways.pullback(one, *((meta,) if state is None else (meta, state)))[1](v)

    def ending(meta: Params, state: Params, *data: Tensor) -> tuple[Tensor, Any, Params, Params]:
        def last(meta: Params, state: Params) -> tuple[Tensor, Any]:
            losses, output = ways.over(partial(loop.loss, meta), state, *data)
            return losses.sum(), output

        loss, pull, output = ways.pullback(last, meta, state)
        return loss, output, *pull(torch.ones_like(loss))

    def early(i: int, meta: Params, state: Params, *data: Tensor) -> tuple[Tensor, Params, Params]:
        def before(meta: Params, state: Params) -> tuple[Tensor, tuple[()]]:
            return ways.over(lambda s, *t: ways.early_loss(meta, s, i, *t), state, *data).sum(), ()

        loss, pull, _ = ways.pullback(before, meta, state)
        return loss, *pull(torch.ones_like(loss))

    def call(f: Callable[..., Any], i: int, *args: Any) -> Any:
        return ways.calling(f"{f.__name__} {min(i, 1) if loop.alike else i}", partial(f, i), meta, *args)

    states: list[Params | None] = [None]
    for i in range(loop.steps):
        states.append(call(forwards, i, states[-1], *support))
    loss, output, grads, v = ways.calling("ending", ending, meta, states.pop(), *data[:4])
    for i in reversed(range(loop.steps)):
        state = states.pop()
        more, *rest = call(backwards, i, state, v, *support)
        grads, v = added(grads, more), rest[0] if i else {}
        if i and ways.early_loss:
            value, more, direct = call(early, i, state, *data[:4])
            loss, grads, v = loss + value, added(grads, more), added(v, direct)
    return grads, loss, output


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
