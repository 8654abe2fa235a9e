"""Folders of class folders: what is read, how it is split, and the folders that predict reads."""

import pytest
import torch

from kshot.data import Problems, load, load_folder, read_images, read_support
from kshot.errors import UserError
from picture_support import draw, make, photo


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
