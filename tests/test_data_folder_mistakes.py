"""Folders with something wrong: every mistake is named with what to do, and dropped and counted by --skip-bad."""

import os
import re
from pathlib import Path

import pytest

from kshot.data import load_folder
from kshot.errors import UserError
from picture_support import draw, make


def bad_file(root):
    (root / "b" / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return r"b/x.png is .*"


def empty_file(root):
    (root / "b" / "x.png").write_bytes(b"")
    return r"b/x.png is empty \(0 bytes\): put the picture back or delete the file"


def no_picture(root):
    (root / "b" / "list.csv").write_text("1,2")
    return r"b/list.csv is not a picture of a known format .*convert it or move it elsewhere"


def empty_class(root):
    (root / "d").mkdir()
    return r"the class folder .*/d is empty: add pictures or delete it"


def lonely_class(root):
    draw(root / "d" / "0.png")
    return r"the class 'd' of .* has 1 usable example but needs at least 2: add examples or delete it"


def class_of_one_good_picture(root):
    draw(root / "d" / "0.png")
    (root / "d" / "1.png").write_bytes(b"")
    return r"d/1.png is empty"


def same_name_but_for_case(root):
    make(root, ("B",))
    return r"the class folders .*/B and .*/b have the same name but for case, spaces or Unicode form: merge"


def same_name_but_for_form(root):
    make(root, ("caf\u00e9", "cafe\u0301"))
    return r"the class folders .*caf.* have the same name but for case, spaces or Unicode form"


def loose_picture(root):
    draw(root / "loose.png")
    return r"loose.png lies beside the class folders: move it into the folder of its class"


def folder_in_class(root):
    draw(root / "b" / "more" / "0.png")
    return r"b/more is a folder inside the class folder .*/b: move its pictures out of it"


def link_out(root):
    outside = draw(root.parent / "outside.png")
    (root / "b" / "x.png").symlink_to(outside)
    return r"b/x.png is a link out of the folder .*, to .*outside.png: put a copy in its place"


def folder_link_out(root):
    make(root.parent / "elsewhere", ("z",))
    (root / "d").symlink_to(root.parent / "elsewhere" / "z")
    return r"/d is a link out of the folder"


def folder_link_in(root):
    (root / "d").symlink_to(root / "a")
    return r"/d is a link to a folder, whose pictures would count twice: delete it"


def link_loop(root):
    (root / "b" / "up").symlink_to(root)
    return r"b/up is a link to a folder"


def broken_link(root):
    (root / "b" / "x.png").symlink_to(root / "nowhere.png")
    return r"b/x.png is a link to something that does not exist: delete it or repair it"


def pipe(root):
    os.mkfifo(root / "b" / "x.png")
    return r"b/x.png is neither a file nor a folder: delete it"


MISTAKES = [
    bad_file,
    empty_file,
    no_picture,
    empty_class,
    lonely_class,
    class_of_one_good_picture,
    same_name_but_for_case,
    same_name_but_for_form,
    loose_picture,
    folder_in_class,
    link_out,
    folder_link_out,
    folder_link_in,
    link_loop,
    broken_link,
    pipe,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_to_do(tmp_path, mistake):
    root = make(tmp_path / "mine")
    message = mistake(root)
    with pytest.raises(UserError, match=message + r".*, or leave out everything unusable by --skip-bad"):
        load_folder(root, "all")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_skip_bad_drops_the_mistake_counts_it_and_keeps_the_rest(tmp_path, mistake):
    root = make(tmp_path / "mine")
    message = mistake(root)
    images = load_folder(root, "all", skip_bad=True)
    count = 2 if mistake is class_of_one_good_picture else 1
    assert len(images.skipped) == count
    what = "unusable file or folder" if count == 1 else "unusable files or folders"
    assert images.split_note.endswith(f"; {count} {what} left out")
    assert re.search(message, images.skipped[0])
    kept = {n.lower(): int(c) for n, c in zip(images.names, images.counts)}
    assert {n: kept[n] for n in "abc"} == {"a": 3, "b": 3, "c": 3}


def test_a_link_to_a_file_inside_the_folder_is_a_picture(tmp_path):
    make(tmp_path)
    (tmp_path / "b" / "x.png").symlink_to(tmp_path / "a" / "0.png")
    assert load_folder(tmp_path, "all").counts.tolist() == [3, 4, 3]


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: None, "mine does not exist; expected a folder of pictures: check the path"),
        (lambda root: root.write_text("x"), "mine is a file, not a folder"),
        (lambda root: root.mkdir(), "mine holds nothing; expected one folder for each class .*mine/<class>/"),
        (lambda root: draw(root / "0.png"), "mine holds 1 files but no folders; expected one folder for each class"),
    ],
)
def test_a_folder_without_classes_is_an_error_in_any_case(tmp_path, prepare, message, skip_bad):
    root = tmp_path / "mine"
    prepare(root)
    with pytest.raises(UserError, match=message):
        load_folder(root, "all", skip_bad=skip_bad)


def test_when_nothing_is_left_the_last_problem_is_told(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match=r"holds no usable class folder \(the first problem: .*/a is empty"):
        load_folder(tmp_path, "all", skip_bad=True)
    for name in "12":
        (tmp_path / "a" / f"{name}.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"none of the 2 files in .*/a is a usable picture \(the last problem: .*empty"):
        load_folder(tmp_path, "all", skip_bad=True)


def test_classes_left_with_too_few_pictures_are_an_error_when_none_is_left(tmp_path):
    draw(tmp_path / "a" / "0.png")
    (tmp_path / "a" / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"no class of .* \(split 'all'\) has 2 usable pictures: add pictures"):
        load_folder(tmp_path, "all", skip_bad=True)


def test_the_least_number_of_examples_can_be_raised(tmp_path):
    make(tmp_path, ("a", "b"), 4)
    make(tmp_path, ("c",), 3)
    assert load_folder(tmp_path, "all", least=4, skip_bad=True).names == ("a", "b")
    with pytest.raises(UserError, match=r"the class 'c' of .* has 3 usable examples but needs at least 4"):
        load_folder(tmp_path, "all", least=4)


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    root = make(tmp_path / "mine")
    iterdir = Path.iterdir

    def forbidden(folder):
        if folder.name == "b":
            raise PermissionError(13, "Permission denied")
        return iterdir(folder)

    monkeypatch.setattr("pathlib.Path.iterdir", forbidden)
    with pytest.raises(UserError, match=r"/b cannot be listed \(Permission denied\): make it readable"):
        load_folder(root, "all")
    assert load_folder(root, "all", skip_bad=True).names == ("a", "c")
