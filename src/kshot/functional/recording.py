"""Recordings: the tensor operations of a function, noted once and then called one after the other.

In every step Python, autograd and `vmap` find out anew which operation follows which; for small networks that takes
more time than the operations themselves. A recording calls the same operations on the same operands in the same order,
so its results are the same to the last bit, which is checked when it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

Function = Callable[..., Any]
ROUNDING = 0.1
aten = torch.ops.aten
QUICK: dict[Any, Function] = {  # torch's own Python functions, which are called in half the time
    aten.add.Tensor: torch.add,
    aten.bmm.default: torch.bmm,
    aten.expand.default: Tensor.expand,
    aten.mm.default: torch.mm,
    aten.mul.Scalar: torch.mul,
    aten.mul.Tensor: torch.mul,
    aten.neg.default: torch.neg,
    aten.permute.default: torch.permute,
    aten.relu.default: torch.relu,
    aten.sub.Tensor: torch.sub,
    aten.sum.dim_IntList: torch.sum,
    aten.t.default: torch.t,
    aten.transpose.int: torch.transpose,
    aten.unsqueeze.default: torch.unsqueeze,
    aten.view.default: Tensor.view,
    aten._unsafe_view.default: Tensor.view,
}


class Unrecordable(Exception):
    """A function that is no fixed list of operations, such as one that reads values of tensors; says why."""


def record(f: Function, *args: Any, threads: int = 0) -> Function:
    """f for arguments of these shapes (trees of tensors), without the Python code that f consists of.

    What f reads beside its arguments, other than tensors, is that of now. Results have no gradients.

    Args:
        threads: if not 0, the recording is compiled for so many threads; its results are the same to rounding then.

    Raises:
        Unrecordable: f draws random numbers or reads values of tensors, or other tensors than its arguments; or its
            results change.
    """
    own = pytree.tree_map_only(Tensor, Tensor.detach, args)  # one tensor that is given twice counts as two
    with torch.random.fork_rng(devices=[]):  # as if nothing had been tried
        known = tensors(f(*args))
        try:
            with Notes(tensors(own)) as notes:
                results, form = pytree.tree_flatten(f(*own))
            names = [notes.name(r) for r in results]
            operations = program(notes, names)
            found = operations(*tensors(args))
        except Exception as error:
            raise Unrecordable(str(error) or type(error).__name__) from error
        if not same(found, known):
            raise Unrecordable("repeated with the same arguments, it has other results")
        if threads:
            from .compiling import kernels  # loads the compiler

            operations = kernels(notes, names, tensors(own), threads)
            if not near(operations(*tensors(args)), known):
                raise Unrecordable("compiled, it has other results")
    return lambda *args: pytree.tree_unflatten(operations(*tensors(args)), form)


def tensors(tree: Any) -> list[Tensor]:
    """The tensors in a tree, in order."""
    return [x for x in pytree.tree_leaves(tree) if isinstance(x, Tensor)]


def same(found: list[Tensor], known: list[Tensor]) -> bool:
    """Whether two lists hold tensors of the same types and numbers, to the last bit (NaN is a number here)."""
    return len(found) == len(known) and all(
        a.dtype == b.dtype and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in zip(found, known)
    )


def near(found: list[Tensor], known: list[Tensor]) -> bool:
    """Whether two lists differ by rounding, as far as can be told: that of gradients behind a ReLU may be large."""
    pairs = [(a.double(), b.double()) for a, b in zip(found, known) if b.is_floating_point()]
    return all((a - b).norm() <= ROUNDING * b.norm() + 1e-6 for a, b in pairs if b.isfinite().all())


@dataclass(frozen=True)
class Name:
    """A tensor in the notes."""

    number: int

    def __str__(self) -> str:
        return f"t{self.number}"


@dataclass(frozen=True)
class Call:
    """An operation that was called.

    Attributes:
        op: the operation.
        args, kwargs: its operands, with names in place of tensors.
        reads: the names among them.
        results: names, None for a result that was not given.
        single: the operation returns a tensor, not a list.
    """

    op: Any
    args: Sequence[Any]
    kwargs: dict[str, Any]
    reads: set[Name]
    results: list[Name | None]
    single: bool


class Notes(TorchDispatchMode):
    """While it is active, every operation on tensors is noted, below autograd and `vmap`.

    Tensors are told apart by identity, and live no longer than without it. A view that is there already is not noted.

    Attributes:
        inputs: names of what was there before.
        calls: in their order.
        constants: numbers in the code of which a tensor was made.
    """

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.constants: dict[Name, Tensor] = {}
        self._names = WeakIdKeyDictionary()  # of tensors
        self._owners: list[Name] = []  # of each name: the name whose memory it has
        self._places: dict[Any, Name] = {}
        self.inputs = [self._name_now(x) for x in inputs]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch would load its compiler, tens of megabytes, to say that it must not compile this

    def name(self, x: object) -> Name:
        """Of a tensor that was noted."""
        if x not in self._names:
            raise Unrecordable("it has a result or an operand that is not computed from its arguments")
        return self._names[x]

    def _name_now(self, x: Tensor, owner: Name | None = None) -> Name:
        name = Name(len(self._owners))
        self._owners.append(owner or name)
        self._names[x] = name
        self._places.setdefault(place(x, owner or name), name)
        return name

    def __torch_dispatch__(
        self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note a call and make it."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in op.tags:
            raise Unrecordable("it draws random numbers")
        if op.name() == "aten::lift_fresh" and args[0] not in self._names:
            self.constants[self._name_now(args[0])] = args[0].clone()
        operands = tensors((args, kwargs))
        noted_args, noted_kwargs = pytree.tree_map_only(Tensor, self.name, (args, kwargs))
        if any(self._owners[self.name(x).number] in self.constants for x in changed(op, args, kwargs)):
            raise Unrecordable("it changes a constant")
        found = op(*args, **kwargs)
        single = isinstance(found, Tensor)
        results = [found] if single else found
        if not single and not operands:  # such as the common type of two types
            return found
        if not isinstance(results, list | tuple) or not all(r is None or isinstance(r, Tensor) for r in results):
            raise Unrecordable(f"{op} has a result that is no tensor")
        owner = self._owners[self.name(args[0]).number] if single and is_view(op) else None
        there = self._places.get(place(found, owner)) if owner else None
        if there:
            self._names[found] = there
            return found
        known = [r if r is None else self._names.get(r) or self._name_now(r, owner) for r in results]
        self.calls.append(Call(op, noted_args, noted_kwargs, {self.name(x) for x in operands}, known, single))
        return found


def place(x: Tensor, owner: Name) -> tuple[Any, ...]:
    """What is the same for two tensors that are the same part of the same memory."""
    return owner, x.storage_offset(), x.shape, x.stride(), x.dtype


def is_view(op: Any) -> bool:
    """Whether the result of an operation is a part of its first operand's memory, which it does not write."""
    schema = op._schema
    return not schema.is_mutable and len(schema.returns) == 1 and schema.returns[0].alias_info is not None


