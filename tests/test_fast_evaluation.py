"""Encoders that evaluate, without gradients, in faster forms: they give what the forms with gradients give."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from kshot.backbones.conv4 import PoolBlock
from kshot.methods import METHODS, metric
from kshot.methods.metric import MetricMethod
from support import image_tasks, noise, outputs, small_method

METRIC = sorted(n for n, m in METHODS.items() if issubclass(m, MetricMethod) and m.about.support == "examples")


def block_with_statistics() -> PoolBlock:
    """A block with scales of both signs, shifts and running statistics."""
    block = PoolBlock(2, 5).to_empty(device="cpu").double()
    with torch.no_grad():
        for i, values in enumerate((block.norm.weight, block.norm.bias, block.norm.running_mean)):
            values.copy_(noise(i, 5))
        block.norm.running_var.copy_(noise(3, 5).exp())
        block.conv.weight.copy_(noise(4, *block.conv.weight.shape))
    return block.eval()


def textbook(block: PoolBlock, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The papers' order, by running statistics."""
    norm = block.norm
    x = F.conv2d(x, weights["conv.weight"], padding=1)
    x = F.batch_norm(x, norm.running_mean, norm.running_var, weights["norm.weight"], weights["norm.bias"], eps=norm.eps)
    return F.max_pool2d(F.relu(x), 2)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (8, 5), (3, 2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_evaluated_block_is_the_textbook_block(layout: torch.memory_format, size: tuple[int, int]) -> None:
    """Odd sizes lose their last row or column, as in torch's pooling; with gradients and without."""
    block = block_with_statistics()
    x = noise(9, 4, 2, *size).to(memory_format=layout)
    weights = dict(block.named_parameters())
    expected = textbook(block, weights, x)
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-12)
    found = block(x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    grads = [torch.autograd.grad(out.square().sum(), list(weights.values())) for out in (found, expected)]
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_the_evaluated_block_can_be_batched_over_tasks() -> None:
    """Under vmap, with weights of each task's own."""
    block = block_with_statistics()
    weights = {n: noise(5, 3, *p.shape) for n, p in block.named_parameters()}
    x = noise(6, 3, 4, 2, 7, 7)
    with torch.no_grad():
        found = torch.vmap(lambda p, x: functional_call(block, p, (x,)))(weights, x)
        for t in range(3):
            expected = textbook(block, {n: p[t] for n, p in weights.items()}, x[t])
            torch.testing.assert_close(found[t], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", METRIC)
def test_pieces_are_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is embedded five pictures at a time without gradients is what is embedded together."""
    method, tasks = small_method(name), image_tasks(0)
    expected = method.predict(method.adapt(tasks.xs, tasks.ys, tasks.way), tasks.xq)
    sizes: list[int] = []
    method.backbone.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    monkeypatch.setattr(metric, "PIXELS", 5 * 256 + 3)
    torch.testing.assert_close(outputs(method, tasks), expected, rtol=1e-9, atol=1e-10)
    assert sizes == [5, 5, 2] * 2
    sizes.clear()
    method.train().embed(tasks.xs)
    with torch.no_grad():
        method.embed(tasks.xs)
    assert sizes == [12, 12]  # batch norm sees the whole batch
