"""Encoders: any module that maps a batch of inputs [B, ...] to vectors [B, D] is one; these are the built-in ones."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable

import torch
from torch import nn

from ..errors import UserError, unknown
from .conv4 import Conv4, Conv4Strided
from .conv4_maps import Conv4Maps
from .koch import Koch
from .linear import Linear
from .mlp import MLP
from .resnet12 import ResNet12

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "conv4": Conv4,
    "conv4-strided": Conv4Strided,
    "conv4-maps": Conv4Maps,
    "koch": Koch,
    "resnet12": ResNet12,
    "mlp": MLP,
    "linear": Linear,
}

FROZEN = ("timm", "torchvision", "hf", "sentence-transformers")  # families of `kshot.encoders`, which learn nothing

__all__ = [
    "BACKBONES",
    "FROZEN",
    "MLP",
    "Conv4",
    "Conv4Maps",
    "Conv4Strided",
    "Koch",
    "Linear",
    "ResNet12",
    "build_backbone",
    "feature_size",
    "refuse_frozen",
]


def build_backbone(name: str, input_shape: tuple[int, ...], *, seed: int = 0, **options: object) -> nn.Module:
    """The backbone of that name for inputs of that shape.

    Args:
        name: a built-in name, or `package.module:function` of a function that returns a module. The function is
            called with those of `input_shape`, `seed` and the options that it has parameters for.
        input_shape: shape of one input.
        seed: of the weights.
        options: the backbone's own arguments.
    """
    make = BACKBONES[name] if name in BACKBONES else _imported(name)
    known = inspect.signature(make).parameters
    given: dict[str, object] = {"input_shape": tuple(input_shape), "seed": seed}
    for option in options:
        if option not in known:
            raise unknown(f"option of backbone {name}", option, [k for k in known if k not in given])
    given = {k: v for k, v in given.items() if k in known}
    if name in BACKBONES:
        return make(**given, **options)
    with torch.random.fork_rng(devices=[]):  # a function of the user's draws its weights as it likes
        torch.manual_seed(seed)
        module = make(**given, **options)
    if not isinstance(module, nn.Module):
        raise UserError(f"backbone {name} must return a torch.nn.Module; it returned {type(module).__name__}")
    return module


def _imported(name: str) -> Callable[..., nn.Module]:
    module, _, function = name.partition(":")
    refuse_frozen(name)
    if not function:
        raise unknown("backbone", name, [*BACKBONES, "package.module:function"])
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"cannot import backbone {name!r}: {error}. Expected package.module:function that can be imported from "
            f"here and returns a torch.nn.Module"
        ) from error
    if not callable(found):
        raise UserError(f"backbone {name!r} is not a function but {type(found).__name__}")
    return found


def refuse_frozen(name: str) -> None:
    """Raise for the name of a frozen encoder, see `kshot.encoders`."""
    if name.partition(":")[0] in FROZEN or name.lower().endswith(".pt2"):
        raise UserError(
            f"{name} is a frozen encoder, in which nothing is trained: use it as it is (kshot evaluate protonet "
            f"--backbone {name} --data ..., kshot predict, FewShotClassifier), or name a network that can be trained"
        )


def feature_size(backbone: nn.Module, input_shape: tuple[int, ...]) -> int:
    """D of a backbone's vectors: its `out_features` if it has one, else found by a forward pass of zeros."""
    size = getattr(backbone, "out_features", None)
    if isinstance(size, int):
        return size
    training = backbone.training
    backbone.eval()
    with torch.no_grad():
        like = next(backbone.parameters(), torch.zeros(1))
        out = backbone(torch.zeros(1, *input_shape, device=like.device, dtype=like.dtype))
    backbone.train(training)
    if out.ndim != 2:
        raise UserError(
            f"a backbone must map inputs [B, {', '.join(map(str, input_shape))}] to vectors [B, D]; this one gives "
            f"{tuple(out.shape)}"
        )
    return int(out.shape[1])
