"""The page in Chromium: curves step by step, inside a model, the JSON API's page, all sizes, light and dark."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from browser_support import STROKES, Visitor

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _nothing_in_the_console(visitor: Visitor) -> object:
    yield
    assert visitor.errors() == []


def errors(visitor: Visitor) -> list[float]:
    """The errors that the legend tells, of the first and the second model."""
    return [float(v.text.split()[1]) for v in visitor.all("#curve-legend .value")]


def slide(visitor: Visitor, step: int) -> None:
    """Move the slider to a step with the keyboard."""
    slider = visitor.one("#steps")
    slider.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * step)
    visitor.until(lambda: visitor.text("#step").startswith(f"{step} of"))


def test_curves_step_by_step(visitor: Visitor) -> None:
    visitor.open("watch")
    visitor.until(lambda: len(visitor.all("#curve-legend .value")) == 2)
    assert len(visitor.all("#curve .point")) == 5
    assert len(visitor.all("#curve .line")) == 3  # two models and the curve itself
    before, start = errors(visitor), visitor.one("#curve .line.one").get_attribute("d")
    slide(visitor, 10)
    after = errors(visitor)
    assert all(a < b for a, b in zip(after, before))
    assert visitor.one("#curve .line.one").get_attribute("d") != start
    visitor.until(lambda: "After 10 steps: sine-maml, error" in visitor.one("#watch-live").get_attribute("textContent"))
    points = [p.get_attribute("cx") for p in visitor.all("#curve .point")]
    visitor.click("#another-curve")
    visitor.until(lambda: [p.get_attribute("cx") for p in visitor.all("#curve .point")] != points)


def test_points_by_click_and_by_keyboard(visitor: Visitor) -> None:
    visitor.open("watch", width=360, height=740)
    visitor.until(lambda: len(visitor.all("#curve-legend .value")) == 2)
    visitor.click("#clear-points")
    visitor.until(lambda: not visitor.all("#curve .line"))
    assert "Click into the plot to place a point" in visitor.text("#watch-hint")
    plot = visitor.seen(visitor.one("#curve"))
    ActionChains(visitor.browser).move_to_element_with_offset(plot, 60, -40).click().perform()
    visitor.until(lambda: len(visitor.all("#curve .line")) == 2)
    assert len(visitor.all("#curve .point")) == 1
    visitor.keys(Keys.LEFT, Keys.LEFT, Keys.DOWN, Keys.ENTER)
    visitor.until(lambda: len(visitor.all("#curve .point")) == 2)
    assert visitor.text("#points").split("\n")[1].startswith("−1, −0.5")
    slide(visitor, 10)
    visitor.until(lambda: errors(visitor)[0] < 0.5)
    visitor.point("#points button")
    visitor.until(lambda: len(visitor.all("#curve .point")) == 1)
    visitor.point("#curve .point")
    visitor.until(lambda: not visitor.all("#curve .point"))
    assert visitor.overflow() == 0


def test_playing_goes_to_the_last_step(visitor: Visitor) -> None:
    visitor.open("watch")
    visitor.choose("#most", "5")
    visitor.until(lambda: len(visitor.all("#curve-legend .value")) == 2)
    visitor.click("#play")
    assert visitor.text("#play") == "Pause"
    visitor.until(lambda: visitor.text("#step") == "5 of 5")
    visitor.until(lambda: visitor.text("#play") == "Play")


def test_inside_a_model(visitor: Visitor) -> None:
    visitor.open("inside")
    assert "Do it under Draw" in visitor.text("#inside-hint")
    visitor.click("#tab-draw")
    for box, name in zip(visitor.all("#boxes canvas"), STROKES):
        visitor.draw(box, name)
    visitor.draw(visitor.one("#query canvas"), "cross", 0.9)
    visitor.until(lambda: visitor.best() == "C")
    visitor.click("#tab-inside")
    visitor.until(lambda: len(visitor.all("#matrix tbody td")) == 5)
    assert visitor.text("#matrix tbody th").startswith("1: C")
    nearest = visitor.one("#matrix .nearest")
    assert nearest.text.startswith("▸")
    column = visitor.all("#matrix tbody td").index(nearest)
    assert column == 2
    assert len(visitor.all("#plane .example")) == 5
    assert len(visitor.all("#plane .query")) == 1

    def place(selector: str) -> tuple[float, float]:
        image = visitor.one(f"{selector} image")
        return float(image.get_attribute("x")), float(image.get_attribute("y"))

    def apart(k: int) -> float:
        (x, y), (a, b) = place("#plane .query"), place(f"#plane .example:nth-of-type({k})")
        return (x - a) ** 2 + (y - b) ** 2

    assert min(range(1, 6), key=apart) == 3
    visitor.choose("#measure", "cosines")
    visitor.until(lambda: "Cosine of the angle" in visitor.text("#matrix-what"))
    assert "1.00" in visitor.text("#matrix .nearest") or "0.9" in visitor.text("#matrix .nearest")
    visitor.choose("#inside-model", "characters-maml")
    visitor.until(lambda: "after it has learned the examples" in visitor.text("#inside-what"))


def test_drawings_come_to_the_model_as_large_and_central_as_its_characters(visitor: Visitor) -> None:
    visitor.open()
    for box in visitor.all("#boxes canvas")[:2]:
        visitor.draw(box, "ring")
    visitor.draw(visitor.one("#query canvas"), "tent", 0.4, 0.2)

    def seen(before: str = "") -> tuple[float, float, int, str]:
        """The middle of the ink and its longer side, in pixels of 28, as the model receives them; and the picture."""
        visitor.click("#tab-inside")
        visitor.until(lambda: visitor.one("#matrix tbody img").get_attribute("src") != before)
        url = str(visitor.one("#matrix tbody img").get_attribute("src"))
        ink = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))) > 128
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        long = max(np.ptp(rows), np.ptp(columns)) + 1
        return (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2, int(long), url

    x, y, long, url = seen()
    assert x == pytest.approx(13.5, abs=1)
    assert y == pytest.approx(13.5, abs=1)
    assert 17 <= long <= 20
    visitor.click("#tab-draw")
    visitor.click("#centred")
    x, _, long, _ = seen(url)
    assert x > 17
    assert long < 10


def test_tabs_by_keyboard_and_by_address(visitor: Visitor) -> None:
    visitor.open("watch")
    assert visitor.one("#panel-watch").is_displayed()
    visitor.one("#tab-watch").send_keys(Keys.ARROW_RIGHT)
    assert visitor.one("#panel-inside").is_displayed()
    assert not visitor.one("#panel-watch").is_displayed()
    assert visitor.browser.current_url.endswith("#inside")
    assert visitor.browser.switch_to.active_element.get_attribute("id") == "tab-inside"


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_their_paper_and_nothing_is_cut_off(visitor: Visitor, dark: bool) -> None:
    """Text has the contrast that WCAG asks for (4.5), on a phone and on a wide screen."""
    contrast = """
      const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => v / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const paper = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (!/, 0\\)$|transparent/.test(c)) return c; } return "rgb(255, 255, 255)"; };
      return [...document.querySelectorAll("main *, header *, footer *")]
        .filter((e) => e.checkVisibility() && !e.disabled && !e.closest("svg, [aria-hidden=true], .hidden")
          && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
        .map((e) => { const a = light(getComputedStyle(e).color), b = light(paper(e));
          return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.className + " " + e.textContent.slice(0, 40)]; })
        .filter(([ratio]) => ratio < 4.5)"""
    for width in (360, 1920):
        visitor.open(width=width, dark=dark)
        for view in ("draw", "watch", "inside"):
            visitor.click(f"#tab-{view}")
            assert visitor.overflow() == 0, (view, width)
            assert visitor.browser.execute_script(contrast) == [], (view, width)


def test_the_page_of_the_api_works_offline_and_tries_things(visitor: Visitor) -> None:
    visitor.browser.get(f"{visitor.address}/docs")
    visitor.until(lambda: visitor.one("body").get_attribute("data-ready") == "yes")
    sections = visitor.all(".operation")
    assert len(sections) == 7
    assert "/api/predict" in sections[1].text
    assert "Learn classes from a few examples" in sections[1].text
    visitor.seen(sections[1].find_element("css selector", "summary")).click()
    visitor.seen(sections[1].find_element("css selector", "button")).click()
    visitor.until(lambda: sections[1].find_element("css selector", "pre").text.startswith("200"))
    assert '"probabilities"' in sections[1].find_element("css selector", "pre").text
    assert visitor.overflow() == 0
