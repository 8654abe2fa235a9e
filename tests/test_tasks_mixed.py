"""Several data sets together: whose task is whose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from kshot.data import load
from kshot.data.curves import Sinusoid
from kshot.data.images import Images
from kshot.data.mixture import Mixture
from kshot.data.scribbles import Scribbles
from kshot.errors import UserError
from kshot.tasks import make_source
from test_tasks import pictures


def tall() -> Images:
    """Other pictures of the same shape, whose pixels are all above 100."""
    images = pictures(4, 6)
    return replace(images, pixels=images.pixels + 100, name="tall")


def test_mixed_sources_take_turns_and_never_share_a_task() -> None:
    mixed = make_source(Mixture((pictures(), tall()), "tags+tall"), way=3, shot=2, query=2, seed=7)
    parts = [make_source(data, way=3, shot=2, query=2, seed=7) for data in (pictures(), tall())]
    tasks = mixed.batch([5, 0, 2, 3, 8])
    assert tasks.indices.tolist() == [5, 0, 2, 3, 8]
    for row, i in enumerate([5, 0, 2, 3, 8]):
        own = parts[i % 2][i // 2]
        assert torch.equal(tasks.xs[row], own.xs[0])
        assert torch.equal(tasks.yq[row], own.yq[0])
        assert torch.equal(tasks.classes[row], own.classes[0] + 12 * (i % 2))
    assert (mixed.name, mixed.spec.num_classes) == ("tags+tall", 16)
    assert torch.equal(mixed.batch([4]).xs, parts[0][2].xs)
    endless = make_source(Mixture((Scribbles(), pictures28()), "a+b"), way=3, query=1)
    assert endless.spec.num_classes is None
    assert len(set(endless.batch(range(4)).classes.flatten().tolist())) > 6


def pictures28() -> Images:
    images = pictures()
    return replace(images, pixels=images.pixels.repeat(1, 1, 14, 14))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_source(Mixture((Scribbles(), pictures()), "a+b"), way=3, query=1), "inputs of one shape.*--size"),
        (lambda: Mixture((Scribbles(), Sinusoid()), "scribbles+sinusoid"), "two or more data sets of pictures"),  # type: ignore[arg-type]
        (lambda: load("scribbles+scribles"), "unknown data 'scribles'; did you mean 'scribbles'"),
        (lambda: load("scribbles+glyphs:upside", "val"), "glyphs"),
    ],
)
def test_mixtures_that_cannot_be_are_explained(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
