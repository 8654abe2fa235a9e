"""Split lists in the forms in which they are published."""

from __future__ import annotations

import json

import pytest

from kshot.data.splits import find_lists, read_list, split_of
from kshot.data.trees import Entry
from kshot.errors import UserError


def entry(name: str, text: str) -> Entry:
    return Entry(name, (0, 0), text.encode)


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", ("train", "")),
        ("miniImageNet_val", ("val", "miniimagenet")),
        ("novel", ("test", "")),
        ("base", ("train", "")),
        ("trainclasses1", ("train", "")),
        ("testclasses", ("test", "")),
        ("meta-validation", ("val", "meta")),
        ("splits", ("all", "")),
        ("train_test_split", ("", "")),  # CUB's list of pictures for ordinary training
        ("trainval", ("", "trainval")),
        ("image_class_labels", ("", "image_class_labels")),
    ],
)
def test_the_name_of_a_list_says_its_split(stem: str, split: tuple[str, str]) -> None:
    assert split_of(stem) == split


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("train.txt", "apple\n\naquarium_fish\n", [("", "apple"), ("", "aquarium_fish")]),
        ("train.txt", "001.Albatross/a_1.jpg 0\n", [("001.Albatross/a_1.jpg", "0")]),
        ("train.csv", "filename,label\nn01.jpg,n01\n", [("", "filename"), ("n01.jpg", "n01")]),
        ("train.csv", "\ufeffn03314780,n00020090\r\n", [("", "n03314780")]),
        ("train.json", json.dumps(["a", "b c"]), [("", "a"), ("", "b c")]),
        ("train.json", json.dumps([["fish", "ray"]]), [("", "fish")]),
        ("train.json", json.dumps({"class_names": ["n01"], "class_roots": ["./n01"]}), [("", "n01")]),
        (
            "base.json",
            json.dumps({"label_names": ["x", "y"], "image_names": ["/d/x/1.jpg"], "image_labels": [0]}),
            [("/d/x/1.jpg", None)],
        ),
    ],
)
def test_lists_of_every_form_are_read(name: str, text: str, rows: list[tuple[str, str | None]]) -> None:
    read = read_list(entry(name, text))
    assert [(r.picture, r.words[0] if r.words else None) for r in read] == rows


@pytest.mark.parametrize(("name", "text"), [("val.json", "{"), ("val.json", "[" * 10_000), ("val.txt", " \n")])
def test_a_list_that_cannot_be_read_is_named(name: str, text: str) -> None:
    with pytest.raises(UserError, match=r"val\.\w+ .*get the list again"):
        read_list(entry(name, text))


def test_only_complete_lists_count_each_folder_on_its_own() -> None:
    names = [*(f"a/ravi/{s}.csv" for s in ("train", "val", "test")), "a/other/train.csv", "a/other/test.csv",
             *(f"a/fc100_{s}.txt" for s in ("train", "val", "test")), "a/splits.json", "a/README.txt"]  # fmt: skip
    whole = json.dumps({"train": ["x"], "val": ["y"], "test": ["z"]})
    found = find_lists({n: entry(n, whole if n.endswith("json") else "x\n") for n in names})
    assert [(s.folder, len(s.files)) for s in found] == [("a", 3), ("a/ravi", 3), ("a", 1)]
    assert found[2].rows["val"][0].words == ("y",)
