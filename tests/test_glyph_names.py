"""Letters described by their names: unseen combinations of components that are all seen in training."""

from __future__ import annotations

import hashlib

import pytest
import torch

from kshot.data import load
from kshot.data.glyph_names import SCRIPTS, VOCABULARY, Name, letters, name_of, split_of
from kshot.data.glyphs import DRAWINGS
from kshot.data.images import Images
from kshot.errors import UserError


@pytest.fixture(scope="module")
def splits() -> dict[str, Images]:
    return {split: load("glyphs:names", split) for split in ("train", "val", "test")}


def test_a_name_is_taken_apart() -> None:
    omega = name_of("\u038f")  # GREEK CAPITAL LETTER OMEGA WITH TONOS
    assert omega == Name("greek capital", "omega", ("tonos",))
    assert omega.components == ("greek capital omega", "with tonos")
    assert omega.words == ("capital", "greek", "omega", "tonos")
    assert name_of("\u01d5") == Name("latin capital", "u", ("diaeresis", "macron"))
    assert name_of("\u1e7a").words == name_of("\u01d5").words  # U WITH MACRON AND DIAERESIS: one description
    assert name_of("a") == Name("latin small", "a", ())
    for other in ("\u1f71", "\ufb01", "7", "\u05d0", "\u0301"):  # oxia is tonos; ligature; digit; Hebrew; a mark
        assert name_of(other) is None


def test_no_combination_is_in_two_splits_and_no_component_is_unseen() -> None:
    every = letters()
    of = {s: [n for n, t in zip(every.names, every.splits) if s == t] for s in ("train", "val", "test")}
    assert len({(n.kind, n.letter, n.marks) for n in every.names}) == len({n.words for n in every.names})
    seen = {c for n in of["train"] for c in n.components}
    for split in ("val", "test"):
        assert all(n.marks and seen.issuperset(n.components) for n in of[split])
        assert not {n.words for n in of[split]} & {n.words for n in of["train"]}
    assert not {n.words for n in of["val"]} & {n.words for n in of["test"]}


def test_a_letter_with_an_unseen_component_is_a_training_class() -> None:
    names = tuple(Name("latin small", letter, ("hook",)) for letter in "abcdefghij")
    assert set(split_of(names)) == {"train"}  # no base letter comes twice


def test_as_many_letters_as_reported_and_every_one_described(splits: dict[str, Images]) -> None:
    counts = {split: len(images.names) for split, images in splits.items()}
    assert counts["train"] > 550
    assert counts["val"] > 90
    assert counts["test"] > 120
    for images in splits.values():
        assert images.pixels.shape[1:] == (1, 28, 28)
        assert (images.counts == DRAWINGS).all()
        assert images.attributes.shape == (len(images.names), len(VOCABULARY))
        assert len(images.attributes.unique(dim=0)) == len(images.names)
        assert set(images.groups) <= set(SCRIPTS)
    assert len(set(splits["test"].groups)) == 4  # across scripts
    assert splits["test"].split_note.startswith(f"{counts['test']} letters (Latin ")


def test_a_description_is_the_bag_of_the_words_of_the_name(splits: dict[str, Images]) -> None:
    images = splits["test"]
    for name, row in zip(images.names, images.attributes):
        said = {VOCABULARY[i] for i in row.nonzero()[:, 0]}
        words = set(name.partition("/")[2].lower().split()) - {"letter", "with", "and"}
        assert said == words


def test_marks_are_drawn_and_seen(splits: dict[str, Images]) -> None:
    """The mean picture of a marked letter is not that of the same letter without marks."""
    both = {n: splits[s].pixels[20 * i : 20 * i + 20].float().mean(0)
            for s in splits for i, n in enumerate(splits[s].names)}  # fmt: skip
    plain = both["Latin/LATIN CAPITAL LETTER A"]
    for name in ("GRAVE", "RING ABOVE", "OGONEK", "DIAERESIS"):
        marked = both[f"Latin/LATIN CAPITAL LETTER A WITH {name}"]
        assert (marked - plain).abs().sum() > 0.2 * plain.sum()


def test_letters_that_nobody_can_tell_apart_are_kept_once() -> None:
    codes = set(letters().typefaces.characters[letters().kept].tolist())
    for twins in ("\u00eb\u0451", "\u00c5\u212b", "\u00f6\u04e7\u00d6"):  # Latin and Cyrillic e; O and o
        assert sum(ord(c) in codes for c in twins) == 1


def test_the_data_are_the_same_in_every_version(splits: dict[str, Images]) -> None:
    images = splits["test"]
    assert hashlib.sha256(" ".join(VOCABULARY).encode()).hexdigest()[:16] == "e332cc7f5d2ad17c"
    assert hashlib.sha256("\n".join(images.names).encode()).hexdigest()[:16] == "920cf3d710486652"
    assert torch.equal(images.attributes.sum(1).unique(), torch.tensor([3.0, 4.0, 5.0, 6.0]))


def test_mistakes_are_explained() -> None:
    with pytest.raises(UserError, match="no variants but names; got 'bold'"):
        load("glyphs:bold")
    with pytest.raises(UserError, match="did you mean 'test'"):
        load("glyphs:names", "tset")
    with pytest.raises(UserError, match="at least 8"):
        load("glyphs:names", size=4)
