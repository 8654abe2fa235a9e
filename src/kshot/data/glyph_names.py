"""Letters with marks, described by their names: built-in data for zero-shot tasks.

"GREEK CAPITAL LETTER OMEGA WITH TONOS" says which base letter (Greek, capital, omega) has which marks (tonos). A class
is a letter, its description the bag of the words of its name. The split is by combination: no two splits share one, but
every base letter and every mark of a validation or test class is in training too, in other combinations. So a class of
which no example was ever seen can be recognised from its name alone.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .classes import TEST_PERCENT, VAL_PERCENT
from .descriptions import bags, words
from .glyphs import DRAWINGS, check, draw_glyphs
from .images import Images, offsets_of
from .lookalikes import ALIKE, distances, first_of_each, fit
from .typefaces import UPRIGHT, Typefaces, read_typefaces, render

SCRIPTS = ("Latin", "Greek", "Cyrillic", "Arabic")
PATTERN = re.compile(r"(LATIN|GREEK|CYRILLIC|ARABIC) (?:(CAPITAL|SMALL) )?LETTER (.+?)(?: WITH (.+))?")
# All words that at least two letters of these scripts share; fixed, so that a run's columns mean the same everywhere.
VOCABULARY = tuple(
    words("""
    a abkhasian above accent acute ae ain alef alpha arabic av b back bar barred below belt breve c capital caron
    cedilla che circumflex comma cuatrillo curl cyrillic d dal dasia descender diaeresis diagonal dialytika digraph
    dot dotless dots double downwards dz e el em en epsilon er es esh eta ezh f feh fishhook flourish four g gaf ghe
    glottal grave greek h ha hah hamza heng high hook horizontal horn i ie inverted iota izhitsa j k ka kaf l lam
    latin left leg line long m macron middle n noon o oblique ogonek omega omicron open overlay oxia p palatal pe
    perispomeni psili q qaf r reh retroflex reversed rho right ring s sad schwa seen short sideways small stop
    straight stroke swash t tah tail tcheh te teh thorn three through tick tilde titlo tonos topbar turned two u
    upsilon upturn v varia vertical vrachy w waw x y yeh yer yeru ypogegrammeni z ze zhe
    """)
)
KNOWN = frozenset(VOCABULARY)


@dataclass(frozen=True)
class Name:
    """A letter's name in parts: "latin small", "o", ("diaeresis", "macron"); the marks in alphabetical order."""

    kind: str
    letter: str
    marks: tuple[str, ...]

    @property
    def components(self) -> tuple[str, ...]:
        """The base letter, with script and case, and every mark."""
        return (f"{self.kind} {self.letter}", *(f"with {mark}" for mark in self.marks))

    @property
    def words(self) -> tuple[str, ...]:
        """The words that tell letters apart, each once, in alphabetical order."""
        return tuple(sorted({w for part in (self.kind, self.letter, *self.marks) for w in part.split()}))


def name_of(character: str) -> Name | None:
    """The parts of a letter's Unicode name; None for another script, no letter, or a second code point of one."""
    if unicodedata.category(character) not in ("Lu", "Ll", "Lo") or not unicodedata.is_normalized("NFKC", character):
        return None
    found = PATTERN.fullmatch(unicodedata.name(character, ""))
    if found is None:
        return None
    script, case, letter, marks = (part.lower() if part else "" for part in found.groups())
    return Name(f"{script} {case}".strip(), letter, tuple(sorted(marks.split(" and "))) if marks else ())


def is_named(character: str) -> bool:
    """Whether a character's name consists of words of the vocabulary."""
    name = name_of(character)
    return name is not None and KNOWN.issuperset(name.words)


@dataclass(frozen=True)
class Letters:
    """The letters that survive the look-alike filter.

    Attributes:
        typefaces: all letters of the faces.
        kept: int64 [n], rows of `typefaces.characters`.
        names: the name of each kept letter.
        splits: the split of each kept letter.
        found: how many letters there were before the filter.
    """

    typefaces: Typefaces
    kept: Tensor
    names: tuple[Name, ...]
    splits: tuple[str, ...]
    found: int


