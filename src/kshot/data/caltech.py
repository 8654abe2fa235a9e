"""Caltech-101 (Fei-Fei, Fergus & Perona 2004): photographs of 101 kinds of things, 31 to 800 of each.

Read from the archive as it lies: the published caltech-101.zip (with 101_ObjectCategories.tar.gz in it), the inner
archive, a folder of class folders, or a zip of class folders. Two of its 102 folders are left out: BACKGROUND_Google
is no class but what a search engine found, and Faces_easy shows the same photographs as Faces, cropped, so that one
could be told from the other by no learner, or be trained on under another name. 100 classes remain.

There is no published split for few-shot learning. This one is a pure function of a seed: the classes in the order of
their names are shuffled by it, and 20 go to test, 16 to validation and 64 to training. Folders that show the same
animal whole and its head (cougar, crocodile, flamingo) stay together, else a class of the test would be a part of one
that was trained on.

Variants: `caltech101` (seed 0), `caltech101:SEED`, and `caltech101:listed`, the classes of a splits.json beside the
pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import UserError
from ..functional import random

LEFT_OUT = ("BACKGROUND_Google", "Faces_easy")
TWINS = {"cougar_face": "cougar_body", "crocodile_head": "crocodile", "flamingo_head": "flamingo"}
CLASSES = {"train": 64, "val": 16, "test": 20}


def split_by_seed(classes: Sequence[str], seed: int) -> dict[str, list[str]]:
    """64 / 16 / 20 classes, each list sorted; twins in one list."""
    groups: dict[str, list[str]] = {}
    for name in sorted(classes):
        groups.setdefault(TWINS.get(name, name), []).append(name)
    names = sorted(groups)
    order = random.permutation(random.keys(seed, torch.tensor(0), "caltech101 split"), len(names)).flatten().tolist()
    parts: dict[str, list[str]] = {"test": [], "val": [], "train": []}
    for i in order:
        group = groups[names[i]]
        split = next(s for s in parts if s == "train" or len(parts[s]) + len(group) <= CLASSES[s])
        parts[split] += group
    return {s: sorted(names) for s, names in parts.items()}


def seed_of(variant: str) -> int:
    """The seed that a variant names; 0 for none."""
    if variant and not variant.isdecimal():
        raise UserError(
            f"caltech101:{variant} is no variant: use caltech101, caltech101:SEED with a whole number, or "
            f"caltech101:listed for the classes of a splits.json beside the pictures"
        )
    return int(variant or 0)
