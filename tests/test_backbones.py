"""Claims about the encoders."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kshot.backbones import BACKBONES, build_backbone, feature_size
from kshot.backbones.conv4 import Conv4, Conv4Strided
from kshot.errors import UserError
from support import noise


def own(input_shape: tuple[int, ...], width: int = 3) -> nn.Module:
    """A user's own encoder, named on the command line as test_backbones:own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[1] * input_shape[2], width))


def not_a_module() -> int:
    """A mistake of the user's."""
    return 3


@pytest.mark.parametrize(("name", "size"), [("conv4", 64), ("conv4-strided", 64), ("resnet12", 640), ("mlp", 40)])
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


def test_pooling_before_the_relu_is_the_textbook_form() -> None:
    """Same outputs, gradients and second derivatives as ReLU before pooling, with a bias before the normalisation."""
    model, x = Conv4((1, 16, 16), filters=3).double(), noise(0, 4, 1, 16, 16)

    def textbook(x: torch.Tensor) -> torch.Tensor:
        for block in model.blocks:
            x = F.conv2d(x, block.conv.weight, torch.full((3,), 0.7, dtype=x.dtype), padding=1)
            x = F.batch_norm(x, None, None, block.norm.weight, block.norm.bias, training=True)
            x = F.max_pool2d(F.relu(x), 2)
        return x.flatten(1)

    weights = [b.conv.weight for b in model.blocks]
    found = []
    for f in (model, textbook):
        out = f(x)
        g = torch.autograd.grad(out.square().sum(), weights, create_graph=True)
        second = torch.autograd.grad(sum(p.square().sum() for p in g), weights)
        found.append((out, *g, *second))
    for a, b in zip(*found):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_weights_come_from_the_seed(name: str) -> None:
    a, b, c = (build_backbone(name, (1, 16, 16), seed=s).state_dict() for s in (1, 1, 2))
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
