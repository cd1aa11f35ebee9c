"""Every page of the navigation, dark and light, and every dialog of the frame, as axe-core sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from screen.conftest import rig
from selenium import webdriver
from support.fake_service import FakeService
from support.screen_loops import deciding_rig
from support.screens import Visit, axe, served

from rtface.live.service import Service
from rtface.screen import pages
from rtface.screen.app import STATIC
from rtface.screen.rigs import ShownRig
from rtface.screen.serving import Address, screen_opened

NAMES = re.findall(r'^  \["(\w+)", "', (STATIC / "app.js").read_text(encoding="utf-8"), re.MULTILINE)
THEMES = ["dark", "light"]


@pytest.fixture
def silent() -> Iterator[FakeService]:
    made = FakeService()
    made.answer = lambda request: None
    yield made
    made.close()


def show(visit: Visit, theme: str) -> None:
    visit.run("document.documentElement.dataset.theme = arguments[0]", theme)


def wrong(visit: Visit) -> list[str]:
    """What is wrong, dark and light."""
    found = []
    for theme in THEMES:
        show(visit, theme)
        found += [f"{theme}: {each}" for each in axe(visit)]
    return found


def test_all_pages_are_looked_at() -> None:
    assert NAMES == ["live", "loop", "label", "teach", "sessions", "newrig"]


def test_every_page_of_a_rig_that_runs(browser: webdriver.Chrome, tmp_path: Path) -> None:
    with Service(rig()) as service, served(tmp_path, service) as screen:
        visit = Visit(browser, screen)
        visit.enter()
        visit.wait(lambda: visit.text("#bar .state") == "No loop", "the rig")
        found = {}
        for page in NAMES:
            visit.go(page)
            found[page] = wrong(visit)
        said = [f"{page}, {each}" for page, all_of in found.items() for each in all_of]
    assert not said, "\n".join(said)


def test_every_page_without_a_service(visit_alone: Visit) -> None:
    found = {}
    for page in NAMES:
        visit_alone.go(page)
        found[page] = wrong(visit_alone)
    said = [f"{page}, {each}" for page, all_of in found.items() for each in all_of]
    assert not said, "\n".join(said)


@pytest.fixture
def visit_alone(browser: webdriver.Chrome, silent: FakeService, tmp_path: Path) -> Iterator[Visit]:
    rigs = [ShownRig("a", "left", silent.address), ShownRig("b", "right", "tcp://127.0.0.1:1")]
    with screen_opened(rigs, tmp_path, Address(), pages.PAGES) as screen:
        visit = Visit(browser, screen)
        visit.enter("label")
        yield visit


def test_the_dialogs_and_the_alarm(visit_alone: Visit) -> None:
    visit = visit_alone
    visit.press("?")
    visit.wait(lambda: visit.find("dialog[open]"), "the keys")
    assert not (found := wrong(visit)), "\n".join(found)
    visit.click("Close")
    visit.click("Guest link")
    visit.wait(lambda: visit.find("dialog[open] input"), "the link")
    assert not (found := wrong(visit)), "\n".join(found)
    visit.press("SPACE")
    visit.wait(lambda: visit.text("dialog.alarm h1") == "Use the key", "the alarm")
    assert not (found := wrong(visit)), "\n".join(found)


def test_a_guest(browser: webdriver.Chrome, silent: FakeService, tmp_path: Path) -> None:
    with screen_opened([ShownRig("a", "left", silent.address)], tmp_path, Address(), pages.PAGES) as screen:
        visit = Visit(browser, screen)
        browser.get(screen.new_link(read_only=True))
        visit.go("loop")
        assert not (found := wrong(visit)), "\n".join(found)


def test_the_loop_with_findings_events_and_light(
    browser: webdriver.Chrome, test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Service(deciding_rig(test_engine, tmp_path, monkeypatch)) as service,
        served(tmp_path, service) as screen,
    ):
        visit = Visit(browser, screen)
        visit.enter("loop")
        visit.wait(lambda: visit.find("[data-rule=often]"), "the rules")
        visit.run("document.getElementById('arming-test').click()")
        visit.wait(lambda: visit.find(".finding"), "the findings")
        visit.run("window.dispatchEvent(new Event('resize'))")
        visit.press("m", "a", "ENTER")
        visit.wait(lambda: visit.find(".event"), "an event")
        visit.run("document.querySelector('.event').click()")
        assert not (found := wrong(visit)), "\n".join(found)
