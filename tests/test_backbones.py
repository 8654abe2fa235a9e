"""Claims about the encoders."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, replace_all_batch_norm_modules_

from kshot.backbones import BACKBONES, build_backbone, feature_size
from kshot.backbones.conv4 import Conv4, Conv4Strided
from kshot.backbones.resnet12 import ResNet12
from kshot.errors import UserError
from kshot.functional.normalize import moments
from support import noise


def own(input_shape: tuple[int, ...], width: int = 3) -> nn.Module:
    """A user's own encoder, named on the command line as test_backbones:own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[1] * input_shape[2], width))


def not_a_module() -> int:
    """A mistake of the user's."""
    return 3


@pytest.mark.parametrize(
    ("name", "size"), [("conv4", 64), ("conv4-strided", 64), ("resnet12", 640), ("mlp", 40), ("linear", 1024)]
)
def test_maps_pictures_to_vectors(name: str, size: int) -> None:
    module = build_backbone(name, (1, 28, 28)).eval()
    assert module(torch.zeros(2, 1, 28, 28)).shape == (2, size)
    assert feature_size(module, (1, 28, 28)) == size


def test_published_sizes() -> None:
    """64 features from 28 px, 1600 from 84 px (Snell et al. 2017); 256 before Reptile's head (Nichol et al. 2018)."""
    assert Conv4((3, 84, 84)).out_features == 1600
    assert Conv4Strided((1, 28, 28), mean=False).out_features == 256
    count = sum(p.numel() for p in Conv4((1, 28, 28)).parameters())
    assert count == 64 * 9 + 3 * 64 * 64 * 9 + 4 * 2 * 64


def test_resnet12_is_the_published_network() -> None:
    """64-160-320-640 filters, 12,424,320 parameters, 640 features (Lee et al. 2019)."""
    model = ResNet12((3, 84, 84))
    assert sum(p.numel() for p in model.parameters()) == 12_424_320
    assert model.out_features == 640
    small = ResNet12((3, 16, 16), width=4).double()
    x, y = noise(0, 5, 3, 16, 16), noise(0, 5, 3, 16, 16)
    for block in small.blocks:
        shortcut = normed(F.conv2d(y, block.shortcut.weight))
        for i, conv in enumerate(block.convs):
            y = normed(F.conv2d(y, conv.weight, padding=1))
            y = F.leaky_relu(y, 0.1) if i < 2 else y
        y = F.max_pool2d(F.leaky_relu(y + shortcut, 0.1), 2)
    torch.testing.assert_close(small(x), y.mean((2, 3)))


def normed(x: torch.Tensor) -> torch.Tensor:
    """Batch norm with scale 1 and shift 0."""
    return F.batch_norm(x, None, None, training=True)


