"""Classifiers on the features of a frozen encoder: how its preparation of a picture becomes part of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..encoders import Encoder
from ..errors import UserError

COLOURS = ((0, 0, 0), (255, 255, 255), (255, 0, 100), (40, 200, 90))  # of the blank pictures that are prepared
EXACT = 1e-4


@dataclass(frozen=True)
class Network:
    """An encoder as a module.

    Attributes:
        module: from prepared pictures [B, C, H, W] to features [B, D].
        unit: whether features are scaled to unit length.
        shape: of one prepared picture.
        factor, offset: [C, 1, 1]; a prepared picture is factor * pixels + offset with pixels in 0..1, after it was
            brought to its size; None where the preparation does more than that.
        preparation: what prepares a picture, in its own words.
    """

    module: nn.Module
    unit: bool
    shape: tuple[int, ...]
    factor: Tensor | None
    offset: Tensor | None
    preparation: str

    @classmethod
    def of(cls, encoder: Encoder) -> Network:
        """Of an encoder of pictures that is a module of torch."""
        module = getattr(encoder.network, "module", None)
        if encoder.kind != "pictures" or not isinstance(module, nn.Module):
            why = (
                "sentences become tokens outside of any graph"
                if encoder.kind == "sentences"
                else "it is no module of torch; a file .pt2 is exported already"
            )
            raise UserError(f"a classifier on features of {encoder.name} cannot be exported: {why}")
        blanks = [prepared(encoder, colour) for colour in COLOURS]
        factor, offset = blanks[1] - blanks[0], blanks[0]  # [C, H, W]
        factor, offset = factor[:, :1, :1], offset[:, :1, :1]
        known = len(blanks[0]) == 3 and all(
            torch.allclose(blank, (factor * _levels(colour) + offset).expand_as(blank), atol=EXACT)
            for blank, colour in zip(blanks, COLOURS)
        )
        words = "its image processor" if type(encoder.prepare).__name__ == "function" else repr(encoder.prepare)
        return cls(
            module=module,
            unit=encoder.unit,
            shape=tuple(blanks[0].shape),
            factor=factor if known else None,
            offset=offset if known else None,
            preparation=words,
        )

    def features(self, x: Tensor) -> Tensor:
        """Features [B, D] of pixels in 0..1 (or, without a known scaling, of prepared pictures) [B, C, H, W]."""
        if self.factor is not None and self.offset is not None:
            x = self.factor * x + self.offset
        features: Tensor = self.module(x)
        return nn.functional.normalize(features.float(), dim=-1) if self.unit else features.float()


def prepared(encoder: Encoder, colour: tuple[int, int, int]) -> Tensor:
    """A picture of one colour as the network takes it."""
    from PIL import Image

    side = encoder.size or 224
    found: Any = encoder.prepare(Image.new("RGB", (side, side), colour))
    return torch.as_tensor(np.asarray(found), dtype=torch.float32)


def _levels(colour: tuple[int, int, int]) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32).view(3, 1, 1) / 255
