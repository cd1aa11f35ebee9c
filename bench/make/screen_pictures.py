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

import numpy as np
from selenium import webdriver

from bench.result import parser_of
from bench.screen.browser import new_browser
from rtface.client import Client
from rtface.config import PicturesSettings, PublishSettings, Rig, SimulatedCameraSettings
from rtface.core.errors import ControlError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.live.service import Service
from rtface.screen.label.opening import copy_to_label
from rtface.screen.pages import PAGES
from rtface.screen.rigs import ShownRig
from rtface.screen.serving import Address, screen_opened
from rtface.simulate.face import MouseFace

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
    keypoints: str
    control: str

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


def arm(client: Client) -> None:
    """Arm as soon as the self-test finds nothing: on a busy machine the rate must settle first."""
    for _ in range(30):
        try:
            client.arm("docs")
        except ControlError:
            time.sleep(2)
        else:
            return
    raise SystemExit("the loop could not be armed: is the machine busy?")


def loop(studio: Studio) -> None:
    """Loop, armed, after some trains of light."""
    studio.open("loop")
    studio.wait("document.querySelector('.page.loop button')")
    with Client(studio.keypoints, studio.control) as client:
        client.mark("docs", "the lights of the room are off")
        arm(client)
        time.sleep(2 * _SETTLED_S)
        studio.take("loop")
        client.disarm("docs", "the picture is taken")


def label(studio: Studio) -> None:
    """Label, with a set of which some frames are done."""
    face = MouseFace(640, 480, 100.0, 3)
    names = FACEMAP_KEYPOINTS
    frames = []
    for number in range(10):
        image = np.empty((480, 640), np.uint8)
        face.render(97 * number, image)
        xy = face.truth(97 * number).astype(np.float32)
        xy[:, :] = np.where(np.arange(len(names))[:, None] < (len(names) if number < 6 else 0), xy, np.nan)
        frames.append(LabelledFrame(f"frame{number:03d}.png", "mouse-3", image, xy))
    write_table(LabelSet(tuple(names), tuple(frames)), studio.folder / "mouse-3-begun")
    copy_to_label(studio.folder / "mouse-3-begun", studio.folder / "mouse-3", "docs")
    studio.open("label", set="mouse-3")
    studio.wait("document.querySelector('.stage')?.dataset.frame")
    time.sleep(3)
    studio.take("label")


def sessions(studio: Studio) -> None:
    """Sessions: the one that the rig records."""
    studio.open("sessions")
    studio.wait("document.querySelector('.page.sessions tbody tr')")
    session = next(path for path in (studio.folder / "sessions").iterdir() if path.is_dir())
    studio.open("sessions", session=f"sessions/{session.name}")
    time.sleep(8)
    studio.take("sessions")


def new_rig(studio: Studio) -> None:
    """Take New rig, at its first steps."""
    (studio.folder / "rig-1.yaml").write_text("camera: {kind: simulated}\n", encoding="utf-8")
    studio.open("newrig", rig="rig-1.yaml")
    time.sleep(8)
    studio.take("newrig")


def teach(studio: Studio) -> None:
    """Teach, before anything was begun."""
    studio.open("teach")
    time.sleep(4)
    studio.take("teach")


SHOTS: dict[str, Callable[[Studio], None]] = {
    "live": live,
    "loop": loop,
    "label": label,
    "sessions": sessions,
    "newrig": new_rig,
    "teach": teach,
}


@contextmanager
def studio_at(out: Path) -> Iterator[Studio]:
    """Give a browser on the screen of the whisking example, whose light goes into a file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "rules.yaml").write_text(RULES.read_text(encoding="utf-8"), encoding="utf-8")
        rig = Rig.model_validate(
            {
                "camera": SimulatedCameraSettings(width=640, height=480, rate_hz=61.0, seed=0),
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
                    browser.execute_script(
                        "localStorage.setItem('theme', 'dark'); localStorage.setItem('who', 'Ada')"
                    )
                    browser.refresh()
                    yield Studio(browser, folder, out, service.keypoints_address, service.control_address)
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
