"""Weights from a file into a network: nothing is unpickled but tensors, and every weight must find its place."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "teacher")  # under which trainings save weights
PREFIXES = ("module.", "_orig_mod.", "backbone.")  # that trainings put before every name


def read_weights(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .safetensors file, or of a file of torch.save that holds nothing but tensors and plain values.

    What trainings wrap around them is taken off: {"state_dict": ...}, "module." before every name.
    """
    if not path.is_file():
        raise UserError(f"the weights {path} do not exist or are no file: check the path")
    content = _safetensors(path) if path.suffix.lower() == ".safetensors" else _torch(path)
    for name in WRAPPERS:
        if isinstance(content.get(name), Mapping):
            content = content[name]
            break
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise UserError(f"{path} holds no weights by name; expected a state dict, as model.state_dict() gives it")
    for prefix in PREFIXES:
        if all(k.startswith(prefix) for k in tensors):
            tensors = {k.removeprefix(prefix): v for k, v in tensors.items()}
    return tensors


def _safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as e:
        raise UserError(f"{path} is not a whole safetensors file ({e}): get it again") from e


def _torch(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        raise UserError(
            f"{path} holds more than weights, or is no file of torch.save: it is not loaded, because a pickle runs "
            f"whatever is in it. Save model.state_dict() alone, best as .safetensors"
        ) from e
    except (OSError, EOFError, RuntimeError) as e:
        raise UserError(f"{path} cannot be read as weights ({_line(e)}): get it again") from e
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds {type(content).__name__}; expected a state dict, as model.state_dict() gives it")
    return content


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    what: str,
    *,
    spare: Callable[[str], bool] = lambda name: False,
) -> None:
    """Load weights into a module.

    Args:
        what: what messages call the weights.
        spare: which of the tensors may be left over, such as a classifier's.
    """
    try:
        left = module.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as e:
        raise UserError(f"{what} do not fit: {_line(e, 2)}. Name the architecture that they belong to") from e
    unexpected = [name for name in left.unexpected_keys if not spare(name)]
    if left.missing_keys or unexpected:
        both = [("lack", left.missing_keys), ("have besides", unexpected)]
        lines = "; they ".join(f"{verb} {len(n)} names ({', '.join(n[:3])}, ...)" for verb, n in both if n)
        raise UserError(f"{what} do not fit: they {lines}. Name the architecture that they belong to")


def _line(error: Exception, lines: int = 1) -> str:
    return " ".join(part.strip() for part in str(error).splitlines()[:lines])
