"""Batch normalisation and pooling in pieces: the moments of a batch, its maxima, and the affine map that follows.

Taking the moments apart from the map lets a block apply the map where it is cheapest (after pooling), and makes second
derivatives cheap: those of torch's own batch norm are the largest part of a MAML step on a processor.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def pooled_moments(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """2x2 maxima [B, C, H // 2, W // 2] of y [B, C, H, W], and mean and (biased) variance [C] of each channel of y.

    Differentiable twice (and more), and for batches of tasks (`torch.vmap`).
    """
    if torch.compiler.is_compiling() or y.is_cuda:  # the compiler makes better kernels of the plain form
        return (F.max_pool2d(y, 2), *moments(y))
    return _PooledMoments.apply(y)[:3]


PIECE = 1 << 18  # values that lie in a core's cache


def batch_norm(x: Tensor, scale: Tensor | None, shift: Tensor | None, eps: float) -> Tensor:
    """Batch normalisation of x [B, C, ...] by its own moments (Ioffe & Szegedy 2015).

    Beside its speed, this form has right second derivatives by a scale of each task's own under `torch.vmap`, where
    those of torch's batch norm are wrong (torch 2.13).
    """
    mean, variance = moments(x)
    slope = torch.rsqrt(variance + eps) if scale is None else scale * torch.rsqrt(variance + eps)
    return affine(x, mean, slope, shift)


def batch_norm_in_groups(x: Tensor, scale: Tensor | None, shift: Tensor | None, eps: float, group: int) -> Tensor:
    """Batch normalisation of each `group` examples of x [G * group, C, ...] by their own moments."""
    groups = x.unflatten(0, (-1, group))  # [G, group, C, ...]
    dims = [d for d in range(groups.ndim) if d not in (0, 2)]
    centred = groups - groups.mean(dims, keepdim=True)
    variance = centred.square().mean(dims, keepdim=True)  # [G, 1, C, 1, ...]
    found = (centred * torch.rsqrt(variance + eps)).flatten(0, 1)
    found = found if scale is None else found * over_channels(scale, x)
    return found if shift is None else found + over_channels(shift, x)


def affine(x: Tensor, mean: Tensor, slope: Tensor, shift: Tensor | None) -> Tensor:
    """shift + slope (x - mean), channel by channel.

    The mean is taken off first: the gradient by the slope is then a sum of numbers around zero. As the difference of
    two large sums, it made second-order gradients up to fifty times as inexact.
    """
    centred = x - over_channels(mean, x)
    if shift is None:
        return centred * over_channels(slope, x)
    return torch.addcmul(over_channels(shift, x), centred, over_channels(slope, x))


def moments(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance [C] of each channel of y [B, C, ...]; differentiable as `pooled_moments` is."""
    if torch.compiler.is_compiling() or y.is_cuda:
        wide = y.to(torch.promote_types(y.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, [d for d in range(y.ndim) if d != 1], correction=0)
        return mean, variance
    return _Moments.apply(y)


class _Moments(torch.autograd.Function):
    """dL/dy = c0 + c1 y, with numbers for each channel."""

    @staticmethod
    def forward(y: Tensor) -> tuple[Tensor, Tensor]:
        return channel_moments(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], output[0])

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_variance: Tensor) -> Tensor:
        y, mean = ctx.saved_tensors
        return dense_gradient(y, mean, grad_mean, grad_variance)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], y: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        mean, variance = _Moments.apply(y.movedim(in_dims[0], 1).flatten(1, 2))  # of [B, T*C, ...]
        split = (info.batch_size, -1)
        return (mean.unflatten(0, split), variance.unflatten(0, split)), (0, 0)


