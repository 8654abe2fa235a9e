"""One picture file to pixels: every format and mode to 8 bits, upright, opaque, square, small."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from .resize import area_resize

if TYPE_CHECKING:
    from PIL.Image import Image

Invert = Literal["auto", "yes", "no"]
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # by content, whatever the file is called
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm",
            ".pbm", ".pnm")  # fmt: skip
MAX_PIXELS = 64_000_000
GREY_TOLERANCE = 16  # a picture whose channels never differ by more is grey: JPEG rounds colours


def read_picture(path: Path, file: IO[bytes] | None = None, most: int = MAX_PIXELS) -> Image:
    """The first frame of a picture file in mode L or RGB: turned as EXIF says, on white where it is transparent.

    Args:
        path: the file, and its name in messages.
        file: what to read instead of opening the path.
        most: how many pixels it may have, 64 million by default; the size is checked before anything is decoded.

    Raises:
        UserError: the file is missing, empty, no picture, damaged, or has more pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if file is None:
        try:
            if path.stat().st_size == 0:
                raise UserError(f"{path} is empty (0 bytes): put the picture back or delete the file")
            with path.open("rb") as opened:
                return read_picture(path, opened, most)
        except OSError as e:
            raise UserError(f"{path} cannot be opened ({e.strerror}): check that it exists and may be read") from e
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes are checked here, damaged metadata do not matter, damaged pixels raise
        try:
            with Image.open(file, formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > most:
                    raise Image.DecompressionBombError(f"{width} x {height} pixels")
                return plain(ImageOps.exif_transpose(picture))
        except Image.DecompressionBombError as e:
            raise UserError(f"{path} is too large ({e}); at most {most:,} pixels are read: make it smaller") from e
        except UnidentifiedImageError as e:
            raise UserError(
                f"{path} is not a picture of a known format ({', '.join(FORMATS)}): convert it or move it elsewhere"
            ) from e
        except Exception as e:  # decoders of damaged files raise nearly anything
            raise UserError(f"{path} is damaged or truncated ({e}): replace it or delete it") from e


def plain(picture: Image) -> Image:
    """A decoded picture in mode L or RGB with 8 bits a channel."""
    from PIL import Image

    mode = picture.mode
    if mode in ("1", "L"):
        return picture.convert("L")
    if mode.startswith("I") or mode == "F":  # 16 bits or more a pixel
        values = np.asarray(picture, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        top = 65535.0 if mode != "F" else (1.0 if high <= 1 else 255.0)
        if not (low >= 0 and high <= top):
            raise ValueError(f"pixel values from {low:g} to {high:g}; expected 0 to {top:g}")
        return Image.fromarray(np.floor(values * (255 / top) + 0.5).astype(np.uint8))
    if mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        ink = picture.convert("RGBA")
        paper = Image.new("RGBA", ink.size, "white")
        return Image.alpha_composite(paper, ink).convert("RGB")
    return picture.convert("RGB")


def is_grey(picture: Image) -> bool:
    """Whether a picture in mode L or RGB shows no colour."""
    if picture.mode == "L":
        return True
    values = np.asarray(picture)  # [H, W, 3]
    return bool((values.max(-1) - values.min(-1) <= GREY_TOLERANCE).all())


def fit(picture: Image, size: int, channels: int) -> Tensor:
    """A picture as a square of `size` pixels: uint8 [channels, size, size].

    The whole picture is kept, in its proportions, and centred; what stays free has the median of its border. It is
    made smaller by area averages, like Omniglot (of a coarser copy when it is more than 16 times too large), or
    larger by bilinear interpolation.
    """
    from PIL import Image

    picture = picture.convert("L" if channels == 1 else "RGB")
    long = max(picture.size)
    width, height = (max(1, round(side * size / long)) for side in picture.size)
    if long < size:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    elif long > 16 * size:
        picture = picture.reduce(long // (8 * size))  # spares memory
    pixels = torch.from_numpy(np.array(picture)).view(picture.height, picture.width, channels)
    pixels = area_resize(pixels.permute(2, 0, 1)[None], height, width)[0]  # [C, height, width]
    if height == width == size:
        return pixels
    square = border(pixels).median(-1).values[:, None, None].repeat(1, size, size)  # [C, size, size]
    top, left = (size - height) // 2, (size - width) // 2
    square[:, top : top + height, left : left + width] = pixels
    return square


def border(pixels: Tensor) -> Tensor:
    """The outermost pixels of [..., C, H, W], as [..., C, 2*H + 2*W]."""
    return torch.cat([pixels[..., 0, :], pixels[..., -1, :], pixels[..., 0], pixels[..., -1]], -1)


def ink_high(pixels: Tensor, invert: Invert = "auto") -> Tensor:
    """Pictures in which ink is high: inverted where they show dark ink on light paper.

    Args:
        pixels: uint8 [M, C, H, W].
        invert: "yes", "no", or "auto": grey pictures are inverted, all or none, when half of them or more have a
            border whose median is 128 or more. Colour is left as it is. Grey photographs may want "no".
    """
    if invert not in get_args(Invert):
        raise UserError(f"invert must be auto, yes or no; got {invert!r}")
    if invert == "auto":
        paper = border(pixels)[:, 0].median(-1).values  # [M]
        light = pixels.shape[1] == 1 and int((paper >= 128).sum()) * 2 >= len(paper)
    else:
        light = invert == "yes"
    return 255 - pixels if light else pixels
