"""Tables of sentences: what is read, what is left out, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoder_support import TABLE
from kshot.data import Sentences, load
from kshot.data.problems import Problems
from kshot.data.sentences import Line, read_labelled, read_texts
from kshot.errors import UserError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_becomes_classes(tmp_path: Path) -> None:
    data = load(write(tmp_path / "mail.csv", TABLE), "all")
    assert isinstance(data, Sentences)
    assert data.names == ("delivery", "refund")
    assert data.offsets.tolist() == [0, 2, 4]
    assert data.texts[2] == "i want my money back"
    assert data.split_note == "all 2 classes of mail.csv"


def test_columns_are_known_by_name_in_any_order_and_quotes_hold_commas_and_lines(tmp_path: Path) -> None:
    table = 'id,Class,Sentence\n1,a,"one, two\nthree"\n\n2,b,vier\n'
    assert read_labelled(write(tmp_path / "t.csv", table)) == [Line(3, "one, two\nthree", "a"), Line(5, "vier", "b")]
    tabs = write(tmp_path / "t.tsv", "text\tlabel\nGrüße, alle\tgreeting\n")
    assert read_labelled(tabs) == [Line(2, "Grüße, alle", "greeting")]


def test_texts_of_a_file(tmp_path: Path) -> None:
    assert read_texts(write(tmp_path / "t.txt", "\ufefffirst\n\n  second, too  \n")) == [
        Line(1, "first", ""),
        Line(3, "second, too", ""),
    ]
    assert read_texts(write(tmp_path / "t.csv", TABLE))[0] == Line(2, "where is my parcel", "")


def test_splits_share_no_class(tmp_path: Path) -> None:
    table = "text,label\n" + "".join(f"sentence {i} {j},class {i}\n" for i in range(20) for j in range(3))
    path = write(tmp_path / "t.csv", table)
    parts = [set(load(path, split).names) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [13, 3, 4]
    assert len(set.union(*parts)) == 20


def test_repeated_sentences_are_left_out_so_that_no_query_is_an_example(tmp_path: Path) -> None:
    data = load(write(tmp_path / "t.csv", TABLE + "Where is  my parcel,delivery\n"), "all")
    assert len(data) == 4
    assert "1 repeated sentence left out" in data.split_note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("where is it,delivery\n", "the first line of .* is 'where is it,delivery'; expected a first line that names"),
        ("text,label,label\na,b,c\n", "it must name one label"),
        ("", "the first line of .* is 'nothing'"),
        ("text,label\n", "holds no labelled sentence"),
        ("text,label\na,\n", "line 2 of .* has no label: complete the line"),
        ("text,label\n,a\n", "line 2 of .* has no text"),
        (TABLE + "i want my money back,delivery\n", "lines 4 and 6 of .* are the same sentence with the labels"),
        (TABLE + "it is late,Delivery\n", "'Delivery', which is 'delivery' but for case"),
        (TABLE + "one alone,lonely\n", "the class 'lonely' of .* has 1 usable example but needs at least 2"),
    ],
)
def test_mistakes_in_a_table_are_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(write(tmp_path / "t.csv", text), "all")


def test_bad_lines_can_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE + "one alone,lonely\nno label,\n")
    data = load(path, "all", skip_bad=True)
    assert data.names == ("delivery", "refund")
    assert len(data.skipped) == 2
    assert "2 unusable files or folders left out" in data.split_note
    problems = Problems(skip=True)
    assert len(read_labelled(path, problems)) == 5
    assert len(problems.messages) == 1


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("text,label\nGrüße,a\n".encode("latin-1"))
    with pytest.raises(UserError, match="cannot be read as text"):
        load(tmp_path / "latin.csv", "all")
    with pytest.raises(UserError, match="does not exist"):
        read_texts(tmp_path / "none.txt")
    with pytest.raises(UserError, match="holds no sentence"):
        read_texts(write(tmp_path / "blank.txt", "\n \n"))
