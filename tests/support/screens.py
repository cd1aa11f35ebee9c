"""What the tests of the screen share: a screen that is served, a service beside it, and a browser."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from rtface.live.service import Service
from rtface.screen.pages import PAGES
from rtface.screen.rigs import ShownRig
from rtface.screen.serving import Address, Screen, screen_opened
from support.waits import wait_until

BROWSER_PROCESSES = frozenset(
    {"chromedriver", "chromium", "chrome_crashpad_handler", "chrome_crashpad", "cat", "exe", ""}
)
"""What a browser starts and ends as it likes."""


_EVERY_S = 0.05
"""Between two looks at a page: each of them is work for the browser, which has better things to do."""


@contextmanager
def served(
    folder: Path, *services: Service, pages: dict[str, Any] | None = None, control: str | None = None
) -> Iterator[Screen]:
    """Serve a screen for services that are open, or for one at an address that may be there later."""
    controls = [service.control_address for service in services] or [control or "tcp://127.0.0.1:1"]
    rigs = [ShownRig(str(number), f"rig {number}", each) for number, each in enumerate(controls)]
    with screen_opened(rigs, folder, Address(), PAGES if pages is None else pages) as screen:
        yield screen


@dataclass
class Visit:
    """A browser on a screen."""

    browser: webdriver.Chrome
    screen: Screen

    def enter(self, page: str = "live", **params: str) -> None:
        """Come in by a new link, and open a page."""
        self.browser.get(self.screen.new_link())
        self.go(page, **params)

    def go(self, page: str, **params: str) -> None:
        """Open a page of the screen that is open."""
        query = "&".join(f"{name}={value}" for name, value in params.items())
        self.browser.execute_script(
            "location.hash = arguments[0]", f"#/{page}" + (f"?{query}" if query else "")
        )
        self.wait(lambda: self.find(f".page.{page} > *"), f"page {page}")

    def find(self, selector: str) -> WebElement | None:
        """Return the first element, or None."""
        found = self.browser.find_elements(By.CSS_SELECTOR, selector)
        return found[0] if found else None

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements."""
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return the text of the first element; empty where there is none."""
        found = self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector)
        return str(found)

    def wait(self, holds: Callable[[], Any], what: str = "") -> Any:
        """Wait until something holds, and return it; `what` says in a failure what was waited for."""
        last: Any = None

        def held() -> bool:
            nonlocal last
            try:
                last = holds()
            except StaleElementReferenceException:  # it was drawn anew meanwhile
                return False
            return bool(last)

        try:
            wait_until(held, _EVERY_S)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}; {self.said()}; {self.errors()}") from error
        return last

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.browser.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        for key in keys:
            self.browser.switch_to.active_element.send_keys(
                getattr(Keys, key.upper(), key) if len(key) > 1 else key
            )

    def click(self, text: str, selector: str = "button") -> None:
        """Click what says `text`."""

        def found() -> WebElement | None:
            return next(
                (each for each in self.all(selector) if text in each.text and each.is_enabled()), None
            )

        element: WebElement = self.wait(found, f"{selector} {text!r}")
        element.click()

    def said(self) -> list[str]:
        """Return the notices that are shown."""
        return [each.text for each in self.all(".notice")]

    def errors(self) -> list[str]:
        """Return what the browser complained of so far."""
        entries = self.browser.get_log("browser")
        return [json.dumps(entry["message"]) for entry in entries if entry["level"] == "SEVERE"]

    def picture(self, path: Path) -> None:
        """Write what is shown as PNG."""
        self.browser.save_screenshot(str(path))


def axe(visit: Visit) -> list[str]:
    """Return what axe-core finds wrong with what is shown; skip where it is not installed.

    It is the package `axe-core` of npm, sought in the folder that RTFACE_NODE_MODULES names.
    """
    folder = os.environ.get("RTFACE_NODE_MODULES", "")
    script = Path(folder, "axe-core", "axe.min.js")
    if not folder or not script.is_file():
        pytest.skip(
            "axe-core is not on this machine: npm install axe-core, and name node_modules in RTFACE_NODE_MODULES"
        )
    # As a script of the driver's, which the page's policy does not hold for.
    visit.run(f"{script.read_text(encoding='utf-8')}; window.axe = axe;")
    found = visit.browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done, (e) => done({error: String(e)}))"
    )
    assert "error" not in found, found["error"]
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]
