"""The page in Chromium: drawing, bars, examples and classes, two models, tasks from data, uploads."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from browser_support import STROKES, Visitor
from serve_support import sign

pytestmark = pytest.mark.browser

LETTERS = dict(zip("ABCDE", STROKES))
QUERY = "#query canvas"


@pytest.fixture(autouse=True)
def _nothing_in_the_console(visitor: Visitor) -> object:
    yield
    assert visitor.errors() == []


def drawn(visitor: Visitor, count: int = 5) -> None:
    """One example in each of the first boxes."""
    for box, name in zip(visitor.all("#boxes canvas")[:count], STROKES):
        visitor.draw(box, name)


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (360, 740)])
def test_five_signs_and_a_query(visitor: Visitor, width: int, height: int) -> None:
    visitor.open(width=width, height=height)
    assert "Draw one example in each box" in visitor.text("#hint")
    assert visitor.bars() == dict.fromkeys("ABCDE", "–")
    drawn(visitor)
    assert "Now draw one of them again" in visitor.text("#hint")
    for letter, name in LETTERS.items():
        if visitor.text("#erase") and letter != "A":
            visitor.click("#erase")
        visitor.draw(visitor.one(QUERY), name, 0.8, 0.06)  # smaller, and beside the middle
        visitor.until(lambda letter=letter: visitor.best() == letter)
    shares = [p for p in visitor.bars().values() if not p.startswith("<")]
    assert shares, "at least one class has more than 1 %"
    assert "Decided by the one example of E." in visitor.text(".reason")
    assert visitor.text(".decided .mark") == "decided"
    assert visitor.one(".decided canvas").get_attribute("aria-label") == "Example 1 of E, 1 stroke"
    assert "ms" in visitor.text(".time")
    visitor.until(lambda: "characters: E" in visitor.one("#live").get_attribute("textContent"))
    assert visitor.overflow() == 0


def test_what_is_missing_is_a_hint_and_no_error(visitor: Visitor) -> None:
    visitor.open()
    visitor.draw(visitor.one("#boxes canvas"), "ring")
    assert "One class has an example" in visitor.text("#hint")
    visitor.draw(visitor.one(QUERY), "ring")
    assert "One class has an example" in visitor.text("#hint")
    visitor.draw(visitor.all("#boxes canvas")[1], "line")
    visitor.until(lambda: visitor.best() == "A")
    assert visitor.text("#hint") == "C, D, E have no example yet and are left out."
    assert visitor.bars()["C"] == "–"
    visitor.click("#erase")
    assert "Now draw one of them again" in visitor.text("#hint")
    assert set(visitor.bars().values()) == {"–"}
    visitor.click("#restart")
    assert "Draw one example in each box" in visitor.text("#hint")


def test_by_keyboard_alone(visitor: Visitor) -> None:
    """Boxes are reached by Tab; the pen moves by arrows, aslant by End, and lifts by Space."""
    visitor.open(width=1000)
    down, up = " ", " "

    def move(key: str, times: int) -> list[str]:
        return [key] * times

    visitor.browser.execute_script("document.querySelector('#boxes canvas').focus()")
    visitor.keys(*move(Keys.UP, 4), down, *move(Keys.DOWN, 8), up)  # a line
    assert visitor.browser.switch_to.active_element.get_attribute("aria-label") == "Example 1 of A, 1 stroke"
    while visitor.browser.switch_to.active_element.get_attribute("aria-label") != "Example 1 of B, empty":
        visitor.keys(Keys.TAB)
    aslant = [*move(Keys.HOME, 4), down, *move(Keys.PAGE_DOWN, 8), up, *move(Keys.UP, 8), down, *move(Keys.END, 8), up]
    visitor.keys(*aslant)  # a cross
    visitor.browser.execute_script("document.querySelector('#query canvas').focus()")
    visitor.keys(*aslant)
    visitor.until(lambda: visitor.best() == "B")
    visitor.keys(Keys.BACKSPACE, Keys.BACKSPACE)
    assert "Now draw one of them again" in visitor.text("#hint")
    visitor.keys(*move(Keys.UP, 4), down, *move(Keys.DOWN, 8), up)
    visitor.until(lambda: visitor.best() == "A")
    visitor.keys(Keys.DELETE)
    assert visitor.one(QUERY).get_attribute("aria-label") == "Your drawing, empty"


def test_more_examples_classes_and_names(visitor: Visitor) -> None:
    visitor.open()
    drawn(visitor, 2)
    visitor.click("#boxes .card:nth-child(2) footer .quiet")  # + Example
    boxes = visitor.all("#boxes .card:nth-child(2) canvas")
    assert len(boxes) == 2
    visitor.draw(boxes[1], "tent")
    name = visitor.one("#boxes .card:nth-child(2) .class-name")
    name.clear()
    name.send_keys("tents")
    visitor.click(".add-class")
    assert len(visitor.all("#boxes .card")) == 6
    visitor.draw(visitor.all("#boxes canvas")[-1], "cross")
    visitor.draw(visitor.one(QUERY), "tent")
    visitor.until(lambda: visitor.best() == "tents")
    visitor.until(lambda: "Decided by example 2 of tents: without it" in visitor.text(".reason"))
    visitor.click("#erase")
    visitor.draw(visitor.one(QUERY), "cross")
    visitor.until(lambda: visitor.best() == "B")  # B was free again, since it had become tents
    visitor.click("[aria-label='Remove Example 2 of tents']")
    assert len(visitor.all("#boxes .card:nth-child(2) canvas")) == 1
    while len(visitor.all("#boxes .card")) > 2:
        visitor.seen(visitor.all("[aria-label^='Remove class']")[-1]).click()
    visitor.until(lambda: set(visitor.bars()) == {"A", "tents"})
    assert not visitor.one("[aria-label='Remove class A']").is_enabled()  # two classes are the least
    second = visitor.one("#boxes .card:nth-child(2) .class-name")
    second.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE)
    assert visitor.text("#hint") == "A class has no name. Give it one."
    second.send_keys("A")
    assert visitor.text("#hint") == "Two classes are called A. Rename one."
    second.send_keys(Keys.TAB)
    assert second.get_attribute("value") == "A 2"


def test_with_a_finger_and_the_page_stays_where_it_is(visitor: Visitor) -> None:
    visitor.open(width=360, height=740)
    boxes = visitor.all("#boxes canvas")
    visitor.touch(boxes[0], "ring")
    visitor.touch(boxes[1], "cross")
    query = visitor.one(QUERY)
    visitor.touch(query, "line")
    visitor.until(visitor.best)
    visitor.seen(query)
    place = visitor.browser.execute_script("return scrollY")
    visitor.touch(query, "line")
    assert visitor.browser.execute_script("return scrollY") == place
    assert query.get_attribute("aria-label") == "Your drawing, 2 strokes"
    visitor.click("#erase")
    visitor.touch(query, "cross")
    visitor.until(lambda: visitor.best() == "B")


def test_undo_and_erase(visitor: Visitor) -> None:
    visitor.open()
    box = visitor.one("#boxes canvas")
    visitor.draw(box, "cross")
    assert box.get_attribute("aria-label") == "Example 1 of A, 2 strokes"
    visitor.click("[aria-label='Undo Example 1 of A']")
    assert box.get_attribute("aria-label") == "Example 1 of A, 1 stroke"
    visitor.draw(box, "ring")
    visitor.click("[aria-label='Erase Example 1 of A']")
    assert box.get_attribute("aria-label") == "Example 1 of A, empty"
    ink = "const c = arguments[0]; return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v)"
    assert not visitor.browser.execute_script(ink, box)


def test_two_models_side_by_side_on_the_same_drawing(visitor: Visitor) -> None:
    visitor.open()
    drawn(visitor)
    visitor.choose("#beside", "nearest")
    visitor.draw(visitor.one(QUERY), "zed")
    visitor.until(lambda: visitor.best(0) == visitor.best(1) == "D")
    headings = [h.text.replace("\n", " ") for h in visitor.all(".answer h3")]
    assert headings == ["1 characters", "2 nearest"]
    left, right = (a.rect for a in visitor.all(".answer"))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert visitor.text(".decided .mark") == "◆ 1 + 2"
    visitor.choose("#beside", "characters-maml")
    visitor.click(".add-class")
    visitor.draw(visitor.all("#boxes canvas")[-1], "line", 0.4)
    visitor.until(
        lambda: "characters-maml was made for 5 classes, and these are 6" in visitor.text("#answers .problem")
    )
    assert visitor.best(0) == "D"  # the other one goes on


def test_a_task_from_data(visitor: Visitor) -> None:
    visitor.open()
    visitor.click("details.panel summary")
    names = [o.text for o in visitor.all("#data option")]
    assert names[0].startswith("glyphs")
    visitor.one("#shot").clear()
    visitor.one("#shot").send_keys("2")
    visitor.click("#load-button")
    visitor.until(lambda: "right (characters)" in visitor.text("#strip-score"))
    assert len(visitor.all("#boxes .card")) == 5
    assert len(visitor.all("#boxes canvas")) == 10
    right, _, count, *_ = visitor.text("#strip-score").split()
    assert count == "10"
    assert int(right) >= 7
    pictures = visitor.all("#strip-pictures button")
    visitor.seen(pictures[3]).click()
    visitor.until(lambda: visitor.all("#strip-pictures button")[3].get_attribute("aria-pressed") == "true")
    visitor.until(lambda: "That is right." in visitor.text(".reason") or "It is " in visitor.text(".reason"))
    marks = {b.get_attribute("aria-label").split(", ")[-1][:9] for b in visitor.all("#strip-pictures button")}
    assert "right" in marks
    first = visitor.one(".class-name").get_attribute("value")
    visitor.click("#load-button")
    visitor.until(lambda: visitor.one(".class-name").get_attribute("value") != first)


def test_own_pictures(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open()
    for name, letter in (("cross", "A"), ("tent", "B")):
        for i in range(2):
            sign(name, i, 300, 18).convert("RGB").save(tmp_path / f"{name}{i}.jpg")
        files = visitor.one(f"[aria-label='Class {letter}'] input[type=file]")
        files.send_keys("\n".join(str(tmp_path / f"{name}{i}.jpg") for i in range(2)))
        visitor.until(lambda letter=letter: len(visitor.all(f"[aria-label='Class {letter}'] canvas")) == 2)
    sign("tent", 3, 400, 22).save(tmp_path / "query.png")
    visitor.one("#query-files").send_keys(str(tmp_path / "query.png"))
    visitor.until(lambda: visitor.best() == "B")
    assert visitor.one(QUERY).get_attribute("aria-label") == "Your drawing, a picture"
    (tmp_path / "broken.png").write_bytes(b"no picture")
    visitor.one("#query-files").send_keys(str(tmp_path / "broken.png"))
    visitor.until(lambda: "broken.png: The picture is not a picture of a known format" in visitor.text("#note"))
    visitor.errors()  # the browser notes an answer of 422
    visitor.draw(visitor.one(QUERY), "ring")
    visitor.until(lambda: "Erase it first" in visitor.text("#note"))


def test_a_server_that_is_gone_is_said(visitor: Visitor) -> None:
    visitor.open()
    drawn(visitor, 2)
    visitor.browser.execute_script("window.fetch = () => Promise.reject(new TypeError('gone'))")
    visitor.draw(visitor.one(QUERY), "ring")
    visitor.until(lambda: "Is kshot serve still running?" in visitor.text(".answer .problem"))
