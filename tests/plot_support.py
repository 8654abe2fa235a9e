"""Small subjects of figures: methods with fresh weights on pictures made of noise, and on curves."""

from __future__ import annotations

import torch

from kshot.data.curves import Sinusoid
from kshot.data.images import Images, offsets_of
from kshot.evaluation.plots import Subject
from kshot.functional import random
from kshot.methods import METHODS, Method, build_method
from kshot.tasks import TaskSource, make_source
from support import SHAPE, SMALL, WAY

CLASSES, EACH = 8, 9


def noisy_images(spread: float = 0.5) -> Images:
    """Eight classes of nine grey pictures of 16 pixels."""
    key = random.keys(3, torch.arange(CLASSES), "class")
    base = random.normal(key, *SHAPE)[:, None]  # [C, 1, 1, 16, 16]
    more = random.normal(random.fold(key, torch.tensor(1)), EACH, *SHAPE)
    pixels = (255 * torch.sigmoid(base + spread * more)).round().to(torch.uint8).flatten(0, 1)
    names = tuple(f"{'Greek' if c < 4 else 'Lao'}/letter{c}" for c in range(CLASSES))
    groups = tuple(name.partition("/")[0] for name in names)
    return Images(pixels, offsets_of(torch.full((CLASSES,), EACH)), names, groups, "noise", "test", "eight classes")


def picture_source(**counts: int) -> TaskSource:
    """Tasks of them."""
    return make_source(noisy_images(), **{"way": WAY, "shot": 2, "query": 4, **counts})


def fresh(name: str, source: TaskSource, **options: object) -> Method:
    """A small method of the registry with fresh weights."""
    kept = {**SMALL.get(name, {}), **options}
    backbone: dict[str, object] = {}
    if "backbone" in METHODS[name].__init__.__annotations__ and name != "mann":
        backbone = {"backbone_options": {"hidden": 8} if source.spec.regression else {"filters": 4}}
    return build_method(name, source.spec, **backbone, **kept).eval()  # type: ignore[arg-type]


def subject(name: str, source: TaskSource | None = None, **options: object) -> Subject:
    """A method and its tasks, called by its registry name; queries are those of the source."""
    source = picture_source() if source is None else source
    return Subject(name, lambda s: fresh(name, s, **options), source, query=source.query)


def curve_subject(name: str, **options: object) -> Subject:
    """The same on sine curves."""
    return subject(name, make_source(Sinusoid(), shot=5, query=12, split="test"), **options)