def textbook(model: Conv4, weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The papers' order: convolution with a bias, batch norm, ReLU, max-pool."""
    for i, _ in enumerate(model.blocks):
        conv, scale, shift = (weights[f"blocks.{i}.{n}"] for n in ("conv.weight", "norm.weight", "norm.bias"))
        x = F.conv2d(x, conv, torch.full((len(conv),), 0.7, dtype=x.dtype), padding=1)
        x = F.batch_norm(x, None, None, scale, shift, training=True)
        x = F.max_pool2d(F.relu(x), 2)
    return x.flatten(1)


def conv4_with_signs(size: int = 16) -> Conv4:
    """A small Conv4 whose normalisation has scales of both signs, and shifts."""
    model = Conv4((1, size, size), filters=3).double()
    with torch.no_grad():
        for i, block in enumerate(model.blocks):
            block.norm.weight.copy_(noise(i, 3))
            block.norm.bias.copy_(noise(i + 9, 3))
    return model


@pytest.mark.parametrize("size", [16, 19])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_fast_block_is_the_textbook_block(layout: torch.memory_format, size: int) -> None:
    """Same outputs, gradients and second derivatives, with ties among the pooled pixels, scales of both signs."""
    model = conv4_with_signs(size)
    x = noise(0, 4, 1, size, size).clamp(min=0).to(memory_format=layout).requires_grad_()
    weights = dict(model.named_parameters())
    found = []
    for f in (lambda: functional_call(model, weights, (x,)), lambda: textbook(model, weights, x)):
        out = f()
        at = [x, *weights.values()]
        g = torch.autograd.grad(out.square().sum(), at, create_graph=True)
        second = torch.autograd.grad(sum(p.square().sum() for p in g), at)
        found.append((out, *g, *second))
    for a, b in zip(*found):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_moments_of_many_pictures_are_right_to_rounding(layout: torch.memory_format) -> None:
    """Naive sums over so many, as in torch's batch norm of channels-last pictures, are off by 1e-5 and more."""
    y = (noise(0, 300, 2, 16, 16, dtype=torch.float32) + 3).to(memory_format=layout)
    mean, variance = moments(y)
    true_variance, true_mean = torch.var_mean(y.double(), (0, 2, 3), correction=0)
    torch.testing.assert_close(mean.double(), true_mean, rtol=5e-7, atol=0)
    torch.testing.assert_close(variance.double(), true_variance, rtol=2e-6, atol=0)


def test_the_fast_block_can_be_batched_over_tasks() -> None:
    """Under vmap, with weights of each task's own: outputs, and gradients through torch.func."""
    model = replace_all_batch_norm_modules_(conv4_with_signs())
    x, weights = noise(0, 3, 4, 1, 16, 16), {n: noise(5, 3, *p.shape) for n, p in model.named_parameters()}

    def loss(f: object) -> object:
        return lambda p, x: f(p, x).square().sum()

    fast = torch.vmap(torch.func.grad(loss(lambda p, x: functional_call(model, p, (x,)))))(weights, x)
    for t in range(3):
        slow = torch.func.grad(loss(lambda p, x: textbook(model, p, x)))({n: p[t] for n, p in weights.items()}, x[t])
        for n in slow:
            torch.testing.assert_close(fast[n][t], slow[n], rtol=1e-7, atol=1e-8)


def test_the_fast_block_notes_the_statistics_of_the_textbook_layer() -> None:
    model, x = conv4_with_signs(), noise(0, 4, 1, 16, 16)
    layer = torch.nn.BatchNorm2d(3).double()
    for i in range(2):
        model.train()(x + i)
        layer(F.conv2d(x + i, model.blocks[0].conv.weight, padding=1))
    norm = model.blocks[0].norm
    torch.testing.assert_close(norm.running_mean, layer.running_mean)
    torch.testing.assert_close(norm.running_var, layer.running_var)
    assert norm.num_batches_tracked == 2
    expected = F.conv2d(x, model.blocks[0].conv.weight, padding=1)
    expected = F.batch_norm(expected, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    torch.testing.assert_close(model.eval().blocks[0](x), F.max_pool2d(F.relu(expected), 2))


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_weights_come_from_the_seed(name: str) -> None:
    side = 65 if name == "koch" else 16
    a, b, c = (build_backbone(name, (1, side, side), seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_own_modules_are_backbones() -> None:
    module = build_backbone("test_backbones:own", (1, 4, 4), seed=3, width=7)
    again = build_backbone("test_backbones:own", (1, 4, 4), seed=3, width=7)
    assert feature_size(module, (1, 4, 4)) == 7
    assert torch.equal(module[1].weight, again[1].weight)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("conv5", r"unknown backbone 'conv5'; did you mean 'conv4'\?"),
        ("nowhere:f", r"cannot import backbone 'nowhere:f'.*package.module:function"),
        ("test_backbones:nothing", r"cannot import backbone"),
        ("test_backbones:not_a_module", r"must return a torch.nn.Module; it returned int"),
        ("conv4", r"at least 16 x 16 pixels; these inputs have the shape \(1, 8, 8\)"),
    ],
)
def test_mistakes_are_explained(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_backbone(name, (1, 8, 8))


def test_a_backbone_must_give_vectors() -> None:
    with pytest.raises(UserError, match=r"to vectors \[B, D\]; this one gives \(1, 1, 8, 8\)"):
        feature_size(nn.Identity(), (1, 8, 8))
