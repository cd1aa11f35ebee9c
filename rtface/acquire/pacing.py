"""Stored frames played as if a camera delivered them: at their own pace, or as fast as they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from rtface.acquire.base import EndOfStream
from rtface.acquire.lifecycle import DRIVER_BUFFERS, OrderedCamera
from rtface.config import ImagesCameraSettings, VideoCameraSettings
from rtface.core.clock import NS_PER_S, Clock
from rtface.core.errors import CameraLostError
from rtface.core.records import CameraInfo, FrameMeta, Image

DEFAULT_RATE_HZ = 30.0
"""Frames per second when paced and neither the settings nor the source gives a rate."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a source is, once it is open.

    Attributes
    ----------
    width, height : int
        Pixels of its frames.
    rate_hz : float or None
        The rate it was recorded at; None where it does not state it.
    frames : int or None
        How many frames it holds; None where it does not state it.
    settings : dict
        For the record.
    """

    width: int
    height: int
    rate_hz: float | None
    frames: int | None
    settings: dict[str, Any] = field(default_factory=dict)


class Advance(Enum):
    """What came of going to the next frame of a source."""

    FRAME = "frame"
    BUSY = "busy"
    """Nothing yet, but the source has come closer to its next frame: call again."""
    END = "end"


class Source(Protocol):
    """Stored frames in a fixed order."""

    @property
    def camera_ns(self) -> int | None:
        """When the frame last read is presented: nanoseconds since the source's first frame, or None if not known."""

    @property
    def label(self) -> str:
        """What a person would call it."""

    def open(self) -> SourceFacts:
        """Open it; the first frame comes next. Raises CameraError."""

    def rewind(self) -> None:
        """Make the first frame the next one."""

    def read(self, out: Image) -> Advance:
        """Write the next frame into `out`. Raises CameraLostError."""

    def skip(self) -> Advance:
        """Pass over the next frame. Raises CameraLostError."""

    def close(self) -> None:
        """Give it back, in any state."""


class PlayedCamera(OrderedCamera):
    """A camera whose frames come from a `Source`.

    Paced, frame n is exposed at an absolute time, n periods after ``start``, and delivered then: reading and
    decoding happen before it, so that they add nothing to its age. A reader that is late finds the last
    `DRIVER_BUFFERS` frames waiting; older ones are passed over and counted in `lost_in_transport`. If the source
    itself cannot be read as fast as it should play, its schedule is moved, and it plays slower. Not paced, every
    frame comes exactly once, in order, exposed when it is read.

    Either way `FrameMeta.camera_ns` is the time of the frame in the recording: nanoseconds since the first frame of
    the source, by its own time stamps. It begins again at 0 with each loop.

    Frame numbers begin at 0 with ``open`` and count on over loops. ``stop`` pauses: ``start`` goes on with the next
    frame.

    Parameters
    ----------
    settings : VideoCameraSettings or ImagesCameraSettings
        How to play them.
    source : Source
        Where the frames come from.
    clock : Clock
        What paces and stamps.
    """

    def __init__(
        self, settings: VideoCameraSettings | ImagesCameraSettings, source: Source, clock: Clock
    ) -> None:
        super().__init__(settings.kind, clock)
        self._source = source
        self._paced = settings.paced
        self._loop = settings.loop
        self._rate_hz = settings.rate_hz
        self._period_ns = 0.0
        self._epoch_ns = 0
        self._since_epoch = 0
        self._next_id = 0
        self._ended = False
        self._failure: str | None = None

    def _open(self) -> CameraInfo:
        facts = self._source.open()
        rate_hz = self._rate_hz or facts.rate_hz
        if self._paced and rate_hz is None:
            rate_hz = DEFAULT_RATE_HZ
        self._period_ns = NS_PER_S / rate_hz if rate_hz else 0.0
        self._next_id = 0
        self._ended = False
        self._failure = None
        return CameraInfo(
            kind=self._kind,
            label=self._source.label,
            width=facts.width,
            height=facts.height,
            rate_hz=rate_hz,
            frames=None if self._loop else facts.frames,
            live=self._paced,
            exposure_source="camera" if self._paced else "arrival",
            settings={**facts.settings, "paced": self._paced, "loop": self._loop},
        )

    def _start(self) -> None:
        self._since_epoch = 0
        self._epoch_ns = self._clock.now_ns()

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        if self._failure is not None:
            raise CameraLostError(self._failure)
        if self._ended:
            raise EndOfStream
        try:
            deadline_ns = self._clock.now_ns() + round(timeout_s * NS_PER_S)
            return self._fill_paced(out, deadline_ns) if self._paced else self._fill_now(out, deadline_ns)
        except CameraLostError as error:
            self._failure = str(error)
            raise
        except EndOfStream:
            self._ended = True
            raise

    def _close(self) -> None:
        self._source.close()

    def _fill_now(self, out: Image, deadline_ns: int) -> FrameMeta | None:
        now_ns = self._clock.now_ns()
        frame_id = self._advance(out, deadline_ns)
        return None if frame_id is None else FrameMeta(frame_id, now_ns, now_ns, self._source.camera_ns)

    def _fill_paced(self, out: Image, deadline_ns: int) -> FrameMeta | None:
        self._pass_over_overdue(deadline_ns)
        scheduled_ns = self._scheduled_ns()
        if scheduled_ns > deadline_ns:
            self._clock.sleep_until_ns(deadline_ns)
            return None
        frame_id = self._advance(out, deadline_ns)
        if frame_id is None:
            return None
        self._clock.sleep_until_ns(scheduled_ns)
        return FrameMeta(frame_id, scheduled_ns, self._clock.now_ns(), self._source.camera_ns)

    def _scheduled_ns(self) -> int:
        return self._epoch_ns + round(self._since_epoch * self._period_ns)

    def _overdue(self) -> int:
        """Frames that a driver's buffer could no longer hold."""
        waiting = int((self._clock.now_ns() - self._scheduled_ns()) // self._period_ns) + 1
        return waiting - DRIVER_BUFFERS

    def _pass_over_overdue(self, deadline_ns: int) -> None:
        if (overdue := self._overdue()) <= 0:
            return
        while overdue > 0 and self._clock.now_ns() < deadline_ns:
            if self._advance(None, deadline_ns) is not None:
                self.lost_in_transport += 1
                overdue -= 1
        if self._overdue() > 0:
            self._epoch_ns = self._clock.now_ns()
            self._since_epoch = 0

    def _advance(self, out: Image | None, deadline_ns: int) -> int | None:
        """Take the next frame, or pass over it, and return its number; None if the source is still busy at the deadline."""
        rewound = False
        while (step := self._source.skip() if out is None else self._source.read(out)) is not Advance.FRAME:
            if step is Advance.BUSY:
                if self._clock.now_ns() >= deadline_ns:
                    return None
                continue
            if not self._loop:
                raise EndOfStream
            if rewound:
                raise CameraLostError(f"{self._source.label} has no frames left to loop over")
            self._source.rewind()
            rewound = True
        frame_id = self._next_id
        self._next_id += 1
        self._since_epoch += 1
        return frame_id
