"""Convolution whose derivatives of every order are convolutions of the same three kinds.

With the trilinear form f(x, w, g) = <g, conv(x, w)>, the convolution is the derivative of f by g, and the two gradients
that backpropagation needs are those by x and by w:

    C(x, w) = df/dg = conv(x, w),     X(g, w) = df/dx,     W(x, g) = df/dw

Each is bilinear, and its own derivatives are the other two: <c, C(x, w)> has the gradients X(c, w) and W(x, c), and so
on. A second-order step needs nothing but these, and torch has fast kernels for them; torch's own second derivative
takes W as a convolution whose filters are as large as the pictures, which is four times as slow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """What a convolution is beside its operands.

    Attributes:
        stride, padding: in pixels.
        picture, filter: sizes (H, W) of the pictures and of the filters.
        groups: of channels that are convolved each by itself; each task of a batch is a group.
    """

    stride: int
    padding: int
    picture: tuple[int, int]
    filter: tuple[int, int]
    groups: int = 1


def conv2d(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """The convolution of x [B, C, H, W] with w [F, C, h, w], without bias: [B, F, H', W'].

    As `torch.nn.functional.conv2d`, with faster second derivatives. On a processor the result is channels-last, on
    which what follows (moments, pooling) is several times as fast. Differentiable as often as wanted, and for batches
    of tasks (`torch.vmap`).
    """
    if torch.compiler.is_compiling() or x.is_cuda:
        return F.conv2d(x, w, stride=stride, padding=padding)
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        x, w = x.to(kind), w.to(kind)
    return _Convolution.apply(x, w, Geometry(stride, padding, _size(x), _size(w)))


class _Bilinear(torch.autograd.Function):
    """One of C, X and W; the operands are kept for the other two."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Geometry], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.geometry = inputs[2]


class _Convolution(_Bilinear):
    """C(x, w)."""

    @staticmethod
    def forward(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
        stride, padding, groups = geometry.stride, geometry.padding, geometry.groups
        return F.conv2d(channels_last(x), w, stride=stride, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, w), at, (by_x, by_w, _) = ctx.saved_tensors, ctx.geometry, ctx.needs_input_grad
        return _OfPictures.apply(c, w, at) if by_x else None, _OfFilters.apply(x, c, at) if by_w else None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None, None], x: Tensor, w: Tensor, at: Geometry
    ) -> tuple[Tensor, int]:
        T, (of_x, of_w, _) = info.batch_size, in_dims
        if of_w is None:  # the tasks share the filters
            return _Convolution.apply(_as_batch(x, of_x), w, at).unflatten(0, (T, -1)), 0
        if of_x is None and at.groups == 1:  # and here the pictures
            return _Convolution.apply(x, _as_batch(w, of_w), at).unflatten(1, (T, -1)), 1
        x, w = _as_channels(_each(x, of_x, T)), _as_batch(w, of_w)
        return _Convolution.apply(x, w, _grouped(at, T)).unflatten(1, (T, -1)), 1


class _OfPictures(_Bilinear):
    """X(g, w)."""

    @staticmethod
    def forward(g: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
        shape = (g.shape[0], w.shape[1] * geometry.groups, *geometry.picture)
        return _gradient(g, _unread(shape, g), w, geometry, 0)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (g, w), at, (by_g, by_w, _) = ctx.saved_tensors, ctx.geometry, ctx.needs_input_grad
        return _Convolution.apply(c, w, at) if by_g else None, _OfFilters.apply(c, g, at) if by_w else None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None, None], g: Tensor, w: Tensor, at: Geometry
    ) -> tuple[Tensor, int]:
        T, (of_g, of_w, _) = info.batch_size, in_dims
        if of_w is None:
            return _OfPictures.apply(_as_batch(g, of_g), w, at).unflatten(0, (T, -1)), 0
        g, w = _as_channels(_each(g, of_g, T)), _as_batch(w, of_w)
        return _OfPictures.apply(g, w, _grouped(at, T)).unflatten(1, (T, -1)), 1


class _OfFilters(_Bilinear):
    """W(x, g)."""

    @staticmethod
    def forward(x: Tensor, g: Tensor, geometry: Geometry) -> Tensor:
        shape = (g.shape[1], x.shape[1] // geometry.groups, *geometry.filter)
        return _gradient(g, channels_last(x), _unread(shape, g), geometry, 1)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, g), at, (by_x, by_g, _) = ctx.saved_tensors, ctx.geometry, ctx.needs_input_grad
        return _OfPictures.apply(g, c, at) if by_x else None, _Convolution.apply(x, c, at) if by_g else None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None, None], x: Tensor, g: Tensor, at: Geometry
    ) -> tuple[Tensor, int]:
        T, (of_x, of_g, _) = info.batch_size, in_dims
        x, g = _as_channels(_each(x, of_x, T)), _as_channels(_each(g, of_g, T))
        return _OfFilters.apply(x, g, _grouped(at, T)).unflatten(0, (T, -1)), 0


def _gradient(g: Tensor, x: Tensor, w: Tensor, geometry: Geometry, which: int) -> Tensor:
    """The gradient by the pictures (which = 0) or by the filters (1); the values of that operand are not read."""
    stride, padding, wanted = [geometry.stride] * 2, [geometry.padding] * 2, [which == 0, which == 1, False]
    found = torch.ops.aten.convolution_backward(
        g, x, w, None, stride, padding, [1, 1], False, [0, 0], geometry.groups, wanted
    )
    return found[which]


def channels_last(x: Tensor) -> Tensor:
    """x [B, C, H, W] channels-last, also where that is ambiguous: pictures of one channel count as either."""
    _, C, H, W = x.shape
    if C == 1 and x.is_contiguous():
        return x.as_strided(x.shape, (H * W, 1, W, 1))
    return x.contiguous(memory_format=torch.channels_last)


def _unread(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]


def _grouped(geometry: Geometry, T: int) -> Geometry:
    """Every task's channels by themselves."""
    return replace(geometry, groups=T * geometry.groups)


def _each(x: Tensor, dim: int | None, T: int) -> Tensor:
    """x with the tasks in dimension 1: [B, T, C, H, W]."""
    return x.unsqueeze(1).expand(-1, T, *x.shape[1:]) if dim is None else x.movedim(dim, 1)


def _as_channels(x: Tensor) -> Tensor:
    """[B, T, C, H, W] -> [B, T * C, H, W]."""
    return x.flatten(1, 2)


def _as_batch(x: Tensor, dim: int | None) -> Tensor:
    """The tasks of dimension dim first, and then taken together with what is first in them: [T * B, C, H, W]."""
    assert dim is not None
    return x.movedim(dim, 0).flatten(0, 1)
