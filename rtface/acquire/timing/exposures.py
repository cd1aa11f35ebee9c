"""How a camera does while frames flow: how fast it really exposes, and what else does not hold of what was asked for."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

from rtface.core.clock import NS_PER_S
from rtface.core.records import CameraInfo
from rtface.core.status import CameraStatus

TOLERANCE = 0.05
LEAST_INTERVALS = 20
PAUSE_PERIODS = 4.0
"""An interval so many times longer than the period is a pause, or a gap in which the camera was lost."""

_log = logging.getLogger(__name__)


class ExposureRate:
    """Measures the rate from numbers and times of exposure: lost frames, late ones, pauses and gaps do not change it.

    `add` belongs to the processing thread; the attributes may be read from any.

    Attributes
    ----------
    hz : float
        Of the newest `LEAST_INTERVALS` or more frames in a row; NaN before that.
    """

    def __init__(self) -> None:
        self.hz = math.nan
        self._info: CameraInfo | None = None
        self._last: tuple[int, int] | None = None
        self._intervals: list[tuple[int, int]] = []

    def begin(self, info: CameraInfo) -> None:
        """Start with a camera that was started."""
        self._info, self._last, self.hz = info, None, math.nan
        self._intervals.clear()

    def add(self, frame_id: int, exposure_ns: int) -> None:
        """Take a frame."""
        if self._last is not None:
            self._intervals.append((frame_id - self._last[0], exposure_ns - self._last[1]))
        self._last = frame_id, exposure_ns

    def interrupt(self) -> None:
        """Take the next frame for the first of its kind: the camera was lost, and the time until it is back is no interval."""
        self._last = None

    def tick(self) -> None:
        """Measure, about once a second."""
        info, intervals = self._info, self._intervals
        if info is None or not info.live or len(intervals) < LEAST_INTERVALS:
            return
        period_ns = sum(each[1] for each in intervals) / max(1, sum(each[0] for each in intervals))
        if info.trigger is not None and info.rate_hz is not None:
            period_ns = NS_PER_S / info.rate_hz
        longest_ns = PAUSE_PERIODS * period_ns
        within = [each for each in intervals if each[1] <= longest_ns * max(each[0], 1)]
        intervals = within if len(within) >= LEAST_INTERVALS // 2 else intervals
        frames, elapsed_ns = (sum(column) for column in zip(*intervals, strict=True))
        self.hz = frames * NS_PER_S / elapsed_ns if elapsed_ns > 0 else math.nan
        self._intervals.clear()

    @property
    def problem(self) -> str:
        """How the rate differs from the one that it should be; empty where it does not, or nobody knows."""
        info = self._info
        if info is None or info.rate_hz is None or not abs(self.hz / info.rate_hz - 1) > TOLERANCE:
            return ""
        if info.trigger is None:
            return (
                f"the camera exposes {self.hz:.3g} frames per second, and says {info.rate_hz:g}: is the exposure too long for "
                "the rate?"
            )
        return (
            f"{self.hz:.3g} triggered frames come per second, and camera.trigger.rate_hz is {info.rate_hz:g}"
        )

    def status(self, camera: CameraStatus) -> CameraStatus:
        """Return how a camera does, with the rate among the problems where it is one."""
        problem = self.problem
        return replace(camera, problems=(*camera.problems, problem)) if problem else camera


class Warner:
    """Logs what does not hold of a camera, when it begins not to."""

    def __init__(self) -> None:
        self._warned = False

    def look(self, status: CameraStatus) -> None:
        """Log, unless something did not hold the last time, too."""
        texts = status.problems
        if status.clock:
            texts += (
                f"exposures are times of arrival, since the camera's stamps cannot be believed: {status.clock}",
            )
        if not self._warned:
            for text in texts:
                _log.warning("%s", text)
        self._warned = bool(texts)
