"""The original one-shot runs' layout, on small made runs."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data import load, load_runs
from kshot.data.runs import is_runs
from kshot.errors import UserError


def picture(path, row, column):
    """One black square, its row and column known."""
    ink = np.full((10, 10), True)
    ink[row, column] = False
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ink).save(path)


ANSWERS = ([2, 0, 1], [0, 2, 1])  # which training picture shows the character of item 1, 2, 3


def make(root, answers=ANSWERS):
    """Runs of three characters; a class is a row, a test picture lies beside its training picture."""
    for r, answer in enumerate(answers, 1):
        run = f"run{r:02d}"
        for c in range(3):
            picture(root / run / "training" / f"class{c + 1:02d}.png", c, 0)
        lines = []
        for i, c in enumerate(answer):
            picture(root / run / "test" / f"item{i + 1:02d}.png", c, 1)
            lines.append(f"{run}/test/item{i + 1:02d}.png {run}/training/class{c + 1:02d}.png")
        (root / run / "class_labels.txt").write_text("\n".join(lines) + "\n")
    return root


def zipped(root):
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root.parent))
        archive.writestr("__MACOSX/all_runs/run01/training/._class01.png", b"x")
    return path


def check(runs):
    assert runs.names == ("run01", "run02")
    assert runs.support.shape == runs.query.shape == (2, 3, 1, 10, 10)
    assert runs.labels.tolist() == [[2, 0, 1], [0, 2, 1]]
    for r in range(2):
        for c in range(3):
            assert runs.support[r, c, 0].nonzero().tolist() == [[c, 0]]  # ink is high
            row = int(runs.labels[r, c])
            assert runs.query[r, c, 0].nonzero().tolist() == [[row, 1]]


def test_runs_are_read_from_a_folder_one_folder_down_and_from_a_zip(tmp_path):
    root = make(tmp_path / "outer" / "all_runs")
    check(load_runs(root, 10))
    check(load_runs(tmp_path / "outer", 10))
    check(load_runs(zipped(root), 10))


def test_load_knows_the_layout_and_only_evaluates(tmp_path):
    root = make(tmp_path / "runs")
    check(load(root, "test", size=10))
    check(load(str(zipped(root)), "test", size=10))
    with pytest.raises(UserError, match="holds the one-shot runs, which only evaluate; got the split 'train'"):
        load(root)


def test_size_is_28_unless_said(tmp_path):
    runs = load_runs(make(tmp_path))
    assert runs.support.shape == (2, 3, 1, 28, 28)
    with pytest.raises(UserError, match="size must be a number of pixels of at least 1; got 0"):
        load_runs(tmp_path, 0)


def test_labels_follow_the_names_of_the_files_not_the_order_of_the_lines(tmp_path):
    root = make(tmp_path)
    listed = root / "run01" / "class_labels.txt"
    listed.write_text("\n".join(reversed(listed.read_text().splitlines())) + "\n\n")
    check(load_runs(root, 10))


def test_nearest_by_pixels_answers_made_runs(tmp_path):
    runs = load_runs(make(tmp_path), 10)
    rows = lambda x: x.float().sum((2, 4))  # noqa: E731  ink in each row [R, N, 10]
    guess = torch.cdist(rows(runs.query), rows(runs.support)).argmin(-1)
    assert torch.equal(guess, runs.labels)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "run01/test/item01.png",
            r"line 1 of .*run01/class_labels.txt is 'run01/test/item01.png'; expected",
        ),
        (
            "run02/test/item01.png run02/training/class01.png",
            "line 1 of .*; expected 'run01/test/NAME.png",
        ),
        ("run01/test/../../x.png run01/training/class01.png", "line 1 of "),
        (
            "run01/test/item09.png run01/training/class01.png",
            "run01/test/item09.png is named in class_labels.txt",
        ),
        (
            "run01/test/item01.png run01/training/class09.png",
            "names class09.png, which is not in run01/training",
        ),
        ("", "run01/class_labels.txt is empty: get the one-shot runs again"),
    ],
)
def test_wrong_lines_are_named(tmp_path, line, message):
    root = make(tmp_path)
    (root / "run01" / "class_labels.txt").write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        load_runs(root)


def test_damaged_pictures_and_unequal_runs_are_named(tmp_path):
    root = make(tmp_path)
    (root / "run02" / "training" / "class03.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match=r"run02/training/class03\.png is "):
        load_runs(root)
    (root / "run02" / "training" / "class03.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"run02/training/class03\.png is "):
        load_runs(root)
    picture(root / "run02" / "training" / "class03.png", 2, 0)
    picture(root / "run02" / "training" / "class04.png", 3, 0)
    with pytest.raises(UserError, match=r"must have the same number of classes .*; got .*'run02': \(4, 3\)"):
        load_runs(root)


def test_other_folders_and_archives_are_not_runs(tmp_path):
    (tmp_path / "other" / "run01").mkdir(parents=True)
    assert not is_runs(tmp_path / "other")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a/b.png", b"x")
    assert not is_runs(tmp_path / "other.zip")
    assert not is_runs(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"has no run01/class_labels.txt; expected the folder or zip of"):
        load_runs(tmp_path / "other")