def changed(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The operands that an operation writes."""
    given = dict(zip((a.name for a in op._schema.arguments), args)) | kwargs
    written = [a.name for a in op._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return tensors([given.get(name) for name in written])


def needed(notes: Notes, results: Sequence[Name]) -> list[tuple[Call, set[Name]]]:
    """The calls that serve the results, and with each the tensors that are not read any more after it."""
    wanted, found = set(results), list[tuple[Call, set[Name]]]()
    read_later = set(results)
    for call in reversed(notes.calls):
        made = {r for r in call.results if r is not None}
        if call.op._schema.is_mutable or made & wanted:
            wanted |= call.reads
            found.append((call, (call.reads | made) - read_later - notes.constants.keys()))
            read_later |= call.reads | made
    return found[::-1]


def program(notes: Notes, results: Sequence[Name]) -> Function:
    """The calls that serve the results as a function of the inputs that returns a list."""
    globe: dict[str, Any] = {str(name): value for name, value in notes.constants.items()}

    def written(x: Any) -> str:
        if isinstance(x, Name) or x is None or isinstance(x, bool | int | str):
            return str(x) if not isinstance(x, str) else repr(x)
        if isinstance(x, float) and math.isfinite(x):
            return repr(x)
        if isinstance(x, list | tuple):
            return f"[{', '.join(map(written, x))}]"
        return named(f"o{len(globe)}", x)

    def named(name: str, value: Any) -> str:
        globe[name] = value
        return name

    lines = [f"def operations({', '.join(map(str, notes.inputs))}):"]
    for call, ended in needed(notes, results):
        op = named(str(call.op).replace(".", "_"), QUICK.get(call.op, call.op._op))  # _op: without a method around it
        operands = [*map(written, call.args), *(f"{k}={written(v)}" for k, v in call.kwargs.items())]
        targets = ", ".join("_" if r is None else str(r) for r in call.results)
        lines.append(f"    {targets}{'' if call.single else ','} = {op}({', '.join(operands)})")
        if ended:
            lines.append(f"    del {', '.join(map(str, ended))}")
    exec("\n".join([*lines, f"    return [{', '.join(map(str, results))}]"]), globe)
    operations = globe["operations"]

    def calling(*inputs: Tensor) -> list[Tensor]:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):  # casts are among the operations
            return operations(*inputs)

    return calling
