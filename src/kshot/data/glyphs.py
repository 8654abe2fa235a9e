"""Glyphs: the letters of the scripts that matplotlib's typefaces carry, drawn as by many hands. Needs no download.

A class is a letter; its drawings are the letter in different typefaces, with hand-like distortion. Scripts are split
into train, validation and test: a test letter comes from a script never seen. Letters that look alike in any upright
face, within or across scripts, are one class: the first in the order of SCRIPTS.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..errors import UserError, unknown
from ..functional import random
from ..functional.distort import Hand, distort
from .images import Images, offsets_of
from .lookalikes import distances, first_of_each, fit
from .typefaces import CANVAS, FACES, LARGEST, UPRIGHT, Typefaces, read_typefaces, render

# Of Coptic and Lisu, too, there are letters, but nearly all look like those of other scripts.
SCRIPTS: dict[str, tuple[str, str]] = {
    "Latn": ("Latin", "train"),
    "Grek": ("Greek", "train"),
    "Cyrl": ("Cyrillic", "train"),
    "Armn": ("Armenian", "test"),
    "Geor": ("Georgian", "test"),
    "Hebr": ("Hebrew", "val"),
    "Arab": ("Arabic", "train"),
    "Nkoo": ("N'Ko", "test"),
    "Laoo": ("Lao", "test"),
    "Tfng": ("Tifinagh", "val"),
    "Cans": ("Canadian syllabics", "train"),
    "Ital": ("Old Italic", "val"),
    "Ogam": ("Ogham", "val"),
}
SPLITS = ("train", "val", "test", "all")
DRAWINGS = 20  # of each letter
HEIGHT = 0.62  # the longer side of a letter's ink, as a part of the picture, before the hand's own variation


@dataclass(frozen=True)
class Letters:
    """The letters that survive the look-alike filter.

    Attributes:
        typefaces: all letters of the faces.
        kept: int64 [n], rows of `typefaces.characters`, script by script.
        scripts: the script of each kept letter, a key of SCRIPTS.
        found: how many letters there were before the filter.
    """

    typefaces: Typefaces
    kept: Tensor
    scripts: tuple[str, ...]
    found: int


@lru_cache(maxsize=1)
def letters() -> Letters:
    """Letters of all scripts of SCRIPTS, without look-alikes and without those that have no ink."""
    from fontTools.unicodedata import script

    faces = read_typefaces()
    order = list(SCRIPTS)
    script_of = [script(chr(c)) for c in faces.characters.tolist()]
    rows = [i for i, s in enumerate(script_of) if s in SCRIPTS]
    rows.sort(key=lambda i: order.index(script_of[i]))  # the sort is stable: by code point within a script
    nearest = torch.ones(len(script_of), len(script_of))
    for face in UPRIGHT:
        if face not in faces.faces:
            continue
        has = faces.has[:, faces.faces.index(face)].nonzero()[:, 0]
        pictures, sides = render(face, faces.characters[has].tolist())
        nearest[has[:, None], has] = torch.minimum(nearest[has[:, None], has], distances(fit(pictures, sides)))
    kept = torch.tensor(rows)[first_of_each(nearest[rows][:, rows])]
    return Letters(faces, kept, tuple(script_of[i] for i in kept.tolist()), len(rows))


def load_glyphs(variant: str = "", split: str = "train", size: int | None = None) -> Images:
    """The letters of one split, DRAWINGS pictures of each.

    Args:
        variant: must be "" here; "names" is `glyph_names.load_named_glyphs`.
        split: "train", "val", "test" or "all".
        size: side of the pictures, 28 by default.
    """
    if variant:
        raise UserError(f"glyphs has no variants but names; got {variant!r}: use glyphs or glyphs:names")
    side = check(split, size)
    every = letters()
    mine = [i for i, s in enumerate(every.scripts) if split in ("all", SCRIPTS[s][1])]
    codes = every.typefaces.characters[every.kept[mine]]
    names = [SCRIPTS[every.scripts[i]][0] for i in mine]
    return Images(
        pixels=draw_glyphs(every.typefaces, every.kept[mine], side)[:, None],
        offsets=offsets_of(torch.full((len(mine),), DRAWINGS)),
        names=tuple(f"{group}/{unicodedata.name(chr(c))}" for group, c in zip(names, codes.tolist())),
        groups=tuple(names),
        name="glyphs",
        split=split,
        split_note=note(every, mine),
    )


def check(split: str, size: int | None) -> int:
    """The side of the pictures in pixels, or an error."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    side = 28 if size is None else size
    if side < 8:
        raise UserError(f"glyphs need a size of at least 8 pixels; got {side}")
    return side


def draw_glyphs(faces: Typefaces, rows: Tensor, size: int) -> Tensor:
    """Drawings of letters: uint8 [n * DRAWINGS, size, size]; drawing j of a letter depends on nothing but the two.

    Args:
        faces: the typefaces.
        rows: int64 [n], rows of faces.characters.
        size: side of the pictures in pixels.
    """
    code = faces.characters[rows]  # [n]
    key = random.fold(random.keys(0, code, "glyphs")[:, None], torch.arange(DRAWINGS))  # [n, K]
    # Drawing j is in the j-th face of the letter, in an order of its own, again from the start when they are used up.
    lots = random.bits(random.keys(0, code, "glyph faces"), len(FACES))
    column = torch.tensor([FACES.index(f) for f in faces.faces])
    lots = (lots[:, column] >> 1).abs().masked_fill(~faces.has[rows], torch.iinfo(torch.int64).max)
    turn = torch.arange(DRAWINGS) % faces.has[rows].sum(1, keepdim=True)  # [n, K]
    face = lots.argsort(1).gather(1, turn)
    result = torch.empty(len(rows), DRAWINGS, size, size, dtype=torch.uint8)
    for f, name in enumerate(faces.faces):
        at = (face == f).nonzero()  # [m, 2] letter and drawing
        if not len(at):
            continue
        which, inverse = at[:, 0].unique(return_inverse=True)
        pictures, sides = render(name, code[which].tolist())
        for part in torch.arange(len(at)).split(1024):
            letter, drawing = at[part].unbind(1)
            chosen = inverse[part]
            scale = HEIGHT * CANVAS / sides[chosen].amax(1).clamp(min=LARGEST // 3)  # [m]
            ink = distort(pictures, chosen, key[letter, drawing], scale, size=size, hand=Hand())
            result[letter, drawing] = (ink * 255).round().to(torch.uint8)
    return result.flatten(0, 1)


def note(every: Letters, mine: list[int]) -> str:
    """One line on the letters of a split: scripts with their counts, faces, and what the filter left."""
    counts: dict[str, int] = {}
    for i in mine:
        group = SCRIPTS[every.scripts[i]][0]
        counts[group] = counts.get(group, 0) + 1
    scripts = ", ".join(f"{group} {n}" for group, n in counts.items())
    return (
        f"{len(mine)} letters of {len(counts)} scripts ({scripts}) in {len(every.typefaces.faces)} faces; "
        f"{every.found - len(every.kept)} of {every.found} letters look like another and are left out"
    )
