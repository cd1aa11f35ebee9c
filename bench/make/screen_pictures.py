"""Take the pictures of the pages for the docs: a demo's rig and a folder of its own, in headless Chromium.

python -m bench.make.screen_pictures docs/images
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from selenium import webdriver

from bench.result import parser_of
from bench.screen.browser import new_browser
from rtface.config import PicturesSettings, PublishSettings, Rig, SimulatedCameraSettings
from rtface.live.service import Service
from rtface.screen.pages import PAGES
from rtface.screen.rigs import ShownRig
from rtface.screen.serving import Address, screen_opened

RULES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "whisking" / "rules.yaml"
_FREE = "tcp://127.0.0.1:*"
_SETTLED_S = 22.0
"""Plots of twenty seconds are full then."""


@dataclass(frozen=True)
class Studio:
    """A browser on a screen, and where pictures go."""

    browser: webdriver.Chrome
    folder: Path
    out: Path
    name: str

    def open(self, page: str, **params: str) -> None:
        """Open a page."""
        query = "&".join(f"{name}={value}" for name, value in params.items())
        self.browser.execute_script("location.hash = arguments[0]", f"#/{page}{'?' if query else ''}{query}")

    def wait(self, holds: str, seconds: float = 60.0) -> None:
        """Wait until an expression of JavaScript holds."""
        end_s = time.monotonic() + seconds
        while not self.browser.execute_script(f"return {holds}"):
            if time.monotonic() > end_s:
                raise SystemExit(f"{holds} did not become true within {seconds:g} s")
            time.sleep(0.1)

    def take(self, name: str) -> None:
        """Write what is shown."""
        self.browser.save_screenshot(str(self.out / f"screen-{name}.png"))


def live(studio: Studio) -> None:
    """Live, with full plots."""
    studio.open("live")
    studio.wait("Number(document.querySelector('.picture')?.dataset.frame) > 0")
    time.sleep(_SETTLED_S)
    studio.take("live")


def loop(studio: Studio) -> None:
    """Loop, armed, after some trains of light."""
    studio.open("loop")
    time.sleep(_SETTLED_S)
    studio.take("loop")


SHOTS: dict[str, Callable[[Studio], None]] = {"live": live, "loop": loop}


@contextmanager
def studio_at(out: Path) -> Iterator[Studio]:
    """Give a browser on the screen of the whisking example, whose light goes into a file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "rules.yaml").write_text(RULES.read_text(encoding="utf-8"), encoding="utf-8")
        rig = Rig.model_validate(
            {
                "camera": SimulatedCameraSettings(width=640, height=480, rate_hz=100.0, seed=0),
                "publish": PublishSettings(
                    keypoints=_FREE, control=_FREE, pictures=PicturesSettings(address=_FREE)
                ),
                "rules": folder / "rules.yaml",
                "output": {"kind": "log", "path": folder / "light.csv"},
                "session": {"folder": folder / "sessions", "frames": "h264", "min_free_gb": 0.1},
            }
        )
        with Service(rig) as service:
            shown = [ShownRig("0", "whisking", service.control_address)]
            with screen_opened(shown, folder, Address(), PAGES) as screen:
                browser = new_browser(folder / "profile", 1280, 860)
                try:
                    browser.get(screen.new_link())
                    browser.execute_script("localStorage.setItem('theme', 'dark')")
                    browser.refresh()
                    yield Studio(browser, folder, out, service.control_address)
                finally:
                    browser.quit()


def main() -> None:
    """Take all pictures, or those that are named."""
    parser = parser_of(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", choices=sorted(SHOTS), action="append")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with studio_at(arguments.out) as studio:
        for name, shot in SHOTS.items():
            if not arguments.only or name in arguments.only:
                shot(studio)


if __name__ == "__main__":
    main()
