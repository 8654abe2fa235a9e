"""Linear layers whose derivatives of every order are matrix products of the same three kinds.

With the trilinear form f(x, w, g) = <g, x w^T>, the layer is the derivative of f by g, and the two gradients that
backpropagation needs are those by x and by w:

    A(x, w) = df/dg = x w^T,     X(g, w) = df/dx = g w,     W(g, x) = df/dw = g^T x

Each is bilinear, and its own derivatives are the other two, as those of convolutions are (see convolution.py). torch
finds the same numbers in second derivatives, but with operands laid out the other way round: a batched product of two
transposed matrices takes ten times as long, and sums of differently laid out tensors twice as long.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

InDims = tuple[int | None, int | None]


def linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """x w^T + b for x [..., D], w [N, D] and b [N]: [..., N].

    As `torch.nn.functional.linear`, with faster second derivatives on a processor. Differentiable as often as wanted,
    and for batches of tasks (`torch.vmap`).
    """
    if torch.compiler.is_compiling() or x.is_cuda:
        return F.linear(x, w, b)
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        x, w, b = x.to(kind), w.to(kind), None if b is None else b.to(kind)
    rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
    y = _Linear.apply(rows, w)
    y = y if x.ndim == 2 else y.view(*x.shape[:-1], len(w))
    return y if b is None else y + b


class _Bilinear(torch.autograd.Function):
    """One of A, X and W, for matrices or batches of them; the operands are kept for the other two."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)


class _Linear(_Bilinear):
    """A(x, w)."""

    @staticmethod
    def forward(x: Tensor, w: Tensor) -> Tensor:
        return _product(x, w.mT)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (x, w), (by_x, by_w) = ctx.saved_tensors, ctx.needs_input_grad
        return _OfInputs.apply(c, w) if by_x else None, _OfWeights.apply(c, x) if by_w else None

    @staticmethod
    def vmap(info: Any, in_dims: InDims, x: Tensor, w: Tensor) -> tuple[Tensor, int]:
        return _of_rows(_Linear, info.batch_size, in_dims, x, w)


class _OfInputs(_Bilinear):
    """X(g, w)."""

    @staticmethod
    def forward(g: Tensor, w: Tensor) -> Tensor:
        return _product(g, w)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (g, w), (by_g, by_w) = ctx.saved_tensors, ctx.needs_input_grad
        return _Linear.apply(c, w) if by_g else None, _OfWeights.apply(g, c) if by_w else None

    @staticmethod
    def vmap(info: Any, in_dims: InDims, g: Tensor, w: Tensor) -> tuple[Tensor, int]:
        return _of_rows(_OfInputs, info.batch_size, in_dims, g, w)


class _OfWeights(_Bilinear):
    """W(g, x)."""

    @staticmethod
    def forward(g: Tensor, x: Tensor) -> Tensor:
        return _product(g.mT, x)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (g, x), (by_g, by_x) = ctx.saved_tensors, ctx.needs_input_grad
        return _Linear.apply(x, c) if by_g else None, _OfInputs.apply(g, c) if by_x else None

    @staticmethod
    def vmap(info: Any, in_dims: InDims, g: Tensor, x: Tensor) -> tuple[Tensor, int]:
        T, (of_g, of_x) = info.batch_size, in_dims
        return _OfWeights.apply(_each(g, of_g, T), _each(x, of_x, T)), 0


def _of_rows(kind: Any, T: int, dims: InDims, rows: Tensor, w: Tensor) -> tuple[Tensor, int]:
    """A or X of every task; one product of all rows where the tasks share the weights."""
    rows = _each(rows, dims[0], T)
    if dims[1] is None and w.ndim == 2:
        return kind.apply(rows.flatten(0, -2), w).unflatten(0, rows.shape[:-1]), 0
    return kind.apply(rows, _each(w, dims[1], T)), 0


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Of two matrices, or of each pair of two batches."""
    return torch.mm(a, b) if a.ndim == 2 else torch.bmm(a, b) if a.ndim == 3 else torch.matmul(a, b)


def _each(x: Tensor, dim: int | None, T: int) -> Tensor:
    """x with the tasks in front."""
    return x.expand(T, *x.shape) if dim is None else x.movedim(dim, 0)
