"""Webcams and V4L devices through OpenCV."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rtface.acquire.lifecycle import OrderedCamera
from rtface.config import OpencvCameraSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraError, CameraLostError, CameraSettingError
from rtface.core.records import CameraInfo, FrameMeta, Image

RATE_TOLERANCE = 0.01
"""A rate read back may differ from the one asked for by this part of it."""


def list_opencv(folder: Path = Path("/dev")) -> list[str]:
    """List the video devices of this machine.

    Parameters
    ----------
    folder : Path
        Where the system keeps its devices.

    Returns
    -------
    list of str
        Paths by number, each usable as `OpencvCameraSettings.device`. A device may also be one that only carries
        metadata; that shows when it is opened.
    """
    numbered = [
        (int(match[1]), path)
        for path in folder.glob("video*")
        if (match := re.fullmatch(r"video([0-9]+)", path.name))
    ]
    return [str(path) for _, path in sorted(numbered)]


class OpencvCamera(OrderedCamera):
    """A camera that OpenCV can open.

    Frames are numbered here, from 0, since OpenCV hands on no numbers: frames lost by the device or its driver
    cannot be counted (`transport_known` is false). Exposure times are arrival times. Width and height must read
    back as asked, the rate within 1 %.

    Waiting is bounded for V4L devices; other back ends of OpenCV have no wait with a limit, and one read there
    lasts until their own.

    Parameters
    ----------
    settings : OpencvCameraSettings
        Which device, and how it is to be set.
    clock : Clock
        What stamps arrivals.
    """

    def __init__(self, settings: OpencvCameraSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__("opencv", clock)
        self._settings = settings
        self._capture: Any = None
        self._bounded = False
        self._next_id = 0

    def _open(self) -> CameraInfo:
        import cv2

        self.transport_known = False
        device = self._settings.device
        with _quiet():
            self._capture = cv2.VideoCapture(device, _api(device))
            opened = self._capture.isOpened()
        if not opened:
            found = ", ".join(list_opencv()) or "none"
            raise CameraError(
                f"there is no camera {device!r} that OpenCV can open; video devices here: {found}"
            )
        self._next_id = 0
        return self._configure()

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        import cv2

        try:
            if (
                self._bounded
                and not cv2.VideoCapture.waitAny([self._capture], max(1, round(timeout_s * NS_PER_S)))[0]
            ):
                return None
            delivered, frame = self._capture.read()
        except cv2.error as error:
            raise CameraLostError(f"camera {self._settings.device!r} was lost: {error}") from error
        arrival_ns = self._clock.now_ns()
        if not delivered:
            raise CameraLostError(
                f"camera {self._settings.device!r} stopped delivering frames; is it still connected?"
            )
        if frame.shape[:2] != self._shape:
            raise CameraLostError(
                f"camera {self._settings.device!r} delivered {frame.shape[1]}x{frame.shape[0]} pixels "
                f"instead of {self._shape[1]}x{self._shape[0]}"
            )
        if frame.ndim == 2:
            np.copyto(out, frame)
        else:
            cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY, dst=out)
        frame_id = self._next_id
        self._next_id += 1
        return FrameMeta(frame_id, arrival_ns, arrival_ns)

    def _close(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _configure(self) -> CameraInfo:
        import cv2

        settings, capture = self._settings, self._capture
        asked = (
            ("width", cv2.CAP_PROP_FRAME_WIDTH, settings.width),
            ("height", cv2.CAP_PROP_FRAME_HEIGHT, settings.height),
            ("rate_hz", cv2.CAP_PROP_FPS, settings.rate_hz),
        )
        for _, key, value in asked:
            if value is not None:
                capture.set(key, value)
        read = {name: float(capture.get(key)) for name, key, _ in asked}
        for name, _, value in asked:
            if value is not None and not math.isclose(
                read[name], value, rel_tol=RATE_TOLERANCE if name == "rate_hz" else 0.0
            ):
                raise CameraSettingError(
                    f"camera {settings.device!r}: {name} was set to {value:g} but reads back {read[name]:g}"
                )
        height, width = int(read["height"]), int(read["width"])
        if 0 in (height, width):
            raise CameraError(f"camera {settings.device!r} gives no size of its frames")
        backend = capture.getBackendName()
        self._bounded = backend == "V4L2"
        return CameraInfo(
            kind="opencv",
            label=f"{settings.device} ({backend})",
            width=width,
            height=height,
            rate_hz=read["rate_hz"] or None,
            frames=None,
            live=True,
            exposure_source="arrival",
            settings={**read, "backend": backend},
        )


def _api(device: int | str) -> int:
    """Choose V4L for what is one of its devices: only there can a wait be bounded."""
    import cv2

    is_device = isinstance(device, int) or device.startswith("/dev/")
    return int(cv2.CAP_V4L2 if is_device and sys.platform == "linux" else cv2.CAP_ANY)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from writing what the error will hold to the standard error stream."""
    import cv2

    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
