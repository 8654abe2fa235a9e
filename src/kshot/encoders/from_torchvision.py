"""Encoders of torchvision: pictures, prepared as the published weights say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import UserError, unknown
from .base import Encoder, module_encoder
from .libraries import library, quiet, unseeded, weights_of
from .weights import fill, read_weights

IMAGENET = {"transform_input": True}  # two old networks scale what they get, and take it from their weights
OLD = {"googlenet": IMAGENET, "inception_v3": IMAGENET}


def open_torchvision(
    name: str,
    *,
    weights: str = "pretrained",
    size: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Encoder:
    """A classification model of torchvision without its classifier.

    Args:
        name: as torchvision calls it (resnet50), with a dot and one of its weights (resnet50.IMAGENET1K_V1) where not
            the newest.
        weights: pretrained (torchvision's own, downloaded once), a file with a state dict, or random.
        size: side of the pictures in pixels, where not as the published weights say.
        seed: of random weights.
        device: where to compute.
    """
    asked = f"torchvision:{name}"
    torchvision = library("torchvision", asked)
    models = torchvision.models
    architecture, _, tag = name.partition(".")
    known = models.list_models(module=models)
    if architecture not in known:
        raise unknown("classification model of torchvision", architecture, known)
    published = models.get_model_weights(architecture)
    if tag and tag not in published.__members__:
        raise unknown(f"weights of {architecture}", tag, published.__members__)
    chosen = published[tag] if tag else published.DEFAULT
    with quiet(), unseeded(seed):
        module = models.get_model(architecture, weights=None, **OLD.get(architecture, {}))
    if weights == "pretrained":
        instead = (
            f"give a file of its weights (option weights=FILE.pth, from {chosen.url}), or random ones (weights=random)"
        )
        with weights_of(asked, instead):
            tensors = chosen.get_state_dict(progress=False, check_hash=True, weights_only=True)
        fill(module, tensors, f"the weights of {asked}")
    elif weights != "random":
        fill(module, read_weights(Path(weights).expanduser()), f"the weights {weights}")
    _behead(module, asked)
    preset = chosen.transforms()
    if size is not None:
        around = round(preset.resize_size[0] * size / preset.crop_size[0])
        preset = chosen.transforms(crop_size=size, resize_size=around)
    about = {"family": "torchvision", "version": torchvision.__version__, "prepare": repr(preset)}
    return module_encoder(module, preset, name=asked, size=preset.resize_size[0], identity=about, device=device)


def _behead(module: nn.Module, asked: str) -> None:
    """Take off the last linear layer, so that the network gives what that layer was given."""
    linear = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise UserError(f"{asked} has no linear classifier that could be taken off: use another model")
    parent, _, last = linear[-1].rpartition(".")
    holder: Any = module.get_submodule(parent)
    setattr(holder, last, nn.Identity())
