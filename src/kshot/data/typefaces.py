"""The typefaces that matplotlib carries: which characters each has, and their pictures."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

# Letters are compared in the upright text faces.
UPRIGHT = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")
SLOPED_AND_BOLD = (
    *(f"DejaVuSans{style}" for style in ("-Oblique", "-Bold", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("-Italic", "-Bold", "-BoldItalic")),
    *(f"DejaVuSansMono{style}" for style in ("-Oblique", "-Bold", "-BoldOblique")),
    *(f"STIXGeneral{style}" for style in ("Italic", "Bol", "BolIta")),
)
ASCII_ONLY = ("cmr10", "cmti10", "cmb10", "cmss10", "cmtt10")  # their other code points hold other characters
FACES = UPRIGHT + SLOPED_AND_BOLD + ASCII_ONLY
SIZE = 48  # of the face, in pixels; a capital is about 35 high
SMALLEST, LARGEST = 24, 60  # the longer side of a picture's ink
CANVAS = 64


@dataclass(frozen=True)
class Typefaces:
    """Characters by face.

    Attributes:
        faces: names of the faces, in the order of FACES.
        characters: int64 [n], code points, ascending.
        has: bool [n, len(faces)], which face draws which character.
    """

    faces: tuple[str, ...]
    characters: Tensor
    has: Tensor


def is_letter(character: str) -> bool:
    """Whether it is a letter of its own: not a modifier letter, a mark, a ligature or an accented form of another."""
    category = unicodedata.category(character)
    return category in ("Lu", "Ll", "Lo") and unicodedata.normalize("NFKD", character) == character


def face_path(face: str) -> Path:
    """The font file of a face."""
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"


def read_typefaces(faces: Sequence[str] = FACES, wanted: Callable[[str], bool] = is_letter) -> Typefaces:
    """The wanted characters of every face, from the font files' character maps; faces not installed are left out."""
    from fontTools.ttLib import TTFont

    found = {face: path for face in faces if (path := face_path(face)).is_file()}
    maps: list[set[int]] = []
    for face, path in found.items():
        with TTFont(path, lazy=True) as font:
            codes = {c for c, glyph in font.getBestCmap().items() if glyph != ".notdef" and wanted(chr(c))}
        maps.append({c for c in codes if c < 128} if face in ASCII_ONLY else codes)
    characters = sorted(set().union(*maps))
    has = torch.tensor([[c in codes for codes in maps] for c in characters])
    return Typefaces(tuple(found), torch.tensor(characters), has)


def render(face: str, characters: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Pictures of characters in one face.

    All are drawn at one size of the face, except the very small and the very large, which are drawn again to fit.

    Returns:
        Pictures uint8 [n, CANVAS, CANVAS], ink is 255, the box of the ink in the middle; and the sides of that box in
        pixels, int64 [n, 2] (width, height), 0 for a character without ink.
    """
    import numpy as np
    from PIL import ImageFont

    font = ImageFont.truetype(str(face_path(face)), SIZE, layout_engine=ImageFont.Layout.BASIC)
    pictures = np.zeros((len(characters), CANVAS, CANVAS), np.uint8)
    sides = np.zeros((len(characters), 2), np.int64)
    for i, code in enumerate(characters):
        mask = font.getmask(chr(code), mode="L")
        longer = max(mask.size)
        if longer and not SMALLEST <= longer <= LARGEST:
            mask = font.font_variant(size=SIZE * (LARGEST - 4) / longer).getmask(chr(code), mode="L")
        width, height = mask.size
        if not width * height:
            continue
        x, y = (CANVAS - width) // 2, (CANVAS - height) // 2
        pictures[i, y : y + height, x : x + width] = np.frombuffer(bytes(mask), np.uint8).reshape(height, width)
        sides[i] = width, height
    return torch.from_numpy(pictures), torch.from_numpy(sides)
