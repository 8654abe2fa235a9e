"""Many photographs as one table of bytes: decoded, brought to a square, in order."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from .pictures import read_picture
from .problems import Problems
from .progress import track
from .resize import area_resize
from .trees import Entry

if TYPE_CHECKING:
    from PIL.Image import Image


def read_photos(entries: Sequence[Entry], size: int, problems: Problems, what: str) -> tuple[Tensor, list[int]]:
    """Pictures as uint8 [n, 3, size, size], and which of the entries they are; those that cannot be read are problems.

    The files are read in the order in which they lie, which a compressed archive needs, and never all at once.
    """
    table = torch.empty(len(entries), 3, size, size, dtype=torch.uint8)
    good = torch.ones(len(entries), dtype=torch.bool)
    for i in track(sorted(range(len(entries)), key=lambda i: entries[i].order), f"reading {what} (once)"):
        try:
            picture = read_picture(Path(entries[i].where), io.BytesIO(entries[i].read()))
        except UserError as e:
            problems.add(str(e))
            good[i] = False
            continue
        table[i] = square(picture, size)
    if bool(good.all()):
        return table, list(range(len(entries)))
    return table[good], good.nonzero()[:, 0].tolist()


def square(picture: Image, size: int) -> Tensor:
    """A picture squeezed into a square, as in the published copies of these data: uint8 [3, size, size].

    Made smaller by area averages (of a coarser copy when it is more than 8 times too large), larger bilinearly.
    """
    from PIL import Image

    picture = picture.convert("RGB")
    factor = min(picture.size) // (4 * size)
    if factor > 1:
        picture = picture.reduce(factor)  # averages, too; spares time
    if min(picture.size) < size:
        picture = picture.resize((max(size, picture.width), max(size, picture.height)), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]  # [1, 3, H, W]
    return area_resize(pixels, size, size)[0]
