"""Linear layers and ReLU whose derivatives are of the same kinds, against plain loops and torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from kshot.functional.linear import linear
from kshot.functional.recording import Notes
from kshot.functional.relu import relu

Layer = Callable[[Tensor, Tensor, Tensor], Tensor]


def operands(*tasks: int) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(len(tasks))
    return tuple(torch.randn(*tasks, *s, generator=g, dtype=torch.float64) for s in ((4, 3), (2, 3), (2,)))  # type: ignore[return-value]


def test_is_the_sum_of_products_in_plain_loops() -> None:
    x, w, b = operands()
    found = linear(x, w, b)
    for i in range(4):
        for n in range(2):
            expected = b[n] + sum(x[i, d] * w[n, d] for d in range(3))
            torch.testing.assert_close(found[i, n], expected)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (5, 3), (2, 5, 3)])
def test_rows_of_any_shape(shape: tuple[int, ...]) -> None:
    x, (_, w, b) = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64), operands()
    torch.testing.assert_close(linear(x, w, b), F.linear(x, w, b))
    torch.testing.assert_close(linear(x, w), F.linear(x, w))


def test_first_and_second_derivatives_are_right() -> None:
    """Against finite differences."""
    at = tuple(t.requires_grad_() for t in operands())
    with torch.random.fork_rng(devices=[]):  # the check draws directions
        assert torch.autograd.gradcheck(linear, at)
        assert torch.autograd.gradgradcheck(linear, at)
        assert torch.autograd.gradcheck(lambda x: relu(x) ** 2, at[0])
        assert torch.autograd.gradgradcheck(lambda x: relu(x) ** 2, at[0])


def two_steps(layer: Layer, rectified: Callable[[Tensor], Tensor], x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """A loss after two gradient steps on the weights; its derivatives hold those of every order up to the third."""

    def loss(w: Tensor, b: Tensor) -> Tensor:
        y = rectified(layer(x, w, b))
        return y.sin().sum() + (y**3).mean()

    for _ in range(2):
        by_w, by_b = grad(loss, argnums=(0, 1))(w, b)
        w, b = w - 0.1 * by_w, b - 0.1 * by_b
    return layer(x, w, b).square().sum()


DIMS = [(0, 0, 0), (0, None, None), (None, 0, 0), (0, 0, None), (None, None, 0)]


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("by", [0, 1, 2])
def test_batches_of_tasks_agree_with_torch(dims: tuple[int | None, ...], by: int) -> None:
    """vmap inside and outside of derivatives by each operand, whichever of them the tasks share; and in one another."""
    whole = operands(5, 3)
    at = tuple(t[0] if d == 0 else t[0, 0] for t, d in zip(whole, dims))
    nested = tuple(t if d == 0 else t[0, 0] for t, d in zip(whole, dims))

    def mine(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return two_steps(linear, relu, x, w, b)

    def theirs(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return two_steps(F.linear, F.relu, x, w, b)

    inside = [vmap(grad(f, argnums=by), in_dims=dims)(*at) for f in (mine, theirs)]
    torch.testing.assert_close(*inside)
    outside = [grad(lambda *at, f=f: vmap(f, in_dims=dims)(*at).sum(), argnums=by)(*at) for f in (mine, theirs)]
    torch.testing.assert_close(*outside)
    inner = tuple(None if d is None else 1 for d in dims)
    twice = [vmap(vmap(grad(f, argnums=by), in_dims=dims), in_dims=inner)(*nested) for f in (mine, theirs)]
    torch.testing.assert_close(*twice)


def test_half_precision_under_autocast() -> None:
    x, w, b = (t.float() for t in operands())
    with torch.autocast("cpu", torch.bfloat16):
        found = linear(x, w, b)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), F.linear(x, w, b), rtol=0.05, atol=0.05)


class Products(TorchDispatchMode):
    """Counts batched products of two matrices that both lie transposed in memory."""

    transposed = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if op is torch.ops.aten.bmm.default:
            self.transposed += all(a.stride(-2) == 1 != a.stride(-1) for a in args)
        return op(*args, **(kwargs or {}))


def test_no_product_of_second_derivatives_is_of_two_transposed_matrices() -> None:
    """Which would take ten times as long; torch's own layer has some, so that this can fail."""
    found = []
    for layer, rectified in ((linear, relu), (F.linear, F.relu)):
        at = [t.requires_grad_() for t in operands(6)]
        with Products() as products:
            loss = vmap(lambda *t, f=layer, r=rectified: two_steps(f, r, *t))(*at).sum()
            torch.autograd.grad(loss, at)
        found.append(products.transposed)
    assert found[0] == 0 < found[1]


def test_the_mask_of_a_relu_is_constant() -> None:
    """No zeros are made for the place where x decides."""
    x = operands()[0].requires_grad_()
    with Notes([x]) as notes:
        (first,) = torch.autograd.grad(relu(x).square().sum(), x, create_graph=True)
        torch.autograd.grad(first.sum(), x)
    assert "aten.zeros_like.default" not in [str(c.op) for c in notes.calls]