@lru_cache(maxsize=1)
def letters() -> Letters:
    """Base letters with and without marks: no two of one description, and no two that nobody could tell apart.

    Two letters with the same marks (or none) are told apart if their base letters are, as among the glyphs: small and
    capital o with diaeresis are one. Of the others, those with equal pictures are (e with diaeresis, Cyrillic io).
    """
    faces = read_typefaces(wanted=is_named)
    names = [found for c in faces.characters.tolist() if (found := name_of(chr(c))) is not None]
    near, same = (torch.zeros(len(names), len(names), dtype=torch.bool) for _ in range(2))
    for face in UPRIGHT:
        if face not in faces.faces:
            continue
        has = faces.has[:, faces.faces.index(face)].nonzero()[:, 0]
        pictures, sides = render(face, faces.characters[has].tolist())
        near[has[:, None], has] |= distances(fit(pictures, sides)) < ALIKE
        shape = pictures.flatten(1).unique(dim=0, return_inverse=True)[1]
        same[has[:, None], has] |= shape[:, None] == shape
    plain = {(n.kind, n.letter): i for i, n in enumerate(names) if not n.marks}
    base = torch.tensor([plain.get((n.kind, n.letter), i) for i, n in enumerate(names)])
    marks = sorted({n.marks for n in names})
    mark = torch.tensor([marks.index(n.marks) for n in names])
    alike = same | ((mark[:, None] == mark) & near[base][:, base])
    marked = {(n.kind, n.letter) for n in names if n.marks}
    first = {n.words: i for i, n in reversed(list(enumerate(names)))}
    useful = [i for i, n in enumerate(names) if (n.kind, n.letter) in marked and first[n.words] == i]
    kept = torch.tensor(useful)[first_of_each(1 - alike[useful][:, useful].float(), 0.5)]
    mine = tuple(names[i] for i in kept.tolist())
    return Letters(faces, kept, mine, split_of(mine), len(names))


def split_of(names: tuple[Name, ...]) -> tuple[str, ...]:
    """The split of each name: 64 / 16 / 20 of a hundred combinations by a hash, as `classes.choose` does.

    Letters without marks are training classes, and so are those with a component that training has not.
    """
    order = sorted(
        (i for i, n in enumerate(names) if n.marks),
        key=lambda i: hashlib.sha256(" ".join(names[i].components).encode()).hexdigest(),
    )
    test, val = (round(len(order) * percent / 100) for percent in (TEST_PERCENT, VAL_PERCENT))
    splits = ["train"] * len(names)
    for rank, i in enumerate(order[: test + val]):
        splits[i] = "test" if rank < test else "val"
    seen = {c for n, split in zip(names, splits) if split == "train" for c in n.components}
    return tuple(s if seen.issuperset(n.components) else "train" for n, s in zip(names, splits))


def load_named_glyphs(split: str = "train", size: int | None = None) -> Images:
    """The letters of one split with their descriptions, DRAWINGS pictures of each.

    Args:
        split: "train", "val", "test" or "all".
        size: side of the pictures, 28 by default.
    """
    side = check(split, size)
    every = letters()
    mine = [i for i, s in enumerate(every.splits) if split in ("all", s)]
    codes = every.typefaces.characters[every.kept[mine]].tolist()
    groups = [every.names[i].kind.split()[0].capitalize() for i in mine]
    return Images(
        pixels=draw_glyphs(every.typefaces, every.kept[mine], side)[:, None],
        offsets=offsets_of(torch.full((len(mine),), DRAWINGS)),
        names=tuple(f"{group}/{unicodedata.name(chr(c))}" for group, c in zip(groups, codes)),
        groups=tuple(groups),
        name="glyphs:names",
        split=split,
        split_note=note(every, mine, groups),
        attributes=bags([every.names[i].words for i in mine], VOCABULARY),
        attribute_names=VOCABULARY,
    )


def note(every: Letters, mine: list[int], groups: list[str]) -> str:
    """One line on the letters of a split."""
    scripts = ", ".join(f"{s} {groups.count(s)}" for s in SCRIPTS if s in groups)
    plain = sum(not every.names[i].marks for i in mine)
    return (
        f"{len(mine)} letters ({scripts}; {plain} without marks) in {len(every.typefaces.faces)} faces, described by "
        f"{len(VOCABULARY)} words of their Unicode names; {every.found - len(every.kept)} of {every.found} letters "
        f"cannot be told from another, or have no marked form, and are left out"
    )
