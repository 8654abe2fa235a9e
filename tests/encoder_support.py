"""Encoders without anybody's library, which count their work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from kshot.data.pictures import fit
from kshot.encoders import Encoder, module_encoder

COLOURS = {"blue": (20, 30, 200), "green": (30, 180, 40), "red": (200, 30, 20)}
TABLE = """text,label
where is my parcel,delivery
the parcel has not come,delivery
i want my money back,refund
give me the money back,refund
"""


class Means(nn.Module):
    """The mean of each channel, times weights; counts the pictures that it saw."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight, weight, weight]))
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        return x.mean((2, 3)) * self.weight


def small_fit(picture: Any) -> Tensor:
    """8 x 8 pixels, 0..1."""
    return fit(picture, 8, 3).float() / 255


def colour_encoder(weight: float = 1.0, **options: Any) -> tuple[Encoder, Means]:
    """An encoder of pictures by their colour, and its network."""
    module = Means(weight)
    return module_encoder(module, small_fit, name="colours", size=8, **options), module


def letter_encoder() -> Encoder:
    """An encoder of sentences by the letters in them."""

    def network(texts: list[str]) -> Tensor:
        return torch.tensor([[float(text.count(c)) for c in "abcdefghijklmnopqrstuvwxyz "] for text in texts])

    return Encoder("letters", "sentences", network, str, {"what": "letters"})


def coloured(path: Path, name: str, shift: int = 0, size: tuple[int, int] = (20, 14)) -> Path:
    """A file with a picture of one colour, a little lighter by `shift`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, tuple(c + shift for c in COLOURS[name])).save(path)
    return path


def folders(root: Path, shots: int = 2) -> tuple[Path, Path]:
    """A support and a query folder of coloured pictures."""
    for name in COLOURS:
        for i in range(shots):
            coloured(root / "support" / name / f"{i}.png", name, 5 * i)
        coloured(root / "query" / f"{name}.png", name, 17, (30, 30))
    return root / "support", root / "query"


def close(features: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for the length."""
    torch.testing.assert_close(features, torch.nn.functional.normalize(expected, dim=-1), atol=1e-5, rtol=1e-4)


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.mark),)