def channel_moments(y: Tensor) -> tuple[Tensor, Tensor]:
    """The moments, right to rounding; of half precision, they are of single precision.

    torch's kernel for them adds up double numbers where the pictures are contiguous, but naively in single precision
    where they are channels-last: an error of 1e-6 in the moments, and of 1e-2 in second-order gradients. There, sums
    of the values and of their squares are taken by pairs, piece by piece in the processor's cache.
    """
    wide = torch.promote_types(y.dtype, torch.float32)
    if y.is_contiguous():
        unused = torch.zeros(2, y.shape[1], dtype=wide) if wide != y.dtype else (None, None)
        return torch.batch_norm_update_stats(y, unused[0], unused[1], 0.0)
    pieces = [p.to(wide) for p in y.split(max(1, PIECE * len(y) // max(y.numel(), 1)))]
    dims = [d for d in range(y.ndim) if d != 1]
    sums = torch.stack([torch.stack([p.sum(dims), (p * p).sum(dims)]) for p in pieces])  # [pieces, 2, C]
    mean, square = sums.sum(0, dtype=torch.float64) / (y.numel() // y.shape[1])
    return mean.to(wide), (square - mean * mean).clamp(min=0).to(wide)


def dense_gradient(y: Tensor, mean: Tensor, grad_mean: Tensor, grad_variance: Tensor) -> Tensor:
    """What the gradients of the moments say of y: c0 + c1 y."""
    c0, c1 = dense_numbers(y, mean, grad_mean, grad_variance)
    return (y * over_channels(c1, y)).add_(over_channels(c0, y))  # addcmul's own derivative has a pass more


def dense_numbers(y: Tensor, mean: Tensor, grad_mean: Tensor, grad_variance: Tensor) -> tuple[Tensor, Tensor]:
    """c0 and c1 [C]."""
    per_channel = y.shape[1] / y.numel()
    c1 = grad_variance * (2 * per_channel)
    return grad_mean * per_channel - c1 * mean, c1


class _PooledMoments(torch.autograd.Function):
    """dL/dy = c0 + c1 y, with numbers for each channel, plus the gradient of the maxima at their places.

    One pass over y instead of three; the backward pass consists of operations that can be differentiated again.
    """

    @staticmethod
    def forward(y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        largest, places = torch.ops.aten.max_pool2d_with_indices(y, [2, 2])
        return (largest, *channel_moments(y), places)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], output[1], output[3])
        ctx.mark_non_differentiable(output[3])

    @staticmethod
    def backward(ctx: Any, grad_largest: Tensor, grad_mean: Tensor, grad_variance: Tensor, _: None) -> Tensor:
        y, mean, places = ctx.saved_tensors
        c0, c1 = (c.to(y.dtype) for c in dense_numbers(y, mean, grad_mean, grad_variance))
        # The sum is made in the form in which the maxima are added: adding in place to a view costs the second
        # derivative several copies.
        if not y.is_contiguous():  # channels last: the places count pixels, which then stand before the channels
            flat, at, values = (t.permute(0, 2, 3, 1).flatten(1, 2) for t in (y, places, grad_largest))  # [B, H*W, C]
            found = (flat * c1).add_(c0).scatter_add_(1, at, values)
            return found.unflatten(1, y.shape[2:]).permute(0, 3, 1, 2)
        flat, at, values = (t.flatten(2) for t in (y, places, grad_largest))  # [B, C, H*W]
        return (flat * c1[:, None]).add_(c0[:, None]).scatter_add_(2, at, values).view_as(y)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], y: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        folded = y.movedim(in_dims[0], 1).flatten(1, 2)  # [B, T*C, H, W]
        largest, mean, variance, places = _PooledMoments.apply(folded)
        split = (info.batch_size, -1)
        parts = (largest.unflatten(1, split), mean.unflatten(0, split), variance.unflatten(0, split))
        return (*parts, places.unflatten(1, split)), (1, 0, 0, 1)


def over_channels(c: Tensor, y: Tensor) -> Tensor:
    """[C] -> [1, C, 1, ...] in the type of y, to be broadcast against it."""
    return c.to(y.dtype).view(1, -1, *(1,) * (y.ndim - 2))
