"""Folders of class folders: what is read, how it is split, and every mistake with its message."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data import Problems, load, load_folder, read_images, read_support
from kshot.errors import UserError


def draw(path, value=0, side=12, mode="L"):
    """A dark square on white whose place is a function of value."""
    picture = np.full((side, side), 255, np.uint8)
    picture[2 + value % 5 : 6 + value % 5, 3:7] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).convert(mode).save(path)
    return path


def make(root, classes=("a", "b", "c"), count=3, mode="L"):
    for i, name in enumerate(classes):
        for j in range(count):
            draw(root / name / f"{j}.png", i + j, mode=mode)
    return root


def photo(path, rgb=(200, 30, 20), side=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), rgb).save(path)
    return path


# ---------------------------------------------------------------- what is read


def test_a_folder_of_drawings_is_grey_28_pixels_and_bright_on_dark(tmp_path):
    images = load_folder(make(tmp_path / "mine"), "all")
    assert images.names == ("a", "b", "c")
    assert images.pixels.shape == (9, 1, 28, 28)
    assert images.counts.tolist() == [3, 3, 3]
    assert int(images.pixels[:, :, 0].max()) == 0  # paper
    assert int(images.pixels.max()) == 255  # ink
    assert (images.name, images.split, images.split_note) == ("mine", "all", "all 3 classes of mine")


def test_one_colour_picture_makes_all_of_them_colour_of_84_pixels(tmp_path):
    make(tmp_path)
    photo(tmp_path / "c" / "9.jpg")
    images = load_folder(tmp_path, "all")
    assert images.pixels.shape == (10, 3, 84, 84)
    assert int(images.pixels[0, 0, 0, 0]) == 255  # colour is not inverted
    assert images.pixels[-1].float().mean((1, 2)).argmax() == 0


def test_size_channels_and_polarity_can_be_chosen(tmp_path):
    make(tmp_path)
    assert load_folder(tmp_path, "all", 16, channels=3).pixels.shape == (9, 3, 16, 16)
    assert int(load_folder(tmp_path, "all", invert="no").pixels[0, 0, 0, 0]) == 255
    photo(tmp_path / "c" / "9.png")
    assert load_folder(tmp_path, "all", channels=1).pixels.shape == (10, 1, 28, 28)
    with pytest.raises(UserError, match=r"channels must be 1 \(grey\) or 3 \(colour\); got 4"):
        load_folder(tmp_path, "all", channels=4)
    with pytest.raises(UserError, match="size must be a number of pixels of at least 1; got -1"):
        load_folder(tmp_path, "all", -1)


def test_mixed_formats_modes_and_sizes_lie_together(tmp_path):
    for k, (name, mode) in enumerate(
        [("a.png", "1"), ("b.jpg", "L"), ("c.bmp", "RGB"), ("d.gif", "P"), ("e.tif", "CMYK")]
    ):
        draw(tmp_path / "x" / name, mode=mode, side=12 + k)
        draw(tmp_path / "y" / name, mode=mode, side=30 - k)
    images = load_folder(tmp_path, "all")
    assert images.pixels.shape == (10, 1, 28, 28)
    assert images.counts.tolist() == [5, 5]


def test_groups_of_classes_are_folders_of_folders(tmp_path):
    make(tmp_path / "Greek", ("alpha", "beta"))
    make(tmp_path / "Latin", ("a",))
    images = load_folder(tmp_path, "all")
    assert images.names == ("Greek/alpha", "Greek/beta", "Latin/a")
    assert images.groups == ("Greek", "Greek", "Latin")


def test_hidden_files_and_notes_beside_the_class_folders_do_not_matter(tmp_path):
    make(tmp_path)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "README.md", "a/.DS_Store", "b/Thumbs.db", "a/._0.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".git").mkdir()
    assert load_folder(tmp_path, "all").names == ("a", "b", "c")


def test_omniglot_unpacked_is_omniglot(kshot_data, tmp_path, monkeypatch):
    import zipfile

    from kshot.data.archives import locate

    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(locate("background", kshot_data)) as archive:
        wanted = [n for n in archive.namelist() if "/Latin/character0" in n or "/Greek/character0" in n]
        archive.extractall(tmp_path, wanted)
    folder = load_folder(tmp_path / "images_background", "all")
    real = load("omniglot:background", "all", data_dir=kshot_data)
    same = real.select([real.names.index(n) for n in folder.names])
    assert len(folder.names) == 18
    assert torch.equal(folder.pixels, same.pixels)


# ---------------------------------------------------------------- splits


def test_classes_are_split_64_16_20_by_their_names_alone(tmp_path):
    names = [f"class{i:02d}" for i in range(25)]
    make(tmp_path / "one", names, 2)
    make(tmp_path / "two", reversed(names), 2)
    parts = {s: load_folder(tmp_path / "one", s, 4) for s in ("train", "val", "test")}
    assert [len(p.names) for p in parts.values()] == [16, 4, 5]
    assert len({n for p in parts.values() for n in p.names}) == 25
    assert load_folder(tmp_path / "two", "test", 4).names == parts["test"].names
    assert parts["test"].names == ("class02", "class15", "class16", "class20", "class21")
    assert parts["val"].split_note == "4 of 25 classes of one by a hash of the names of the classes"


def test_five_groups_or_more_are_split_whole(tmp_path):
    for g in range(5):
        make(tmp_path / f"group{g}", ("x", "y"), 2)
    parts = [set(load_folder(tmp_path, s, 4).groups) for s in ("train", "val", "test")]
    assert [len(p) for p in parts] == [3, 1, 1]
    assert len(set.union(*parts)) == 5


def test_folders_named_train_val_test_are_the_splits(tmp_path):
    make(tmp_path / "Train", ("a", "b"))
    make(tmp_path / "validation", ("c",))
    images = load_folder(tmp_path, "train")
    assert images.names == ("a", "b")
    assert images.split_note.endswith(f"2 classes of {tmp_path.name} in Train")
    assert load_folder(tmp_path, "val").names == ("c",)
    assert load_folder(tmp_path, "all").names == ("a", "b", "c")
    with pytest.raises(UserError, match=r"has the split folders train, val but none for 'test': add a folder test"):
        load_folder(tmp_path, "test")


def test_a_class_in_two_splits_is_refused(tmp_path):
    make(tmp_path / "train", ("cat", "dog"))
    make(tmp_path / "test", ("Cat",))
    with pytest.raises(UserError, match=r"the class 'Cat' of .* is in train and in test; .* put all its pictures"):
        load_folder(tmp_path, "train")


def test_two_folders_of_one_split_are_refused(tmp_path):
    make(tmp_path / "val")
    make(tmp_path / "valid")
    with pytest.raises(UserError, match=r"val and .*valid are both folders of the split 'val': merge them"):
        load_folder(tmp_path, "val")


def test_too_few_classes_to_split_are_still_one_set(tmp_path):
    make(tmp_path, ("a", "b"))
    assert len(load_folder(tmp_path, "all").names) == 2
    with pytest.raises(UserError, match=r"has 2 classes, too few .*: use the split 'all', or make folders"):
        load_folder(tmp_path, "train")
    with pytest.raises(UserError, match="unknown split 'dev'"):
        load_folder(tmp_path, "dev")


# ---------------------------------------------------------------- mistakes: each is named, and dropped by --skip-bad


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


# ---------------------------------------------------------------- predict's folders


def test_queries_are_the_pictures_of_a_flat_folder_in_the_order_of_their_names(tmp_path):
    for name in ("c.png", "a.png", "b.jpg"):
        draw(tmp_path / name)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    pixels, paths = read_images(tmp_path, 20)
    assert [p.name for p in paths] == ["a.png", "b.jpg", "c.png"]
    assert pixels.shape == (3, 1, 20, 20)
    assert int(pixels[0, 0, 0, 0]) == 0
    colour, _ = read_images(tmp_path, 20, channels=3)
    assert colour.shape == (3, 3, 20, 20)
    some, paths = read_images([tmp_path / "c.png"], 20, 1)
    assert [p.name for p in paths] == ["c.png"]
    assert torch.equal(some[0], pixels[2])


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: None, "q does not exist; expected a folder of pictures"),
        (lambda root: root.mkdir(), "q holds no pictures: put the pictures to be labelled there"),
        (
            lambda root: draw(root / "sub" / "0.png"),
            "sub is a folder among the pictures to be labelled: name it",
        ),
        (lambda root: (root.mkdir(), (root / "x.png").write_bytes(b"")), "x.png is empty"),
    ],
)
def test_mistakes_among_queries_are_named(tmp_path, prepare, message):
    prepare(tmp_path / "q")
    with pytest.raises(UserError, match=message):
        read_images(tmp_path / "q")


def test_unusable_queries_are_left_out_and_counted(tmp_path):
    draw(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    problems = Problems(skip=True)
    _, paths = read_images(tmp_path, problems=problems)
    assert [p.name for p in paths] == ["a.png"]
    assert problems.note == "; 1 unusable file or folder left out"
    with pytest.raises(UserError, match="no picture files were given: name at least one"):
        read_images([])


def test_support_is_labelled_by_the_sorted_class_folders(tmp_path):
    make(tmp_path, ("b", "a"), 2)
    pixels, labels, names = read_support(tmp_path, 24)
    assert names == ("a", "b")
    assert labels.tolist() == [0, 0, 1, 1]
    assert pixels.shape == (4, 1, 24, 24)


def test_a_task_needs_two_classes_with_pictures(tmp_path):
    make(tmp_path, ("a",), 1)
    with pytest.raises(UserError, match="has 1 class with usable pictures; a task needs at least 2: add a folder"):
        read_support(tmp_path)
    make(tmp_path, ("b",), 1)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "0.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"c/0\.png is empty"):
        read_support(tmp_path)
    with pytest.raises(UserError, match=r"no picture of c in .* can be used: add pictures or delete the class"):
        read_support(tmp_path, problems=Problems(skip=True))


def test_paths_may_have_spaces_and_other_scripts(tmp_path):
    root = make(tmp_path / "my pictures \u6f22", ("\u0431\u0443\u043a\u0432\u0430", "b c"))
    assert load(root, "all").names == ("b c", "\u0431\u0443\u043a\u0432\u0430")
    assert isinstance(root, Path)
