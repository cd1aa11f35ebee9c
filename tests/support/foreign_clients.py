"""Clients in other languages as processes, and a simulated camera that none of its readers can fall behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtface.acquire.simulated import SimulatedCamera
from rtface.config import SimulatedCameraSettings
from rtface.core.records import FrameMeta, Image
from support.paths import REPOSITORY

CLIENTS = REPOSITORY / "clients"


def octave(code: str) -> list[str]:
    """Return the command that runs code in Octave with the client on its path; skip where it or its package zeromq is not."""
    found = shutil.which("octave-cli")
    packages = [Path(each) / "zeromq" for each in ("/usr/share/octave/packages", "/usr/lib/octave/packages")]
    there = any(path for folder in packages for path in folder.parent.glob("zeromq-*"))
    if found is None or not there:
        pytest.skip("Octave and its package zeromq are not on this machine: apt install octave octave-zeromq")
    paths = f"crash_dumps_octave_core(false); addpath('{CLIENTS / 'matlab'}');"
    return [found, "--quiet", "--no-init-file", "--no-gui", "--eval", paths + code]


def node(code: str, folder: Path) -> list[str]:
    """Return the command that runs code in Node, in a folder with the client and npm's zeromq; skip where that is not."""
    found, modules = shutil.which("node"), Path(os.environ.get("RTFACE_NODE_MODULES", "") or "/nowhere")
    if found is None or not (modules / "zeromq").exists():
        pytest.skip(
            "zeromq is not on this machine: npm install zeromq, and name node_modules in RTFACE_NODE_MODULES"
        )
    shutil.copy(CLIENTS / "node" / "rtface.mjs", folder)
    (folder / "node_modules").symlink_to(modules)
    script = folder / "script.mjs"
    script.write_text('import { RtfaceClient } from "./rtface.mjs";\n' + code, encoding="utf-8")
    return [found, str(script)]


@contextmanager
def lines_of(command: list[str], take: Callable[[str], None]) -> Iterator[subprocess.Popen[str]]:
    """Run a command, and give each line that it prints to `take` in a thread; it never outlives the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = process.stdout

    def read() -> None:
        for line in lines:
            take(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        thread.join()
        lines.close()


class Steps:
    """How far each reader has come; a camera waits for the slowest, so that no queue on the way overflows.

    Parameters
    ----------
    readers : tuple of str
        Before each of them has had a frame, frames come slowly; after that `ahead` of the slowest.
    ahead : int
    """

    def __init__(self, readers: tuple[str, ...], ahead: int) -> None:
        self._changed = threading.Condition()
        self._seen: dict[str, int | None] = dict.fromkeys(readers)
        self._ahead = ahead

    def saw(self, reader: str, frame: int) -> None:
        """A reader has had all of this frame."""
        with self._changed:
            self._seen[reader] = frame
            self._changed.notify_all()

    @property
    def first(self) -> int | None:
        """The last frame that anybody has had, once everybody has had one."""
        seen = [each for each in self._seen.values() if each is not None]
        return max(seen) if len(seen) == len(self._seen) else None

    @property
    def slowest(self) -> int:
        """What even the slowest has had; -1 before everybody has had a frame."""
        return min(-1 if each is None else each for each in self._seen.values())

    def wait_for(self, frame: int, timeout_s: float) -> bool:
        """Wait until this frame may come."""
        with self._changed:
            if None in self._seen.values():
                self._changed.wait(min(timeout_s, 0.02))
                return True
            return self._changed.wait_for(lambda: frame <= self.slowest + self._ahead, timeout_s)


class SteppedCamera(SimulatedCamera):
    """The simulated camera, a frame of which comes when its readers have come so far."""

    def __init__(self, settings: SimulatedCameraSettings, steps: Steps) -> None:
        super().__init__(settings)
        self._steps = steps
        self._number = 0

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        if not self._steps.wait_for(self._number, timeout_s):
            return None
        found = super()._fill(out, timeout_s)
        if found is not None:
            self._number = found.frame_id + 1
        return found
