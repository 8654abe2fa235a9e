"""Chromium, steered through chromedriver: strokes, keys, what stands on the page."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 30  # seconds
RING = [(0.5 + 0.28 * math.cos(i * math.pi / 6), 0.5 + 0.28 * math.sin(i * math.pi / 6)) for i in range(13)]
STROKES = {
    "ring": [RING],
    "line": [[(0.5, 0.2), (0.5, 0.8)]],
    "cross": [[(0.25, 0.25), (0.75, 0.75)], [(0.75, 0.25), (0.25, 0.75)]],
    "zed": [[(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]],
    "tent": [[(0.5, 0.2), (0.2, 0.8), (0.8, 0.8), (0.5, 0.2)]],
}


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own; the test is skipped without one (an error where KSHOT_REQUIRE_BROWSER=1)."""
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        what = "needs Chromium and chromedriver (Debian: apt-get install chromium chromium-driver)"
        if os.environ.get("KSHOT_REQUIRE_BROWSER") == "1":
            pytest.fail(f"KSHOT_REQUIRE_BROWSER=1, but the test {what}")
        pytest.skip(what)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=Service(driver))
        try:
            yield browser
        finally:
            browser.quit()


class Visitor:
    """Somebody at the page."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser, self.address = browser, address

    def open(self, view: str = "draw", *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """The page, anew, in a window of that size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        self.browser.get("about:blank")
        self.browser.get(f"{self.address}/#{view}")
        self.until(lambda: self.one("body").get_attribute("data-ready") == "yes")

    def until(self, so: Callable[[], object]) -> None:
        """Wait until something is so; elements may be replaced meanwhile."""

        def now(_: object) -> bool:
            with suppress(StaleElementReferenceException):
                return bool(so())
            return False

        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(now)

    def one(self, selector: str) -> WebElement:
        """The first element."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """All elements."""
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """The visible text of an element."""
        return self.one(selector).text.replace("\u00a0", " ")

    def click(self, selector: str) -> None:
        """Click an element."""
        self.seen(self.one(selector)).click()

    def point(self, selector: str) -> None:
        """Click the middle of an element that may be drawn anew at any time."""
        script = """const e = document.querySelector(arguments[0]);
            e.scrollIntoView({block: "center"});
            const box = e.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];"""
        x, y = self.browser.execute_script(script, selector)
        actions = ActionBuilder(self.browser)
        actions.pointer_action.move_to_location(x, y).click()
        actions.perform()

    def choose(self, selector: str, value: str) -> None:
        """Choose an option."""
        Select(self.one(selector)).select_by_value(value)

    def seen(self, element: WebElement) -> WebElement:
        """The element, scrolled into view."""
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        return element

    def draw(self, box: WebElement, sign: str, size: float = 1.0, shift: float = 0.0) -> None:
        """Draw a sign with the mouse."""
        side = self.seen(box).size["width"]
        actions = ActionChains(self.browser, duration=4)
        for stroke in STROKES[sign]:
            places = [(side * (size * (x - 0.5) + shift), side * size * (y - 0.5)) for x, y in stroke]
            actions.move_to_element_with_offset(box, *places[0]).click_and_hold()
            for place in places[1:]:
                actions.move_to_element_with_offset(box, *place)
            actions.release()
        actions.perform()

    def touch(self, box: WebElement, sign: str) -> None:
        """Draw a sign with a finger."""
        rect = self.browser.execute_script(
            "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width]", self.seen(box)
        )

        def send(kind: str, *place: float) -> None:
            points = [{"x": rect[0] + place[0] * rect[2], "y": rect[1] + place[1] * rect[2]}] if place else []
            self.browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        for first, *others in STROKES[sign]:
            send("touchStart", *first)
            for place in others:
                send("touchMove", *place)
            send("touchEnd")

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        actions = ActionChains(self.browser)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def bars(self, number: int = 0) -> dict[str, str]:
        """The bars of an answer: {"A": "97 %"}."""
        script = """return [...document.querySelectorAll("#answers .answer")[arguments[0]].querySelectorAll("li")].map(
            (li) => [li.querySelector(".name").textContent, li.querySelector(".value").textContent])"""
        rows: list[list[str]] = self.browser.execute_script(script, number)
        return {name: value.replace("\u00a0", " ") for name, value in rows}

    def best(self, number: int = 0) -> str:
        """The class with the longest bar, which must be the one that is marked; "" while there is none."""
        script = """const answer = document.querySelectorAll("#answers .answer")[arguments[0]];
            const rows = [...answer.querySelectorAll("li")];
            const width = (li) => parseFloat(li.querySelector(".bar").style.width) || 0;
            const marked = rows.filter((li) => li.classList.contains("best"));
            const longest = rows.reduce((a, b) => (width(b) > width(a) ? b : a), rows[0]);
            return marked.length === 1 && marked[0] === longest ? longest.querySelector(".name").textContent : "";"""
        return str(self.browser.execute_script(script, number))

    def errors(self) -> list[str]:
        """What the browser's console complains about since the last time."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.browser.execute_script(script))

    def shot(self, path: Path) -> Path:
        """A picture of the whole page."""
        size = self.browser.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
        whole = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", whole)
        self.browser.save_screenshot(str(path))
        return path
