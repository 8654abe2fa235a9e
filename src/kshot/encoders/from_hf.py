"""Encoders of Hugging Face's transformers: pictures, prepared by each model's own image processor."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import UserError
from .base import Encoder, module_encoder
from .libraries import library, local, quiet, weights_of

Pooling = Literal["auto", "pooler", "cls", "mean"]


class Pooled(nn.Module):
    """A vision model and what makes one vector of its output.

    Args:
        model: of transformers.
        pooling: "pooler", the model's own; "cls", the first token; "mean", of all tokens or places.
    """

    def __init__(self, model: nn.Module, pooling: str) -> None:
        super().__init__()
        self.model, self.pooling = model, pooling

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D]."""
        model: Any = self.model
        if hasattr(model, "get_image_features"):  # a model of pictures and text
            found = model.get_image_features(pixel_values=x)
            return found if isinstance(found, Tensor) else found.pooler_output
        out = model(pixel_values=x)
        if self.pooling == "pooler":
            return out.pooler_output.flatten(1)
        hidden = out.last_hidden_state  # [B, L, D], or [B, D, h, w]
        if hidden.ndim == 4:
            return hidden.mean((2, 3))
        return hidden[:, 0] if self.pooling == "cls" else hidden.mean(1)

    def extra_repr(self) -> str:
        """What the weights do not show."""
        return f"pooling={self.pooling}"


def open_hf(name: str, *, pooling: Pooling = "auto", device: torch.device | str = "cpu") -> Encoder:
    """A vision model of transformers.

    Args:
        name: OWNER/NAME on huggingface.co, or a folder with config.json, model.safetensors and
            preprocessor_config.json.
        pooling: how its output becomes a vector: by the model's own pooler, the first token (cls) or the mean of all;
            auto takes the pooler where its weights were trained, else the first token.
        device: where to compute.
    """
    asked = f"hf:{name}"
    transformers = library("transformers", asked)
    if pooling not in Pooling.__args__:  # type: ignore[attr-defined]
        raise UserError(f"pooling must be auto, pooler, cls or mean; got {pooling!r}")
    folder = local(name)
    where = str(folder or name)
    instead = f"give a folder that holds the model (hf:FOLDER, as `hf download {name} --local-dir FOLDER` makes it)"
    with weights_of(asked, instead, here=folder is not None):
        if folder is not None and not (folder / "preprocessor_config.json").is_file():
            raise UserError(
                f"{folder} has no preprocessor_config.json, and kshot must know how the model wants its pictures: save "
                f"the image processor there, too. For sentences take sentence-transformers:{name}"
            )
        processor = transformers.AutoImageProcessor.from_pretrained(where, backend="pil")
        model, loaded = transformers.AutoModel.from_pretrained(where, output_loading_info=True)
    missing = sorted(map(str, loaded["missing_keys"]))
    beyond = [n for n in missing if "pooler" not in n]
    if beyond:
        raise UserError(f"{asked} lacks {len(beyond)} weights ({', '.join(beyond[:3])}, ...): get it again")
    if pooling == "auto":
        pooling = _pooling(model, bool(missing))

    def prepare(picture: Any) -> Tensor:
        with quiet():
            return processor(images=picture, return_tensors="pt")["pixel_values"][0]

    known = {
        "family": "hf",
        "version": transformers.__version__,
        "prepare": processor.to_dict(),
        "config": {k: v for k, v in model.config.to_dict().items() if k != "_name_or_path"},
    }
    module = Pooled(model, pooling)
    return module_encoder(module, prepare, name=asked, size=_size(processor), identity=known, device=device)


def _pooling(model: Any, untrained: bool) -> Pooling:
    """The pooler where there is one and it was trained; a map of features has no first token."""
    if getattr(model, "pooler", None) is not None and not untrained:
        return "pooler"
    return "cls"


def _size(processor: Any) -> int:
    """The side to which the processor brings a picture before it crops."""
    size = dict(processor.size or {})
    return int(size.get("shortest_edge") or size.get("height") or size.get("longest_edge") or 224)
