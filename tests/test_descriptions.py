"""Tables that describe classes, and zero-shot tasks made with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kshot.data import load, read_descriptions
from kshot.data.images import Images, offsets_of
from kshot.errors import UserError
from kshot.tasks import ImageTasks, make_source
from picture_support import make

NUMBERS = "class,stripes,legs\na,1,4\nb,0,0.5\nc,0.25,2\n"


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def described(classes: int = 6, each: int = 5) -> Images:
    pixels = torch.arange(classes * each, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    names = tuple(f"class{i}" for i in range(classes))
    attributes = torch.arange(classes * 3.0).view(classes, 3)
    return Images(pixels, offsets_of(torch.full((classes,), each)), names, ("",) * classes, "mine", "test",
                  attributes=attributes, attribute_names=("x", "y", "z"))  # fmt: skip


def test_a_table_of_numbers(table) -> None:
    found = read_descriptions(table(NUMBERS))
    assert found.classes == ("a", "b", "c")
    assert found.names == ("stripes", "legs")
    assert found.values.tolist() == [[1, 4], [0, 0.5], [0.25, 2]]
    plain = read_descriptions(table("a\t1\t4\nb\t0\t0.5\n", "table.tsv"))
    assert plain.names == ("attribute 1", "attribute 2")
    assert plain.values.tolist() == [[1, 4], [0, 0.5]]


def test_a_table_of_words_is_a_bag_of_its_vocabulary(table) -> None:
    found = read_descriptions(table('class,description\nzebra,"Striped, four legs"\n\ndolphin,smooth; no legs\n'))
    assert found.names == ("four", "legs", "no", "smooth", "striped")
    assert found.values.tolist() == [[1, 1, 0, 0, 1], [0, 1, 1, 1, 0]]
    assert read_descriptions(table("cat,striped,four legs\n"), found.names).values.tolist() == [[1, 1, 0, 0, 1]]


def test_columns_are_brought_into_the_order_of_the_training(table) -> None:
    found = read_descriptions(table("class,legs,wings,stripes\nd,4,2,1\n"), ("stripes", "legs"))
    assert found.values.tolist() == [[1, 4]]


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("", (), r"describes no class; expected a line for each class: its name, then numbers"),
        ("class,legs\n", (), "describes no class"),
        ("a,1\nb,2\na,3\n", (), r"class 'a' is described twice in .*, in line 1 and in line 3: keep one"),
        ("a,1,2\nb,2\n", (), r"line 2 of .* \('b'\) has 1 numbers after the name; expected 2"),
        ("a,1,2\nb,2,two\n", (), r"line 2 of .*, column 3 is 'two', which is no number"),
        ("a,1,nan\n", (), r"line 1 of .*, column 3 is 'nan', which is no number"),
        ("a,,\n", (), r"line 1 of .* says nothing of the class 'a'"),
        (",1\n", (), r"line 1 of .* begins without the name of a class"),
        ("class,x,x\na,1,2\n", (), r"two columns of .* have the name 'x': rename one"),
        (
            "a,stripd\n",
            ("striped", "legs"),
            r"word 'stripd', which is none of the 2 words .*; did you mean 'striped'\?",
        ),
        ("class,legs\na,1\n", ("stripes", "legs"), r"no column 'stripes', on which the model was trained: add it"),
        ("a,1\n", ("stripes", "legs"), r"has 1 numbers for each class, and the model was trained on 2 \(stripes, legs"),
    ],
)
def test_mistakes_in_a_table_are_explained(table, text: str, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_descriptions(table(text), names)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.csv does not exist"):
        read_descriptions(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"\xe9,1\n")
    with pytest.raises(UserError, match=r"latin.csv cannot be read as a table .* in UTF-8"):
        read_descriptions(tmp_path / "latin.csv")


def test_a_table_beside_a_folder_of_pictures(tmp_path: Path, table) -> None:
    folder = make(tmp_path / "mine")
    images = load(folder, "all", attributes=table(NUMBERS + "d,1,1\n"))
    assert images.attribute_names == ("stripes", "legs")
    assert images.attributes.tolist() == [[1, 4], [0, 0.5], [0.25, 2]]
    with pytest.raises(UserError, match=r"describes 2 of the 3 classes of mine \(all\); 'c' is missing: add a line"):
        load(folder, "all", attributes=table("a,1\nb,2\n"))
    with pytest.raises(UserError, match="sinusoid has no classes that a table could describe"):
        load("sinusoid", attributes=table(NUMBERS))


def test_a_zero_shot_task_gives_descriptions_in_place_of_examples() -> None:
    images = described()
    source = ImageTasks(images, way=4, shot=0, query=2)
    assert source.spec.attributes == ("x", "y", "z")
    assert source.spec.support == "descriptions"
    tasks = source.batch([3, 8])
    assert torch.equal(tasks.ys, torch.arange(4).expand(2, 4))
    assert torch.equal(tasks.xs, images.attributes[tasks.classes])
    shown = tasks.xq[:, :, 0, 0, 0].long() // 5  # the class of each picture
    assert torch.equal(shown, tasks.classes.gather(1, tasks.yq))
    assert torch.equal(source[8].xq[0], tasks.xq[1])
    with_examples = ImageTasks(images, way=4, shot=1, query=2)
    assert with_examples.spec.support == "examples"
    assert with_examples.batch([3]).xs.shape == (1, 4, 1, 4, 4)


def test_only_queries_are_distorted() -> None:
    tasks = make_source(described(), way=4, shot=0, query=2, augment="affine").batch([0])
    assert torch.equal(tasks.xs, described().attributes[tasks.classes])
    assert tasks.xq.is_floating_point()


def test_descriptions_go_with_their_classes() -> None:
    images = described()
    assert torch.equal(images.select([4, 1]).attributes, images.attributes[[4, 1]])
    assert images.rotated().attributes is None
    assert images.to("cpu").attributes is not None
    with pytest.raises(UserError, match=r"attributes must be float32 \[6, 3\]"):
        Images(images.pixels, images.offsets, images.names, images.groups, "", "", attributes=torch.zeros(5, 3),
               attribute_names=("x", "y", "z"))  # fmt: skip


def test_without_descriptions_there_are_no_zero_shot_tasks() -> None:
    with pytest.raises(UserError, match=r"glyphs does not describe its classes.*use glyphs:names, add --attributes"):
        make_source(load("glyphs", "val"), shot=0)
    with pytest.raises(UserError, match="shot must be a number of at least 1"):
        make_source(load("scribbles"), shot=0)
    with pytest.raises(UserError, match="shot must be a number of at least 1"):
        make_source(described(), way=4, shot=(0, 2))


def test_features_and_attributes_in_a_file_of_arrays(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(8, 7)), np.array(list("ddccbbaa"))
    attributes = np.arange(8).reshape(4, 2)
    np.savez(tmp_path / "set.npz", x=x, y=y, attributes=attributes, attribute_names=["u", "v"])
    images = load(tmp_path / "set.npz", "all")
    assert images.pixels.dtype == torch.float32
    assert torch.equal(images.pixels[:2], torch.from_numpy(x[6:]).float())  # of class a
    assert torch.equal(images.attributes, torch.from_numpy(attributes).float())
    assert images.attribute_names == ("u", "v")
    part = load(tmp_path / "set.npz", "train")
    assert torch.equal(part.attributes, images.attributes[[images.names.index(n) for n in part.names]])
    np.savez(tmp_path / "set.npz", x=x, y=y, attributes=attributes[:3])
    with pytest.raises(UserError, match=r"attributes in .* are int64 of shape \[3, 2\]; expected numbers \[4, A\]"):
        load(tmp_path / "set.npz", "all")
    np.savez(tmp_path / "set.npz", x=x * np.nan, y=y)
    with pytest.raises(
        UserError, match=r"features in .* have the shape \[8, 7\]; expected \[M, D\], none 0, and no NaN"
    ):
        load(tmp_path / "set.npz", "all")


def test_features_take_the_place_of_pictures() -> None:
    features = Images(torch.randn(12, 7, generator=torch.Generator().manual_seed(0)), torch.arange(0, 13, 4),
                      ("a", "b", "c"), ("",) * 3, "features", "all")  # fmt: skip
    source = make_source(features, way=3, shot=2, query=2)
    assert source.spec.input_shape == (7,)
    assert source.batch([0, 1]).xs.shape == (2, 6, 7)
    for change, flag in ((features.rotated, "--rotations"), (lambda: features.resized(8), "--size")):
        with pytest.raises(UserError, match=f"vectors of 7 numbers.*leave out {flag}"):
            change()
    with pytest.raises(UserError, match="are vectors and cannot be distorted: leave out --augment"):
        make_source(features, way=3, augment="affine")
