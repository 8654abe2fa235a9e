"""Figures and the files of their numbers: what is stored is enough to draw the same bytes again."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest

from kshot.errors import UserError
from kshot.evaluation.figures import COLOURS, DPI, dot, rendered, style
from kshot.evaluation.plots import PLOTS, Asked, Subject
from kshot.evaluation.plots.document import find, read, save
from kshot.evaluation.plots.make import forget, make, names_for, redraw
from plot_support import curve_subject, subject

FEW = Asked(episodes=3, steps=2, shots=(1, 2), curves=2)
METRICS = """{"step": 1, "accuracy": 20.0, "seconds": 1.0}
{"step": 2, "val_accuracy": 30.0, "val_ci95": 2.0, "seconds": 2.0}
"""
METHODS = {
    "adaptation": ["maml"],
    "memory": ["mann"],
    "gates": ["lstm-meta-learner"],
    "compare": ["nearest", "protonet"],
}


def subjects_for(name: str, folder: Path) -> list[Subject]:
    """The methods of which a figure can be made."""
    (folder / "metrics.jsonl").write_text(METRICS)
    found = [curve_subject("maml")] if name == "fits" else [subject(n) for n in METHODS.get(name, ["protonet"])]
    found[0].metrics = folder / "metrics.jsonl"
    return found


@pytest.mark.parametrize("name", PLOTS)
def test_the_same_bytes_are_drawn_from_the_stored_numbers_alone(name: str, tmp_path: Path) -> None:
    [made] = make(subjects_for(name, tmp_path), FEW, tmp_path / "f", names=[name], forms=["svg"])
    assert made.data == find(tmp_path / "f", name)
    before = {file: file.read_bytes() for file in made.files}
    assert [file.name for file in before] == [f"{name}.svg"]
    for file in before:
        file.unlink()
    [again] = redraw(tmp_path / "f", forms=["svg"])
    assert {file: file.read_bytes() for file in again.files} == before
    text = made.files[0].read_text(encoding="utf-8")
    assert read(made.data)["title"].split(":")[0].split("(")[0].strip()[:12] in text  # type: ignore[arg-type]
    assert "dc:date" not in text
    assert "nan" not in made.data.read_text(errors="ignore").lower() or made.data.suffix == ".npz"  # type: ignore[union-attr]


def test_png_and_pdf_have_no_date_either(tmp_path: Path) -> None:
    made = make(subjects_for("learning", tmp_path), FEW, tmp_path, names=["learning"], forms=["png", "pdf"])[0]
    first = [file.read_bytes() for file in made.files]
    assert first[0].startswith(b"\x89PNG")
    assert first[1].startswith(b"%PDF")
    assert b"CreationDate" not in first[1]
    assert [file.read_bytes() for file in redraw(tmp_path, ["learning"], ["png", "pdf"])[0].files] == first


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    one = subject("protonet")
    one.stamp = "weights"
    choice = {"data": None, "way": "3"}

    def plotted(**more: object) -> bool:
        return make([one], FEW, tmp_path, names=["similarity"], **{"choice": choice, **more})[0].measured  # type: ignore[arg-type]

    assert plotted()
    assert not plotted()
    assert plotted(choice={"data": None, "way": "5"})
    assert plotted()
    assert plotted(again=True)
    one.stamp = "other weights"
    assert plotted()
    (tmp_path / "similarity.json").write_text("{")
    assert plotted()
    assert not make([one], Asked(episodes=9), tmp_path, names=["similarity"], choice=choice)[0].measured, (
        "episodes are no matter to it"
    )


def test_a_document_comes_back_as_it_was(tmp_path: Path) -> None:
    path = save(tmp_path, "task", {"a": 1.5, "b": [math.nan, math.inf, 2], "c": {"d": ("x", None)}})
    assert path.name == "task.json"
    assert read(path) == {"figure": "task", "format": 1, "a": 1.5, "b": [None, None, 2], "c": {"d": ["x", None]}}
    pictures = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = save(tmp_path, "task", {"a": "é", "pictures": pictures})
    assert path.name == "task.npz"
    assert not (tmp_path / "task.json").exists(), "one file for each figure"
    found = read(path)
    assert found["a"] == "é"
    assert np.array_equal(found["pictures"], pictures)
    assert path.read_bytes() == save(tmp_path, "task", {"a": "é", "pictures": pictures}).read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("task.json", b"{"),
        ("task.json", b"[]"),
        ("task.json", b'{"figure": "gates", "format": 1}'),
        ("task.json", b'{"figure": "task", "format": 99}'),
        ("task.npz", b"PK\x03\x04 no archive"),
        ("task.npz", b""),
    ],
)
def test_damaged_numbers_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} does not hold the numbers of a figure"):
        redraw(tmp_path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, document=np.array([object()], dtype=object))
    (tmp_path / "task.npz").write_bytes(stream.getvalue())
    with pytest.raises(UserError, match="allow_pickle=False"):
        redraw(tmp_path)


def test_numbers_that_lack_something_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "similarity", {"title": "x"})
    with pytest.raises(UserError, match="lacks what the figure similarity needs"):
        redraw(tmp_path)
    with pytest.raises(UserError, match="no numbers of the figure task"):
        redraw(tmp_path, ["task"])
    with pytest.raises(UserError, match="no numbers of figures"):
        redraw(tmp_path / "empty")


def test_forgetting_removes_figures_and_nothing_else(tmp_path: Path) -> None:
    make(subjects_for("learning", tmp_path), FEW, tmp_path / "f", names=["learning"])
    (tmp_path / "f" / "mine.txt").write_text("x")
    forget(tmp_path / "f")
    assert [p.name for p in (tmp_path / "f").iterdir()] == ["mine.txt"]
    (tmp_path / "f" / "mine.txt").unlink()
    forget(tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_series_differ_without_colour_and_groups_of_points_in_colour_and_shape() -> None:
    assert len({str(style(i)["linestyle"]) for i in range(len(COLOURS))}) == len(COLOURS)
    assert len({(dot(i)["marker"], dot(i)["color"]) for i in range(60)}) == 60
    assert len({dot(i)["marker"] for i in range(10)}) == 10


def test_a_figure_is_drawn_for_one_run_or_for_several() -> None:
    assert set(names_for(1)) | set(names_for(2)) == set(PLOTS)
    assert "compare" not in names_for(1)
    assert {"compare", "learning", "way-shot"} <= set(names_for(2))


def test_an_unknown_form_is_refused() -> None:
    from matplotlib.figure import Figure

    with pytest.raises(UserError, match="svg, png, pdf; got 'bmp'"):
        rendered(Figure(), "bmp", "x")
    assert DPI >= 150
