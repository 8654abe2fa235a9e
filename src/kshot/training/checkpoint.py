"""Files that are either whole or absent: tensors as safetensors, everything else as JSON; nothing is pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from ..evaluation.files import write_whole
from ..evaluation.report import Json

KEY = "kshot"  # of the JSON text in the metadata of a safetensors file


def save_tensors(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Json]) -> None:
    """Write named tensors and a note, atomically.

    Equal tensors and notes give equal bytes.
    """
    from safetensors.torch import save

    plain = {k: t.detach().to("cpu", copy=True).contiguous() for k, t in tensors.items()}
    write_whole(path, save(plain, metadata={KEY: json.dumps(note, sort_keys=True)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Json]]:
    """The tensors (on the CPU) and the note of a file of save_tensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {}).get(KEY, "{}"))
            return {k: file.get_tensor(k) for k in file.keys()}, note  # noqa: SIM118 (not a dict)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a whole safetensors file ({error}); restore it or train again") from error


def load_note(path: Path) -> dict[str, Json]:
    """The note alone, without reading the tensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            note: dict[str, Json] = json.loads((file.metadata() or {}).get(KEY, "{}"))
            return note
    except (SafetensorError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a whole safetensors file ({error}); restore it or train again") from error


def load_into(module: torch.nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load weights into a module; a mismatch says which names or shapes differ."""
    try:
        module.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        raise UserError(
            f"{what} does not fit this method: {error}. Build the method with the options in config.yaml"
        ) from error


def split_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with prefix, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
