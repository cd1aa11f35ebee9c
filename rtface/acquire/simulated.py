"""A camera that films a simulated mouse, at a steady pace and with the faults that its settings name."""

from __future__ import annotations

import numpy as np

from rtface.acquire.base import EndOfStream
from rtface.acquire.lifecycle import DRIVER_BUFFERS, OrderedCamera
from rtface.acquire.timing.trials import TriggerTimes
from rtface.config import SimulatedCameraSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.clockfit import ClockLine
from rtface.core.errors import CameraLostError, UsageError
from rtface.core.records import FACEMAP_KEYPOINTS, CameraInfo, FloatArray, FrameMeta, Image
from rtface.core.status import CameraStatus
from rtface.simulate.chance import uniform_hash
from rtface.simulate.face import MouseFace

_LOST, _LATE, _DUPLICATED, _BLACK = range(0xFA01, 0xFA05)
_MOST_LOST_AT_ONCE = 1000


class SimulatedCamera(OrderedCamera):
    """A camera in front of a rendered mouse whose true keypoints are known.

    Paced, frame `i` is exposed at ``start + i / rate_hz`` on the host's clock, an absolute time: no delay ever
    shifts a later frame, and a late frame keeps its time. Its own clock, in which ``camera_ns`` is, begins with the first
    ``start``. The exposure is instantaneous and delivered at once. A picture is rendered before the
    camera sleeps until its exposure, so rendering is no part of the latency unless the reader comes too late for
    that; with ``settings.repeat`` all is rendered when it is opened. The driver holds `DRIVER_BUFFERS` frames: a reader
    who is later than that many periods loses the oldest.

    With a trigger, frames are exposed in its trials, and `FrameMeta.trigger_id` counts them; no trigger is ever missed.

    Not paced, each frame is exposed when the reader calls for it, after rendering, and none is lost to slowness.

    Faults are drawn by a hash of seed and frame number: the same settings give the same faults. A lost frame's
    number is skipped and counted as lost in transport; a late frame is delivered `late_ms` after its true exposure
    time and the following ones queue behind it; a duplicated frame shows the picture of the number before it; a
    black one is 0 everywhere.

    Parameters
    ----------
    settings : SimulatedCameraSettings
        Size, rate, mouse and faults.
    clock : Clock, optional
        Where time comes from and how to wait for it.
    """

    def __init__(self, settings: SimulatedCameraSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__("simulated", clock)
        self._settings = settings
        ends = [end for end in (settings.frames, settings.faults.disconnect_after) if end is not None]
        self._end = min(ends) if ends else None
        self._late_ns = round(settings.faults.late_ms * NS_PER_MS)
        trigger = settings.trigger
        self._times = TriggerTimes(settings.frames_hz, None if trigger is None else trigger.trials)
        self._face: MouseFace | None = None
        self._pictures: list[Image] = []
        self._reset()

    def _reset(self) -> None:
        self._next = 0
        self._zero_ns: int | None = None
        self._epoch_ns = 0
        self._queue_ns = 0
        self._asked_ns: int | None = None

    @property
    def clock_line(self) -> ClockLine | None:
        """The map of its own clock, which began with the first ``start`` and is as fast as the host's."""
        return None if self._zero_ns is None else ClockLine(0, float(self._zero_ns), 0.0)

    def _open(self) -> CameraInfo:
        settings = self._settings
        self._face = MouseFace(settings.width, settings.height, settings.frames_hz, settings.seed)
        self._pictures = [self._rendered(number) for number in range(settings.repeat or 0)]
        self._reset()
        return CameraInfo(
            kind="simulated",
            label=f"simulated mouse {settings.seed}",
            width=settings.width,
            height=settings.height,
            rate_hz=settings.frames_hz,
            frames=settings.frames,
            live=settings.paced,
            exposure_source="camera",
            settings=settings.model_dump(mode="json", exclude=None if settings.trigger else {"trigger"}),
            trigger=None if settings.trigger is None else settings.trigger.info(),
        )

    @property
    def status(self) -> CameraStatus:
        """How it does: nothing is wrong but what its faults say."""
        return CameraStatus(missed_triggers=None if self._settings.trigger is None else 0)

    def _start(self) -> None:
        now_ns = self._clock.now_ns()
        if self._zero_ns is None:
            self._zero_ns = now_ns
        self._epoch_ns = now_ns - self._after_first_ns(self._next)
        self._queue_ns = now_ns
        self._asked_ns = None

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        now_ns = self._clock.now_ns()
        deadline_ns = now_ns + round(timeout_s * NS_PER_S)
        if self._settings.paced:
            self._skip_overwritten(now_ns)
        if not self._skip_lost(deadline_ns):
            self._clock.sleep_until_ns(deadline_ns)
            return None
        late_ns = self._late_ns if self._chance(_LATE, self._next, self._settings.faults.late) else 0
        if self._settings.paced:
            exposure_ns = self._due_ns(self._next)
            ready_ns = max(exposure_ns + late_ns, self._queue_ns)
            in_time = ready_ns <= deadline_ns
            if in_time:
                self._render(self._next, out)
        else:
            self._render(self._next, out)
            if self._asked_ns is None:
                self._asked_ns = self._clock.now_ns()
            exposure_ns = self._asked_ns
            ready_ns = exposure_ns + late_ns
            in_time = late_ns == 0 or ready_ns <= deadline_ns
        if not in_time:
            self._clock.sleep_until_ns(deadline_ns)
            return None
        self._clock.sleep_until_ns(ready_ns)
        return self._deliver(exposure_ns, ready_ns)

    def _close(self) -> None:
        self._face = None
        self._pictures = []

    def truth(self, frame_id: int) -> FloatArray:
        """Return the true keypoints of the picture that a frame number shows.

        Parameters
        ----------
        frame_id : int
            A frame number of this camera, delivered or not.

        Returns
        -------
        ndarray, shape (15, 2), float32
            As `MouseFace.truth`; of the picture shown for a duplicated frame, all NaN for a black one.

        Raises
        ------
        UsageError
            The camera is not open.
        """
        shown = self._shown(frame_id)
        if self._chance(_BLACK, shown, self._settings.faults.black):
            return np.full((len(FACEMAP_KEYPOINTS), 2), np.nan, np.float32)
        repeat = self._settings.repeat
        return self._opened().truth(shown if repeat is None else shown % repeat)

    def _opened(self) -> MouseFace:
        if self._face is None:
            raise UsageError("the simulated camera is not open")
        return self._face

    def _chance(self, fault: int, frame_id: int, probability: float) -> bool:
        return probability > 0 and uniform_hash(self._settings.seed, fault, frame_id) < probability

    def _after_first_ns(self, frame_id: int) -> int:
        return self._times.at_ns(frame_id)

    def _due_ns(self, frame_id: int) -> int:
        return self._epoch_ns + self._after_first_ns(frame_id)

    def _skip_overwritten(self, now_ns: int) -> None:
        """Drop what the driver could not keep for a reader that comes at `now_ns`."""
        behind_ns = now_ns - max(self._due_ns(self._next), self._queue_ns)
        if behind_ns <= self._times.periods_ns(DRIVER_BUFFERS):
            return
        newest = self._times.newest(now_ns - self._epoch_ns)
        if self._end is not None:
            newest = min(newest, self._end - 1)
        oldest = max(self._next, newest - DRIVER_BUFFERS + 1)
        self.lost_in_transport += oldest - self._next
        self._next = oldest

    def _skip_lost(self, deadline_ns: int) -> bool:
        """Go to the next frame that is not lost; False if that is after `deadline_ns`."""
        for _ in range(_MOST_LOST_AT_ONCE):
            self._check_end()
            if self._settings.paced and self._due_ns(self._next) > deadline_ns:
                return False
            if not self._chance(_LOST, self._next, self._settings.faults.lost):
                return True
            self.lost_in_transport += 1
            self._next += 1
        return False

    def _check_end(self) -> None:
        if self._end is None or self._next < self._end:
            return
        if self._end == self._settings.faults.disconnect_after:
            raise CameraLostError(
                f"the simulated camera disconnected after {self._end} frames, as camera.faults.disconnect_after says"
            )
        raise EndOfStream

    def _shown(self, frame_id: int) -> int:
        """Return the frame number whose picture a frame shows."""
        probability = self._settings.faults.duplicated
        if probability >= 1:
            return 0
        while frame_id > 0 and self._chance(_DUPLICATED, frame_id, probability):
            frame_id -= 1
        return frame_id

    def _render(self, frame_id: int, out: Image) -> None:
        shown = self._shown(frame_id)
        if self._chance(_BLACK, shown, self._settings.faults.black):
            out.fill(0)
        elif self._pictures:
            out[:] = self._pictures[shown % len(self._pictures)]
        else:
            self._opened().render(shown, out)

    def _rendered(self, number: int) -> Image:
        picture = np.empty((self._settings.height, self._settings.width), np.uint8)
        self._opened().render(number, picture)
        return picture

    def _deliver(self, exposure_ns: int, ready_ns: int) -> FrameMeta:
        frame_id = self._next
        self._next = frame_id + 1
        self._queue_ns, self._asked_ns = ready_ns, None
        camera_ns = exposure_ns - (self._zero_ns or 0)
        trigger_id = None if self._settings.trigger is None else frame_id
        return FrameMeta(frame_id, exposure_ns, self._clock.now_ns(), camera_ns, trigger_id)
