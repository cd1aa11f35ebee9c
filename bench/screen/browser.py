"""Debian's Chromium without a window: for the tests of the pages, their pictures in the docs, and what is measured on them."""

from __future__ import annotations

from pathlib import Path

from selenium import webdriver

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")


def new_browser(profile: Path, width: int = 1280, height: int = 800) -> webdriver.Chrome:
    """Return a headless browser that reaches this machine alone.

    Parameters
    ----------
    profile : Path
        An empty folder that is its own.
    width, height : int
        Of its window, in pixels.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for each in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE localhost",
        f"--window-size={width},{height}",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(each)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
