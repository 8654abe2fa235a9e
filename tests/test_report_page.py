"""Figures and the page that holds them."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import torch

from kshot.evaluation.figures import COLOURS, INK, Curve
from kshot.evaluation.plots import adaptation, fits, learning
from kshot.evaluation.plots.task import TaskPicture
from kshot.evaluation.report_page import Section, figure, page, paragraphs, table, task
from kshot.functional import random


def numbers(*shape: int) -> torch.Tensor:
    return random.uniform(random.keys(0, torch.tensor(0), "test"), *shape)


def small_task() -> TaskPicture:
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    p = torch.eye(3)[torch.tensor([0, 0, 1, 2, 2, 2])] * 0.7 + 0.1
    pictures = (numbers(9, 1, 14, 14) * 255).to(torch.uint8)
    return TaskPicture(pictures[:3], torch.tensor([2, 0, 1]), pictures[3:], labels, p, ["alef", "bet & co", "gimel"])


class Outline(HTMLParser):
    """Checks that every tag is closed, and gathers what a page points to."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(given)
        self.ids += [str(given["id"])] if "id" in given else []
        self.links += [str(v) for k, v in attrs if k in ("href", "src", "xlink:href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def charts() -> dict[str, object]:
    x = torch.linspace(-1, 1, 9)
    lines = {"0 steps": Curve(x, x), "1 step": Curve(x, x.sin())}
    fit = fits.Fitted("a", x, x.sin(), torch.stack([x[::3], x[::3].sin()], -1), lines).as_dict()
    curves = {"a": Curve([0, 1], [20, 80]), "b": Curve([0, 1], [20, 60])}
    measured = adaptation.with_intervals({"a": numbers(4, 30), "b": numbers(4, 30) + 1})
    return {
        "learning": learning.draw(
            {"x": "step", "y": "accuracy", "curves": [learning.as_dict(n, c) for n, c in curves.items()]}
        ),
        "adaptation": adaptation.draw({"y": "accuracy (%)", "curves": measured}),
        "sine": fits.draw({"panels": [fit, fit]}),
    }


@pytest.mark.parametrize("name", ["learning", "adaptation", "sine"])
def test_figures_can_be_saved_as_pictures(name: str) -> None:
    stream = io.BytesIO()
    charts()[name].savefig(stream, format="png")  # type: ignore[attr-defined]
    assert stream.getvalue().startswith(b"\x89PNG")


def test_lines_differ_without_colour() -> None:
    lines = charts()["learning"].axes[0].lines  # type: ignore[attr-defined]
    assert (
        len({(line.get_linestyle(), str(line.get_dashes() if hasattr(line, "get_dashes") else "")) for line in lines})
        == 2
    )
    named = [line for line in charts()["adaptation"].axes[0].lines if not line.get_label().startswith("_")]  # type: ignore[attr-defined]
    assert len({line.get_marker() for line in named}) == 2


def test_the_adaptation_curve_shows_means_and_intervals() -> None:
    values = numbers(4, 30)
    axes = adaptation.draw({"y": "accuracy (%)", "curves": adaptation.with_intervals({"a": values})}).axes[0]
    assert axes.lines[0].get_ydata() == pytest.approx(values.mean(1).tolist())
    assert len(axes.collections) == 1


def test_an_inline_figure_follows_the_page_and_keeps_its_text() -> None:
    drawn = figure(charts()["learning"], "learning", 'A "chart"', "caption & more")  # type: ignore[arg-type]
    assert INK not in drawn
    assert COLOURS[0] not in drawn
    assert "var(--series-0)" in drawn
    assert "currentColor" in drawn
    assert ">accuracy<" in drawn
    assert "A &quot;chart&quot;" in drawn
    ET.fromstring(drawn[drawn.index("<svg") : drawn.index("</svg>") + 6])


def test_a_figure_is_drawn_the_same_twice() -> None:
    first, second = (figure(charts()["sine"], "sine", "x") for _ in range(2))  # type: ignore[arg-type]
    assert first == second


def test_a_task_shows_examples_queries_and_mistakes() -> None:
    picture = small_task()
    assert picture.mistakes == 1
    drawn = task(picture)
    assert drawn.count('class="tile example"') == 3
    assert drawn.count('class="tile right"') == 5
    assert drawn.count('class="tile wrong"') == 1
    assert "taken for 3" in drawn  # a mistake is told in words as well as by its frame
    assert "bet &amp; co" in drawn
    assert task(picture, per_class=1).count('class="tile wrong"') == 1  # mistakes come first


def test_a_page_loads_nothing_and_is_well_formed() -> None:
    sections = [
        Section("Table", "Some `code` & text.\n\nMore.", table(["a", "b"], [["x", "1 < 2"]], "note")),
        Section("Task", "", task(small_task())),
        *[Section(name, "", figure(chart, name, name)) for name, chart in charts().items()],  # type: ignore[arg-type]
    ]
    text = page("A & B", "Lead.", sections, "Foot.")
    outline = Outline(text)
    assert len(outline.ids) == len(set(outline.ids))
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in outline.links)
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)
    assert all(image["alt"] for image in outline.images)
    assert "<script" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert "<title>A &amp; B</title>" in text


def test_paragraphs_escape_and_know_code() -> None:
    assert (
        paragraphs("a <b>\n\n`c` d", "lead") == '<p class="lead">a &lt;b&gt;</p>\n<p class="lead"><code>c</code> d</p>'
    )
