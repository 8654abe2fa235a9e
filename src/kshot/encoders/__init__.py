"""Frozen encoders: networks that others trained, which turn pictures and sentences into vectors and learn nothing here.

    timm:NAME, torchvision:NAME, hf:NAME    pictures
    sentence-transformers:NAME              sentences
    FILE.pt2                                pictures, by a network that torch.export saved

A feature is computed once and kept, see `store`. The metric methods and those with a closed-form head
(`about.on_features`) learn a task from features without any training.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..backbones import FROZEN
from ..errors import UserError, unknown
from .base import Encoder, module_encoder

__all__ = ["ENCODERS", "Encoder", "encoder_options", "is_encoder", "module_encoder", "open_encoder"]

Opener = Callable[..., Encoder]
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def _timm() -> Opener:
    from .from_timm import open_timm

    return open_timm


def _torchvision() -> Opener:
    from .from_torchvision import open_torchvision

    return open_torchvision


def _hf() -> Opener:
    from .from_hf import open_hf

    return open_hf


def _sentence_transformers() -> Opener:
    from .from_sentence_transformers import open_sentence_transformers

    return open_sentence_transformers


def _program() -> Opener:
    from .from_program import open_program

    return open_program


ENCODERS: dict[str, Callable[[], Opener]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "hf": _hf,
    "sentence-transformers": _sentence_transformers,
}
assert tuple(ENCODERS) == FROZEN


def is_encoder(name: str) -> bool:
    """Whether a backbone's name is that of a frozen encoder."""
    return name.partition(":")[0] in ENCODERS or Path(name).suffix.lower() in (".pt2", *WEIGHTS)


def encoder_options(name: str) -> dict[str, inspect.Parameter]:
    """What the encoder of that name can be told."""
    parameters = inspect.signature(_opener(name)[0], eval_str=True).parameters
    return {k: p for k, p in parameters.items() if k not in ("name", "device")} | {"unit": _UNIT}


def open_encoder(name: str, *, device: torch.device | str = "cpu", **options: Any) -> Encoder:
    """The frozen encoder of that name, ready to use.

    Args:
        name: FAMILY:NAME with a family of ENCODERS, where NAME may be a local folder for timm, hf and
            sentence-transformers; or a file that torch.export saved (.pt2).
        device: where to compute.
        options: see the openers (`weights`, `size`, ...); `unit` (by default on) scales features to unit length.

    Raises:
        UserError: the name, an option, the package or the weights are not there.
    """
    make, inner = _opener(name)
    known = encoder_options(name)
    for option in options:
        if option not in known:
            raise unknown(f"option of {name}", option, known)
    unit = options.pop("unit", True)
    encoder = make(inner, device=device, **options)
    encoder.unit = bool(unit)
    encoder.origin = (name, {**options, "unit": unit}, str(device))
    return encoder


def _opener(name: str) -> tuple[Opener, str]:
    """The function that opens the encoder of that name, and what it is to be called with."""
    family, colon, inner = name.partition(":")
    if family in ENCODERS:
        if not inner:
            raise UserError(f"{name!r} names no model: expected {family}:NAME, such as {EXAMPLES[family]}")
        return ENCODERS[family](), inner
    suffix = Path(name).suffix.lower()
    if suffix in WEIGHTS:
        raise UserError(
            f"{name} holds weights, and not the network that they belong to: name that, and the file as its weights "
            f"(backbone {EXAMPLES['timm']} with the option weights={name}), or save network and weights together by "
            f"torch.export.save (.pt2)"
        )
    if suffix == ".pt2":
        return _program(), name
    if colon:
        raise unknown("family of encoders", family, ENCODERS)
    raise UserError(
        f"{name!r} is no frozen encoder; expected {', '.join(f + ':NAME' for f in ENCODERS)} or a file .pt2"
    )


EXAMPLES = {
    "timm": "timm:vit_small_patch14_dinov2.lvd142m",
    "torchvision": "torchvision:resnet50",
    "hf": "hf:facebook/dinov2-small",
    "sentence-transformers": "sentence-transformers:all-MiniLM-L6-v2",
}
_UNIT = inspect.Parameter("unit", inspect.Parameter.KEYWORD_ONLY, default=True, annotation=bool)
