"""Recipes: whole commands worth knowing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """A command worth knowing: its name, what it is good for, and the command itself."""

    name: str
    what: str
    command: str


OMNIGLOT = "--data omniglot:random --way 60 --shot 1 --query 5 --tasks 1 --steps 3600 --lr 2e-3 --schedule cosine"

RECIPES: list[Recipe] = [
    Recipe(
        "letters",
        "a minute on the built-in letters; knows letters of scripts never seen from one example",
        "kshot train protonet --data glyphs --way 60 --shot 1 --query 5 --tasks 1 --steps 500 --lr 2e-3 "
        "--schedule cosine --filters 32 --val-way 20 --out runs/letters",
    ),
    Recipe(
        "scribbles",
        "characters without any real character: trained on endless invented ones",
        "kshot train protonet --data scribbles --within --way 60 --shot 1 --query 5 --tasks 1 --steps 3000 --lr 2e-3 "
        "--schedule cosine --val-way 20 --out runs/scribbles",
    ),
    Recipe(
        "omniglot-protonet",
        "prototypical network on Omniglot: many ways in training, one example",
        f"kshot train protonet {OMNIGLOT} --augment affine --val-way 20 --out runs/omniglot-protonet",
    ),
    Recipe(
        "omniglot-matching",
        "matching network on Omniglot",
        f"kshot train matching {OMNIGLOT} --augment affine --val-way 20 --out runs/omniglot-matching",
    ),
    Recipe(
        "omniglot-maml",
        "MAML on Omniglot, five ways, one example",
        "kshot train maml --data omniglot:random --way 5 --shot 1 --query 1 --tasks 16 --steps 16000 --lr 3e-3 "
        "--schedule cosine --filters 32 --val-transductive --val-tasks 100 --val-every 2000 --out runs/omniglot-maml",
    ),
    Recipe(
        "sine-maml",
        "the sine curves of the MAML paper: ten points, one inner step",
        "kshot train maml --data sinusoid --shot 10 --query 10 --tasks 25 --steps 60000 --inner-lr 0.01 "
        "--eval-steps 10 --no-validation --out runs/sine-maml",
    ),
    Recipe(
        "sine-pretrained",
        "its baseline: one network trained on all curves, then fine-tuned",
        "kshot train pretrained --data sinusoid --shot 10 --query 10 --tasks 25 --steps 20000 --no-validation "
        "--out runs/sine-pretrained",
    ),
]
