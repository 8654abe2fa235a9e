"""Recordings that torch's compiler makes kernels of: operations are merged, and called without Python."""

from __future__ import annotations

import logging
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils import _pytree as pytree

from .recording import Function, Name, Notes, aten, needed


def kernels(notes: Notes, results: Sequence[Name], inputs: Sequence[Tensor], threads: int) -> Function:
    """The calls that serve the results, compiled, as a function of the inputs that returns a list.

    It lets go of the interpreter's lock while it runs.

    Args:
        inputs: of the kinds, shapes and strides for which it is compiled; inputs of other strides are copied.
        threads: of every operation.
    """
    logging.getLogger("torch._inductor.ir").setLevel(logging.ERROR)  # it warns of operations that it does not merge
    options = {"cpp_wrapper": True, "cpp.threads": threads}
    shapes = FakeTensorMode(shape_env=ShapeEnv())  # without it, the compiler does not look into its cache
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        examples: list[Any] = [shapes.from_tensor(x, static_shapes=True) for x in inputs]
        program = torch._inductor.compile(graph(notes, results), examples, options=options)
    strides = [x.stride() for x in inputs]

    def calling(*inputs: Tensor) -> list[Tensor]:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return list(program(*(laid_out(x, stride) for x, stride in zip(inputs, strides))))

    return calling


def laid_out(x: Tensor, stride: tuple[int, ...]) -> Tensor:
    """x, with these strides."""
    if x.stride() == stride:
        return x
    return torch.empty_strided(x.shape, stride, dtype=x.dtype, device=x.device).copy_(x)


def graph(notes: Notes, results: Sequence[Name]) -> fx.GraphModule:
    """The calls that serve the results, as the compiler wants them."""
    found, root = fx.Graph(), nn.Module()
    nodes = {name: found.placeholder(str(name)) for name in notes.inputs}
    for name, value in notes.constants.items():
        root.register_buffer(str(name), value)
        nodes[name] = found.get_attr(str(name))

    def noted(tree: Any) -> Any:
        return pytree.tree_map(lambda x: nodes[x] if isinstance(x, Name) else x, tree)

    for call, _ in needed(notes, results):
        args, kwargs = noted(call.args), noted(call.kwargs)
        if call.op is aten.add.Tensor and "alpha" in kwargs:  # which the compiler forgets where the sum is of a product
            args = [args[0], found.call_function(aten.mul.Tensor, (args[1], kwargs.pop("alpha")))]
        node = found.call_function(call.op, tuple(args), kwargs)
        for i, made in enumerate(call.results):
            if made is not None:
                nodes[made] = node if call.single else found.call_function(operator.getitem, (node, i))
    found.output([nodes[name] for name in results])
    return fx.GraphModule(root, found)
