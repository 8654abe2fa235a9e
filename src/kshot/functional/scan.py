"""Loops over time: state_{t+1}, y_t = step(state_t, x_t) for t = 1..L, eager, compiled, or as one CUDA graph.

Recurrent learners (memory-augmented networks, learned optimisers) are such loops of small operations, whose time goes
into starting them. There are three ways with equal results:

    eager     every operation by itself; the only one that torch.func (vmap, grad) and second derivatives can pass
    compiled  one step is compiled and called L times, so that compiling takes as long for 1 step as for 1,000
    graphed   the whole loop is recorded once as a CUDA graph and then launched in one go, backward as well

Backpropagation through time keeps what each of the L steps computed. With `remat` = m, only the state before every
m-th step is kept, and m steps at a time are computed once more backwards (Chen et al. 2016): L / m states and the
graph of m steps, least at m = sqrt(L).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint

from ..errors import UserError

Step = Callable[..., tuple[Any, Any]]  # step(state, x, *params) -> state, y
Way = Literal["eager", "compiled", "graphed"]


class Scan:
    """A step made ready for loops over time: `scan(state, xs, *params)`.

    Args:
        step: `step(state, x, *params)` gives the next state, with the shapes of the state, and y. State, x, y and
            params are tensors or trees of tensors (tuples, lists, dicts).
        way: eager, compiled or graphed. Of the last two, gradients cannot be differentiated again, and every tensor
            that needs a gradient has to be an argument, not one that the step brings along. A graph is recorded anew
            for other shapes.
        remat: compute so many steps at a time once more backwards instead of keeping their graphs; "sqrt" takes the
            root of the length; 0 keeps all. Not for graphs, nor under torch.func.
    """

    def __init__(self, step: Step, *, way: Way = "eager", remat: int | Literal["sqrt"] = 0) -> None:
        if way not in get_args(Way):
            raise UserError(f"way must be {', '.join(get_args(Way)[:-1])} or {get_args(Way)[-1]}; got {way!r}")
        if remat != "sqrt" and (not isinstance(remat, int) or remat < 0):
            raise UserError(f"remat must be a number of steps, 0 or 'sqrt'; got {remat!r}")
        if way == "graphed" and remat:
            raise UserError(f"remat={remat!r} does not go with way='graphed': use eager or compiled, or remat=0")
        self.way, self.remat = way, remat
        self.step = torch.compile(step, fullgraph=True, dynamic=False) if way == "compiled" else step
        self._graphs: dict[Any, tuple[Callable[..., tuple[Tensor, ...]], pytree.TreeSpec]] = {}

    def __call__(self, state: Any, xs: Any, *params: Any) -> tuple[Any, Any]:
        """The loop over xs.

        Args:
            state: before the first step.
            xs: tensor or tree of tensors [L, ...].
            params: passed to every step.

        Returns:
            the state after the last step, and the ys, stacked [L, ...].
        """
        L = length(xs)
        if self.way == "graphed":
            return self._graphed(state, xs, *params)
        if self.way == "compiled":  # for the strides it meets, which must not depend on the length
            xs = pytree.tree_map(lambda x: x.contiguous(), xs)
            state = as_later(state, xs, params)
        every = math.isqrt(L - 1) + 1 if self.remat == "sqrt" else self.remat
        if not 0 < every < L or not torch.is_grad_enabled():
            return loop(self.step, state, xs, *params)
        parts = []
        for t in range(0, L, every):
            piece = pytree.tree_map(lambda x, t=t: x[t : t + every], xs)
            state, ys = checkpoint(loop, self.step, state, piece, *params, use_reentrant=False)
            parts.append(ys)
        return state, pytree.tree_map(lambda *y: torch.cat(y), *parts)

    def _graphed(self, *args: Any) -> tuple[Any, Any]:
        """Copy the arguments to where the graph reads them, launch it, and copy the results."""
        leaves, tree = pytree.tree_flatten(args)
        modes = torch.is_grad_enabled(), torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
        key = (modes, tree, tuple((x.shape, x.stride(), x.dtype, x.device, x.requires_grad) for x in leaves))
        if key not in self._graphs:
            self._graphs[key] = self._recorded(leaves, tree)
        graph, form = self._graphs[key]
        # The graph's memory is written again by its next launch: results and gradients are copies.
        found = [y.clone() for y in graph(*(own_gradient(x) for x in leaves))]
        return pytree.tree_unflatten(found, form)

    def _recorded(self, leaves: list[Tensor], tree: pytree.TreeSpec) -> tuple[Any, pytree.TreeSpec]:
        """The graph of the loop, and the form of its results."""
        check_devices(leaves)
        form: list[pytree.TreeSpec] = []

        def flat(*leaves: Tensor) -> tuple[Tensor, ...]:
            found, spec = pytree.tree_flatten(loop(self.step, *pytree.tree_unflatten(leaves, tree)))
            form[:] = [spec]
            return tuple(found)

        places = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in leaves)
        return torch.cuda.make_graphed_callables(flat, places, allow_unused_input=True), form[0]


def scan(step: Step, state: Any, xs: Any, *params: Any, remat: int | Literal["sqrt"] = 0) -> tuple[Any, Any]:
    """The eager loop: the state after the last step, and the ys stacked [L, ...]; see `Scan`.

    >>> total, sums = scan(lambda s, x: (s + x, s + x), torch.zeros(()), torch.tensor([1.0, 2.0, 3.0]))
    >>> sums.tolist()
    [1.0, 3.0, 6.0]
    """
    return Scan(step, remat=remat)(state, xs, *params)


def loop(step: Step, state: Any, xs: Any, *params: Any) -> tuple[Any, Any]:
    """The plain loop. xs is taken apart at once, so that backwards it is put together at once."""
    leaves, tree = pytree.tree_flatten(xs)
    form, ys = pytree.tree_structure(state), list[Any]()
    for x in zip(*(leaf.unbind() for leaf in leaves)):
        state, y = step(state, pytree.tree_unflatten(x, tree), *params)
        if not ys and pytree.tree_structure(state) != form:
            gave = pytree.tree_structure(state)
            raise UserError(f"a step must return a state of the same form: it got {form} and gave {gave}")
        ys.append(y)
    return state, pytree.tree_map(lambda *y: torch.stack(y), *ys)


def length(xs: Any) -> int:
    """L of a tree of tensors [L, ...]."""
    shapes = [tuple(x.shape) for x in pytree.tree_leaves(xs)]
    if not shapes or not all(s and s[0] == shapes[0][0] > 0 for s in shapes):
        raise UserError(
            f"xs must be tensors [L, ...] with one entry for each of L > 0 steps; got the shapes "
            f"{', '.join(map(str, shapes)) or '(none)'}"
        )
    return shapes[0][0]


def check_devices(leaves: list[Tensor]) -> None:
    """A CUDA graph computes on a GPU alone."""
    wrong = sorted({str(x.device) for x in leaves if not x.is_cuda})
    if wrong:
        raise UserError(f"way='graphed' needs every tensor on a GPU; got some on {', '.join(wrong)}: use compiled")


def as_later(state: Any, *others: Any) -> Any:
    """The first state in the form of the later ones, so that all steps share one compiled program.

    It needs a gradient if anything does, and its memory is contiguous, as what a compiled step returns is.
    """
    needed = torch.is_grad_enabled() and any(x.requires_grad for x in pytree.tree_leaves((state, others)))

    def alike(x: Tensor) -> Tensor:
        x = x.contiguous()
        fit = x.requires_grad or not needed or not x.is_floating_point()
        return x if fit else x.detach().requires_grad_()

    return pytree.tree_map(alike, state)


def own_gradient(x: Tensor) -> Tensor:
    """x, whose gradient gets memory of its own."""
    if not x.requires_grad or not torch.is_grad_enabled():
        return x
    x = x.view_as(x)
    x.register_hook(torch.clone)
    return x
