"""The convolution whose derivatives are convolutions of the same three kinds, against torch's own and plain loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap

from kshot.functional.convolution import channels_last, conv2d
from kshot.functional.parallel import in_threads

GEOMETRIES = [(1, 6, 1, 1), (2, 7, 3, 1), (2, 6, 2, 1), (1, 5, 2, 0)]  # stride, side, channels, padding
Conv = Callable[[Tensor, Tensor], Tensor]


def operands(side: int, channels: int, *tasks: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(side + channels)
    x = torch.randn(*tasks, 2, channels, side, side, generator=g, dtype=torch.float64)
    return x, torch.randn(*tasks, 4, channels, 3, 3, generator=g, dtype=torch.float64)


@pytest.mark.parametrize(("stride", "side", "channels", "padding"), GEOMETRIES)
def test_is_the_convolution_in_plain_loops(stride: int, side: int, channels: int, padding: int) -> None:
    x, w = operands(side, channels)
    wide = F.pad(x, (padding,) * 4)
    found = conv2d(x, w, stride, padding)
    for b in range(2):
        for f in range(4):
            for i in range(found.shape[2]):
                for j in range(found.shape[3]):
                    patch = wide[b, :, i * stride : i * stride + 3, j * stride : j * stride + 3]
                    torch.testing.assert_close(found[b, f, i, j], (patch * w[f]).sum())


@pytest.mark.parametrize(("stride", "side", "channels", "padding"), GEOMETRIES)
def test_first_and_second_derivatives_are_right(stride: int, side: int, channels: int, padding: int) -> None:
    """Against finite differences."""
    x, w = (t.requires_grad_() for t in operands(side, channels))
    with torch.random.fork_rng(devices=[]):  # the check draws directions
        assert torch.autograd.gradcheck(lambda a, b: conv2d(a, b, stride, padding), (x, w))
        assert torch.autograd.gradgradcheck(lambda a, b: conv2d(a, b, stride, padding), (x, w))


def two_steps(conv: Conv, x: Tensor, w: Tensor) -> Tensor:
    """A loss after two gradient steps on the filters; its derivatives hold those of every order up to the third."""

    def loss(w: Tensor) -> Tensor:
        y = conv(x, w)
        return y.sin().sum() + (y**3).mean()

    for _ in range(2):
        w = w - 0.1 * grad(loss)(w)
    return conv(x, w).square().sum()


@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize(("stride", "side", "channels", "padding"), GEOMETRIES)
def test_batches_of_tasks_agree_with_torch(
    stride: int, side: int, channels: int, padding: int, dims: tuple[int | None, int | None]
) -> None:
    """vmap inside and outside of derivatives by either operand, with pictures or filters that tasks share."""
    x, w = (t if d == 0 else t[0] for t, d in zip(operands(side, channels, 3), dims))

    def mine(x: Tensor, w: Tensor) -> Tensor:
        return two_steps(lambda a, b: conv2d(a, b, stride, padding), x, w)

    def theirs(x: Tensor, w: Tensor) -> Tensor:
        return two_steps(lambda a, b: F.conv2d(a, b, stride=stride, padding=padding), x, w)

    for by in (0, 1):
        inside = [vmap(grad(f, argnums=by), in_dims=dims)(x, w) for f in (mine, theirs)]
        torch.testing.assert_close(*inside)
        outside = [grad(lambda *at, f=f: vmap(f, in_dims=dims)(*at).sum(), argnums=by)(x, w) for f in (mine, theirs)]
        torch.testing.assert_close(*outside)


def test_nested_batches_agree_with_torch() -> None:
    x, w = operands(6, 2, 3)
    many = torch.stack([w, 2 * w])
    found = [
        vmap(vmap(grad(lambda a, b, conv=conv: two_steps(conv, a, b), argnums=1)), in_dims=(None, 0))(x, many)
        for conv in (lambda a, b: conv2d(a, b, 1, 1), lambda a, b: F.conv2d(a, b, padding=1))
    ]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("channels", [1, 3])
def test_results_are_channels_last(channels: int) -> None:
    """Also for pictures of one channel, which count as either: pooling is much slower on the other layout."""
    x, w = operands(8, channels)
    y = conv2d(x, w, 1, 1)
    assert y.stride(1) == 1
    assert torch.equal(channels_last(x), x)
    assert channels_last(x).stride(1) == 1


def test_mixed_precision_reaches_the_derivatives() -> None:
    x, w = (t.float().requires_grad_() for t in operands(6, 2))
    with torch.autocast("cpu", torch.bfloat16):
        y = conv2d(x, w, 1, 1)
        (by_w,) = torch.autograd.grad(y.float().square().sum(), w, create_graph=True)
    by_w.square().sum().backward()
    assert y.dtype == torch.bfloat16
    assert x.grad is not None
    assert x.grad.dtype == torch.float32
    exact = grad(lambda a: F.conv2d(a, w, padding=1).square().sum())(x.detach())
    loose = grad(lambda a: conv2d(a, w, 1, 1).square().sum())(x.detach())
    torch.testing.assert_close(loose, exact)


def test_worker_threads_compute_on_one_core_each() -> None:
    """Also in their first operation: torch settles a thread's number of cores when it is first needed."""
    assert in_threads(lambda _: torch.get_num_threads(), range(5)) == [1] * 5  # workers that no other test has
