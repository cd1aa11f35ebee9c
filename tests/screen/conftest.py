"""A browser for the tests of the pages, and a rig that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the pages need the extra `screen`")
pytest.importorskip("selenium", reason="the tests of the pages need selenium")

from selenium import webdriver
from support.leftovers import nothing_left_behind
from support.screens import BROWSER_PROCESSES, Visit, served

from bench.screen.browser import CHROMIUM, DRIVER, new_browser
from rtface.config import PicturesSettings, PublishSettings, Rig, SimulatedCameraSettings
from rtface.live.service import Service


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """As for all tests, but for the processes of the browser, which lives for a file of tests."""
    with nothing_left_behind(BROWSER_PROCESSES):
        yield


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A headless browser; tests of pages skip where Debian's chromium and chromium-driver are not installed.

    It lives no longer than a file of tests: what other tests leave behind is looked at while it would start and end processes.
    """
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip("no chromium and chromedriver on this machine (Debian: chromium, chromium-driver)")
    browser = new_browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The browser, without cookies and what earlier tests left."""
    chromium.get_log("browser")
    yield chromium
    chromium.get("about:blank")
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTFACE_CACHE", str(tmp_path / "cache"))


def rig(**changes: object) -> Rig:
    """A rig with a simulated camera at free addresses, which publishes pictures."""
    free = "tcp://127.0.0.1:*"
    values = {
        "camera": SimulatedCameraSettings(width=320, height=240, rate_hz=20.0, seed=0),
        "publish": PublishSettings(keypoints=free, control=free, pictures=PicturesSettings(address=free)),
    } | changes
    return Rig.model_validate(values)


@pytest.fixture
def service() -> Iterator[Service]:
    """A service with a simulated camera, and no loop."""
    with Service(rig()) as opened:
        yield opened


@pytest.fixture
def visit(browser: webdriver.Chrome, service: Service, tmp_path: Path) -> Iterator[Visit]:
    """A browser and a screen for that service, whose folder is `tmp_path`."""
    with served(tmp_path, service) as screen:
        yield Visit(browser, screen)
