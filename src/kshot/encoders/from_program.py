"""Encoders that torch.export saved: network and weights in one file (.pt2), no code of anybody's needed.

torch's own reader of these files unpickles; here a file is read only if there is nothing in it to unpickle but tensors.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.pictures import fit
from ..errors import UserError
from .base import Encoder, weights_digest
from .libraries import quiet

CONFIGS = ("weights_config.json", "constants_config.json")
COMPILED = "aotinductor"
GREY = ("L", 1)


def open_program(
    name: str,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    device: torch.device | str = "cpu",
) -> Encoder:
    """A network from pictures [B, C, H, W] to vectors [B, D], saved by torch.export.save.

    Pictures are fitted into H x W whole and in their proportions, as `kshot predict` does for any run; C is 1 or 3.

    Args:
        name: the file.
        mean, std: what is subtracted from pixels 0..1, and what they are divided by.
        device: where to compute.
    """
    path = Path(name).expanduser()
    program = read_program(path)
    shape, at_once = input_of(program, name)
    channels, height, width = shape
    if channels not in (1, 3) or height != width:
        raise UserError(f"{name} takes inputs of shape {shape}; expected square pictures of 1 or 3 channels")
    if std <= 0:
        raise UserError(f"std must be greater than 0; got {std}")
    module = program.module().to(device)

    def prepare(picture: Any) -> Tensor:
        return (fit(picture, height, channels).float() / 255 - mean) / std

    def network(batch: list[Tensor]) -> Tensor:
        x = torch.stack(batch).to(device)
        if at_once is None:
            return module(x)
        short = -len(x) % at_once  # a network for batches of one size gets the last one filled up
        x = torch.cat([x, x.new_zeros(short, *shape)])
        return torch.cat([module(piece) for piece in x.split(at_once)])[: len(batch)]

    known = {
        "family": "program",
        "graph": str(program.graph),
        "weights": weights_digest(module),
        "torch": str(torch.__version__),
        "prepare": [shape, mean, std],
    }
    return Encoder(name, "pictures", network, prepare, known, size=height)


def read_program(path: Path) -> torch.export.ExportedProgram:
    """A file of torch.export.save; refused where reading it would unpickle or run compiled code."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise UserError(f"{path} cannot be opened ({e.strerror}): check the path") from e
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _harmless(path, archive)
        with quiet():
            return torch.export.load(io.BytesIO(content))
    except UserError:
        raise
    except Exception as e:  # zip, JSON, and whatever torch raises for a graph of another version
        raise UserError(
            f"{path} cannot be read as a program of torch.export ({type(e).__name__}: {str(e)[:200]}); expected what "
            f"torch.export.save of torch {torch.__version__} wrote: export it again"
        ) from e


def _harmless(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise where torch would unpickle anything but tensors, or load compiled code."""
    names = archive.namelist()
    inner = {name.partition("/")[2]: name for name in names}
    if len(inner) != len(names) or "archive_format" not in inner:
        raise ValueError("it is not laid out as torch.export.save does")
    for short, name in inner.items():
        if COMPILED in short:
            raise UserError(f"{path} holds compiled code, which is not run: save the network by torch.export.save")
        if short.startswith("data/weights/") or short.startswith("data/constants/"):
            if short.endswith(CONFIGS):
                _tensors_alone(path, json.loads(archive.read(name)))
            elif short.endswith(".pt"):
                raise _pickled(path)
        if short.startswith("data/sample_inputs/"):
            try:
                torch.load(io.BytesIO(archive.read(name)), weights_only=True)
            except Exception as e:
                raise _pickled(path) from e


def _tensors_alone(path: Path, config: Mapping[str, Any]) -> None:
    for entry in config.get("config", {}).values():
        if entry.get("use_pickle") or not str(entry.get("path_name", "")).startswith(("weight_", "tensor_")):
            raise _pickled(path)


def _pickled(path: Path) -> UserError:
    return UserError(
        f"{path} holds Python objects, which are not read because a pickle runs whatever is in it: export a network "
        f"whose weights are plain tensors"
    )


def input_of(program: torch.export.ExportedProgram, name: str) -> tuple[tuple[int, ...], int | None]:
    """The shape of one input, and the size of its batches if that is fixed."""
    inputs = program.graph_signature.user_inputs
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    value = values.get(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], str) else None
    if not isinstance(value, Tensor) or value.ndim != 4 or not all(isinstance(n, int) for n in value.shape[1:]):
        first = "" if value is None else f", the first of shape {list(getattr(value, 'shape', []))}"
        raise UserError(
            f"{name} must take one tensor of pictures [B, C, H, W] of fixed size; it takes {len(inputs)} inputs{first}"
            f": export it with a batch of pictures"
        )
    batch = value.shape[0]
    return tuple(int(n) for n in value.shape[1:]), batch if isinstance(batch, int) else None
