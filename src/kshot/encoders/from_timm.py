"""Encoders of timm (PyTorch Image Models): pictures, prepared as each model's own configuration says."""

from __future__ import annotations

import difflib
import importlib
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import UserError
from .base import Encoder, module_encoder
from .libraries import library, local, quiet, unseeded, weights_of
from .weights import fill, read_weights

FILES = ("model.safetensors", "pytorch_model.bin")


def open_timm(
    name: str,
    *,
    weights: str = "pretrained",
    size: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Encoder:
    """A model of timm without its classifier.

    Args:
        name: as timm calls it (resnet18.a1_in1k), hf-hub:OWNER/NAME, or a folder with config.json and
            model.safetensors as timm saves it.
        weights: pretrained (timm's own, downloaded once), a file with a state dict, or random.
        size: side of the pictures in pixels, where not as in the model's configuration.
        seed: of random weights.
        device: where to compute.
    """
    asked = f"timm:{name}"
    timm = library("timm", asked)
    folder = local(name)
    source = f"local-dir:{folder}" if folder else name
    if folder is None and not name.startswith("hf-hub:") and not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), n=3, cutoff=0.4)
        raise UserError(
            f"unknown model of timm {name!r}; did you mean {' or '.join(near) or 'another'}? timm.list_models() names "
            f"all"
        )
    file = _file(folder, weights)
    there = name.removeprefix("hf-hub:") if name.startswith("hf-hub:") else f"timm/{name}"
    instead = (
        f"give a file of its weights (option weights=FILE.safetensors, such as model.safetensors of huggingface.co/"
        f"{there}), a folder that timm saved (timm:FOLDER), or random ones (weights=random)"
    )
    theirs = file is None and weights == "pretrained"
    with weights_of(asked, instead, here=folder is not None), unseeded(seed):
        module = _create(timm, source, size, pretrained=theirs)
    if file is not None:
        _load(module, file)
    data = library("timm.data", asked)
    config = data.resolve_model_data_config(module, args={} if size is None else {"input_size": (3, size, size)})
    with quiet():
        prepare = data.create_transform(**config, is_training=False)
    if config["input_size"][0] != 3:
        raise UserError(f"{asked} takes pictures of {config['input_size'][0]} channels; expected 3")
    around = math.floor(config["input_size"][-1] / config["crop_pct"])
    known = {"family": "timm", "version": timm.__version__, "prepare": str(prepare)}
    return module_encoder(module, prepare, name=asked, size=around, identity=known, device=device)


def _file(folder: Path | None, weights: str) -> Path | None:
    """The file of the weights; None for timm's own and for random ones."""
    if weights == "random":
        return None
    if weights != "pretrained":
        return Path(weights).expanduser()
    if folder is None:
        return None
    found = [folder / f for f in FILES if (folder / f).is_file()]
    if not found:
        raise UserError(f"{folder} has none of {', '.join(FILES)}: put the weights there, or give weights=FILE")
    return found[0]


def _create(timm: Any, source: str, size: int | None, **arguments: Any) -> nn.Module:
    """The model without a classifier; transformers are told the size of the pictures, convolutions need not be."""
    arguments["num_classes"] = 0
    if size is not None:
        try:
            return timm.create_model(source, img_size=size, **arguments)
        except TypeError:
            pass
    return timm.create_model(source, **arguments)


def _load(module: nn.Module, file: Path) -> None:
    """A file of weights, brought to this version's names as timm brings its own."""
    tensors = read_weights(file)
    convert = getattr(importlib.import_module(type(module).__module__), "checkpoint_filter_fn", None)
    if convert is not None and set(tensors) != set(module.state_dict()):
        with quiet():
            tensors = convert(tensors, module)
    heads = getattr(module, "pretrained_cfg", {}).get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    fill(module, tensors, f"the weights {file}", spare=lambda name: name.rpartition(".")[0] in heads)
