"""ReLU whose derivatives of every order are maskings."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary


def relu(x: Tensor) -> Tensor:
    """max(x, 0). torch's second derivative adds zeros for the place where x decides; here that is left out."""
    if torch.compiler.is_compiling() or x.is_cuda:
        return F.relu(x)
    if has_torch_function_unary(x):  # such as the mode that makes networks smooth
        return handle_torch_function(relu, (x,), x)
    return _ReLU.apply(x)


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.relu(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> Tensor:
        return _Masked.apply(c, ctx.saved_tensors[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], x: Tensor) -> tuple[Tensor, int]:
        return _ReLU.apply(x), in_dims[0]


class _Masked(torch.autograd.Function):
    """c where y > 0, else 0: linear in c, and constant in y."""

    @staticmethod
    def forward(c: Tensor, y: Tensor) -> Tensor:
        return torch.ops.aten.threshold_backward(c, y, 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None]:
        return _Masked.apply(c, ctx.saved_tensors[0]), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], c: Tensor, y: Tensor) -> tuple[Tensor, int]:
        T, (of_c, of_y) = info.batch_size, in_dims
        if of_c is None or of_y is None:
            c = c.expand(T, *c.shape) if of_c is None else c.movedim(of_c, 0)
            y = y.expand(T, *y.shape) if of_y is None else y.movedim(of_y, 0)
            return _Masked.apply(c, y), 0
        return _Masked.apply(c.movedim(of_c, of_y), y), of_y
