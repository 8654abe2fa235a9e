"""Omniglot (Lake, Salakhutdinov & Tenenbaum 2015): 1,623 characters of 50 alphabets, 20 drawings of each.

Variants (`omniglot:lake`, ...); a group is an alphabet:

* `lake` (default): train on the 30 background alphabets less 5, validate on those 5, test on the 20 evaluation ones.
* `random`, `random-SEED`: all characters shuffled, 1,100 / 100 / 423, each in four rotations as classes of their own
  (Santoro et al. 2016; the counts of Finn et al. 2017): 4,400 / 400 / 1,692 classes.
* `minimal1`, `minimal2`: train on five background alphabets (Lake et al. 2019), 136 and 156 characters; test on the
  evaluation alphabets. Validation uses the 5 alphabets that `lake` holds out: they belong to neither minimal set, and
  a training alphabet could not tell learning from memory. Selection by them still looks beyond the five alphabets,
  so for a figure under the minimal protocol choose everything on `minimal1-tune` or `minimal2-tune` and then train on
  all five with the last weights.
* `minimal1-tune`, `minimal2-tune`: train on the set less Latin, validate on Latin (in both sets, 26 characters).
* `background`: the 30 background alphabets, as test (or all): measures a model that saw no real character.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import UserError, unknown
from ..functional import random
from .archives import DRAWERS, locate, read_archive
from .images import Images, offsets_of
from .resize import area_resize, check_size

VALIDATION = ("Anglo-Saxon_Futhorc", "Bengali", "Futurama", "Hebrew", "N_Ko")
MINIMAL = {
    "minimal1": ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"),
    "minimal2": ("Greek", "Japanese_(katakana)", "Latin", "Sanskrit", "Tagalog"),
}
TUNE = "Latin"
RANDOM_SPLIT = {"train": (0, 1100), "val": (1100, 1200), "test": (1200, 1623)}
VARIANTS = ("lake", "random", "minimal1", "minimal2", "minimal1-tune", "minimal2-tune", "background")
SPLITS = ("train", "val", "test", "all")
SIZE = 28


def load_omniglot(
    variant: str = "lake",
    split: str = "train",
    size: int | None = None,
    data_dir: Path | None = None,
    skip_bad: bool = False,
) -> Images:
    """The characters of one split, as ink on nothing (ink is 255).

    Args:
        variant: see the head of this file.
        split: "train", "val", "test", or "all" three together.
        size: side in pixels, by area averages of the original 105; 28 by default.
        data_dir: folder that holds the archives; by default KSHOT_DATA, else they are downloaded.
        skip_bad: without effect, as the archives are checked whole.
    """
    variant = variant or "lake"
    base, seed = random_seed(variant)
    if base not in VARIANTS:
        raise unknown("variant of omniglot", variant, [*VARIANTS, "random-SEED"])
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    size = SIZE if size is None else size
    check_size(size)

    parts = ["background", "evaluation"] if base == "random" or split in ("test", "all") else ["background"]
    if base == "background":
        parts = ["background"]
    drawings = [read_archive(locate(part, data_dir), part) for part in parts]
    characters = [(part, name) for part, d in zip(parts, drawings) for name in d.characters]
    if base == "random":
        chosen, note = _random(characters, split, seed)
    else:
        chosen, note = _alphabets(characters, base, split)

    pixels, names = [], []
    for part, d in zip(parts, drawings):
        position = {name: i for i, name in enumerate(d.characters)}
        picked = [position[name] for own, name in chosen if own == part]
        for start in range(0, len(picked), 50):  # a few at a time: 105 px originals of all are 358 MB
            pixels.append(area_resize(d.pixels(picked[start : start + 50]), size, size))
        names += [d.characters[i] for i in picked]
    images = Images(
        pixels=torch.cat(pixels),  # [20 * characters, 1, size, size]
        offsets=offsets_of(torch.full((len(names),), DRAWERS)),
        names=tuple(names),
        groups=tuple(n.split("/")[0] for n in names),
        name=f"omniglot:{variant}",
        split=split,
        split_note=note,
    )
    return images.rotated() if base == "random" else images


def random_seed(variant: str) -> tuple[str, int]:
    """("random", 3) of "random-3", ("random", 0) of "random"; other variants as they are."""
    base, dash, seed = variant.partition("-")
    if base != "random" or not dash:
        return variant, 0
    if not seed.isdecimal():
        raise UserError(f"the variant random-SEED needs a whole number as its seed, like random-3; got {variant!r}")
    return base, int(seed)


def _random(characters: list[tuple[str, str]], split: str, seed: int) -> tuple[list[tuple[str, str]], str]:
    """The characters of a random split, in the archives' order."""
    order = random.permutation(random.keys(seed, torch.tensor(0), "omniglot random split"), len(characters))
    low, high = RANDOM_SPLIT.get(split, (0, len(characters)))
    chosen = [characters[i] for i in sorted(order[low:high].tolist())]
    what = "all" if split == "all" else f"{high - low:,} of {len(characters):,}"
    return chosen, f"{what} characters of all 50 alphabets by seed {seed}, four rotations each as classes"


def _alphabets(characters: list[tuple[str, str]], variant: str, split: str) -> tuple[list[tuple[str, str]], str]:
    """The characters of whole alphabets."""
    if variant == "background" and split in ("train", "val"):
        raise UserError(
            f"omniglot:background only measures models that saw no real character, so it has the splits test and all, "
            f"not {split!r}; to train on background alphabets use omniglot:lake"
        )
    background = {name.split("/")[0] for part, name in characters if part == "background"}
    evaluation = {name.split("/")[0] for part, name in characters if part == "evaluation"}
    held_out = set(VALIDATION)
    if variant == "lake":
        train, note = background - held_out, "30 background alphabets less 5 for validation"
    elif variant == "background":
        train, held_out, evaluation, note = set(), set(), background, ""
    elif variant in MINIMAL:
        train, note = set(MINIMAL[variant]), f"the five alphabets of {variant}"
    else:
        train, held_out = set(MINIMAL[variant.removesuffix("-tune")]) - {TUNE}, {TUNE}
        note = f"the alphabets of {variant.removesuffix('-tune')} less {TUNE} for validation"
    names = {"train": train, "val": held_out, "test": evaluation, "all": train | held_out | evaluation}[split]
    listed = ", ".join(sorted(names))
    notes = {
        "train": f"{note}: {listed}" if len(names) <= 5 else note,
        "val": f"validation on background alphabets not trained on: {listed}",
        "test": "all 30 background alphabets" if variant == "background" else "the 20 evaluation alphabets",
        "all": f"{len(names)} alphabets: training, validation and test together",
    }
    if variant == "background":
        notes["all"] = notes["test"]
    return [c for c in characters if c[1].split("/")[0] in names], notes[split]
