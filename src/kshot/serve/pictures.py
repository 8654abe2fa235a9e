"""Pictures that come by the network, and go back: base64 to pixels and pixels to PNG."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ..data.pictures import fit, read_picture
from ..errors import UserError
from . import limits
from .gate import Memory
from .schemas import ReadPicture

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 160  # pixels


class Pictures:
    """Reads pictures, and remembers the last ones: a page sends the same examples with every stroke of a query."""

    def __init__(self) -> None:
        self._kept: Memory[Tensor] = Memory(limits.PICTURES_KEPT)

    def read(self, text: str, shape: tuple[int, ...], what: str) -> Tensor:
        """A picture as a model takes it: uint8 [C, H, W], not inverted.

        Args:
            text: the file as base64, or as a data URL.
            shape: (C, H, W).
            what: what messages call it.
        """
        key = (hashlib.sha256(text.encode()).digest(), shape)
        return self._kept.get(key, lambda: self._decode(text, shape, what))

    def _decode(self, text: str, shape: tuple[int, ...], what: str) -> Tensor:
        data = from_base64(text, what)
        return fit(read_picture(Path(what), io.BytesIO(data), limits.PICTURE_PIXELS), shape[1], shape[0])


def from_base64(text: str, what: str) -> bytes:
    """The bytes of base64 or of a data URL."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as e:
        start = text[:30] + "..." * (len(text) > 30)
        raise UserError(
            f"{what} is not base64 ({start!r}); expected a picture file as base64, or as a data URL "
            f"(data:image/png;base64,...)"
        ) from e
    if not data:
        raise UserError(f"{what} is empty (0 bytes); expected a picture file as base64")
    return data


def read_upload(data: bytes, shapes: list[tuple[int, ...]]) -> ReadPicture:
    """An uploaded picture, small: for people, and as the models take it.

    Args:
        data: the file.
        shapes: of the models' inputs, (C, H, W).
    """
    if not data:
        raise UserError("the body is empty (0 bytes); expected the bytes of a picture file: choose another file")
    picture = read_picture(Path("the picture"), io.BytesIO(data), limits.UPLOAD_PIXELS)
    width, height = picture.size
    inputs = {"x".join(map(str, shape)): png(fit(picture, shape[1], shape[0])) for shape in shapes}
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return ReadPicture(width=width, height=height, thumbnail=as_url(picture), inputs=inputs)


def png(pixels: Tensor) -> str:
    """Pixels uint8 [C, H, W] as a PNG data URL."""
    from PIL import Image

    values = pixels.cpu().numpy()
    return as_url(Image.fromarray(values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0))))


def as_url(picture: Image) -> str:
    """A picture as a PNG data URL."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
