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

CALTECH = "--data caltech101 --size 42"
MINI = "--data mini-imagenet --size 84"
SGD = "--optimizer sgd --momentum 0.9 --weight-decay 5e-4 --lr 0.05 --schedule cosine"

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
        "letters-by-name",
        "letters with marks from their names alone: combinations never seen, recognised without an example",
        "kshot train protonet-zero --data glyphs:names --way 50 --query 5 --tasks 1 --steps 800 --lr 2e-3 "
        "--schedule cosine --val-query 5 --out runs/letters-by-name",
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
        "caltech-protonet",
        "prototypical network on Caltech-101 at 42 px: eight minutes of one core (needs your copy)",
        f"kshot train protonet {CALTECH} --way 20 --shot 1-5 --query 5 --tasks 1 --steps 1200 --lr 2e-3 "
        "--schedule cosine --distance unsquared --augment photo --val-way 5 --val-shot 1 --out runs/caltech-protonet",
    ),
    Recipe(
        "caltech-embedding",
        "one good embedding of Caltech-101 at 42 px, and ridge regression for each task (needs your copy)",
        f"kshot train embedding {CALTECH} --way 64 --shot 1 --query 1 --tasks 1 --steps 700 --lr 2e-3 "
        "--schedule cosine --head ridge --centre --augment photo --val-way 5 --out runs/caltech-embedding",
    ),
    Recipe(
        "caltech-maml",
        "MAML on Caltech-101 at 42 px (needs your copy)",
        f"kshot train maml {CALTECH} --filters 32 --way 5 --shot 1 --query 3 --tasks 16 --steps 5000 --lr 3e-3 "
        "--schedule cosine --compile --out runs/caltech-maml",
    ),
    Recipe(
        "mini-imagenet-protonet",
        "prototypical network on mini-ImageNet as published: Conv4 at 84 px, 30 ways in training (needs your copy)",
        f"kshot train protonet {MINI} --way 30 --shot 1 --query 15 --tasks 1 --steps 20000 --lr 1e-3 --schedule step "
        "--decay-every 2000 --val-way 5 --out runs/mini-imagenet-protonet",
    ),
    Recipe(
        "mini-imagenet-maml",
        "MAML on mini-ImageNet as published: 32 filters, five inner steps, ten when evaluating (needs your copy)",
        f"kshot train maml {MINI} --backbone conv4 --filters 32 --way 5 --shot 1 --query 15 --tasks 4 --steps 60000 "
        "--inner-steps 5 --eval-steps 10 --inner-lr 0.01 --lr 1e-3 --clip-value 10 --val-transductive "
        "--out runs/mini-imagenet-maml",
    ),
    Recipe(
        "mini-imagenet-resnet12",
        "prototypical network with ResNet-12 at 84 px, for a GPU (needs your copy)",
        f"kshot train protonet {MINI} --backbone resnet12 {SGD} --way 20 --shot 5 --query 5 --tasks 1 --steps 30000 "
        "--augment photo --val-way 5 --precision bfloat16 --device cuda --out runs/mini-imagenet-resnet12",
    ),
    Recipe(
        "tiered-imagenet-resnet12",
        "the same on tiered-ImageNet, whose test classes are of other kinds (needs your copy, and 9 GB)",
        f"kshot train protonet --data tiered-imagenet --backbone resnet12 {SGD} --way 20 --shot 5 --query 5 --tasks 1 "
        "--steps 60000 --augment photo --val-way 5 --precision bfloat16 --device cuda --out runs/tiered-resnet12",
    ),
    Recipe(
        "cub-protonet",
        "200 kinds of birds, Conv4 at 84 px (needs your copy)",
        "kshot train protonet --data cub --way 20 --shot 5 --query 10 --tasks 1 --steps 10000 --lr 1e-3 "
        "--schedule step --augment photo --val-way 5 --out runs/cub-protonet",
    ),
    Recipe(
        "cifar-fs-protonet",
        "CIFAR-100's classes at 32 px, Conv4 (needs your copy; --data fc100 is the split by superclass)",
        "kshot train protonet --data cifar-fs --way 20 --shot 5 --query 10 --tasks 1 --steps 10000 --lr 1e-3 "
        "--schedule step --augment photo --val-way 5 --out runs/cifar-fs-protonet",
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
