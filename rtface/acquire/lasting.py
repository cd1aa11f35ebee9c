"""The frames of one camera beyond its losses: what was lost is opened anew, and the gap is known with its cause."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from rtface.acquire.base import Camera
from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.outside.stream import OutsideStream
from rtface.acquire.reopening import FIRST_PAUSE_S, LONGEST_PAUSE_S, Reopening
from rtface.acquire.ring import Slot
from rtface.acquire.stream import Frames, FrameStream
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraLostError, UsageError
from rtface.core.records import CameraInfo, Image
from rtface.core.status import Gap

SETTLED_NS = 10 * NS_PER_S
"""A camera that is lost again sooner after it was back is not opened anew at once."""

Lost = tuple[int, int, bool, int | None]
"""Frames lost at the camera and in transport, whether all of the latter are known, and missed triggers."""

_log = logging.getLogger(__name__)


def frames_of(camera: Camera, slots: int) -> Frames:
    """Return the frames of a camera, read without a copy where its driver is in another process."""
    if isinstance(camera, OutsideCamera):
        return OutsideStream(camera, slots)
    return FrameStream(camera, slots)


class LastingStream:
    """A `rtface.acquire.stream.Frames` that outlasts a live camera; all methods belong to the reader's thread but the counts.

    While the camera is gone no frame comes, and `take` waits. Frame numbers go on where they were, with one left out at
    least, so that whoever looks at them sees the gap, and with room for those that were displaced before the first was taken.
    Losses add up over it.

    Parameters
    ----------
    camera : Camera
    slots : int
        Frames the ring can hold.
    reconnect_ns : int
        How long a lost camera is tried to be opened anew; 0: never, as one that is not live.
    clock : Clock
        What that time is measured with.

    Attributes
    ----------
    gap : Gap or None
        That lasts; may be read from any thread.
    """

    def __init__(
        self, camera: Camera, slots: int, reconnect_ns: int = 0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._camera, self._frames = camera, frames_of(camera, slots)
        self._reconnect_ns, self._clock = reconnect_ns, clock
        self._info: CameraInfo | None = None
        self._reopening: Reopening | None = None
        self._deadline_ns = 0
        self._back_ns: int | None = None
        self._pause_s = 0.0
        self._started = self._ran = False
        self._came_back = False
        self._last_id: int | None = None
        self._shift = self._dropped_before = 0
        self._news: deque[Gap] = deque()
        self._before: Lost = (0, 0, True, None)
        self._frozen: Lost | None = None
        self.gap: Gap | None = None

    @property
    def info(self) -> CameraInfo:
        """The camera as it was first opened; `UsageError` before that."""
        if self._info is None:
            raise UsageError("the camera has not been opened")
        return self._info

    @property
    def ended(self) -> bool:
        """The source has delivered its last frame, and it has been taken."""
        return self._frames.ended

    @property
    def running(self) -> bool:
        """Whether frames are wanted: the camera has been started and not stopped, even while it is gone."""
        return self._started and not self._frames.ended

    @property
    def opening(self) -> bool:
        """Whether the camera is gone and being opened anew; once it is open, `gap` lasts until its first frame."""
        return self._reopening is not None

    @property
    def dropped(self) -> int:
        """Frames that a newer one displaced before they were taken; may be read from any thread."""
        return self._frames.dropped

    @property
    def lost_at_camera(self) -> int:
        """As of `Camera`, since the first `open`; may be read from any thread."""
        return self._lost()[0]

    @property
    def lost_in_transport(self) -> int:
        """As of `Camera`, since the first `open`; may be read from any thread."""
        return self._lost()[1]

    @property
    def transport_known(self) -> bool:
        """As of `Camera`, since the first `open`; may be read from any thread."""
        return self._lost()[2]

    @property
    def missed_triggers(self) -> int | None:
        """As of `rtface.core.status.CameraStatus`, since the first `open`; may be read from any thread."""
        return self._lost()[3]

    def news(self) -> Gap | None:
        """Return the next gap that has begun or ended and was not returned yet; None without one."""
        return self._news.popleft() if self._news else None

    def open(self) -> CameraInfo:
        """Open the camera; errors as of `Camera.open`."""
        self._info = self._frames.open()
        return self._info

    def start(self, allocate: Callable[[tuple[int, int]], Image]) -> None:
        """Start the camera, or try anew to open one that is gone, or that was lost since it was stopped.

        Raises
        ------
        CameraLostError
            It was lost before it was ever started, or is not to be opened again.
        """
        self._allocate = allocate
        if self.gap is None:
            try:
                self._frames.start(allocate)
            except CameraLostError as error:
                if not self._ran:
                    raise
                self.lose(error)
        elif self._reopening is None:
            self._reopen()
        self._started = self._ran = True

    def take(self, timeout_s: float) -> Slot | None:
        """Return the newest frame of a live camera, the next one of a file; None when none came in time.

        Raises
        ------
        CameraLostError
            The camera is lost, and did not come back in time.
        RtfaceError
            What else ended it.
        """
        if self._reopening is not None and not self._is_back(self._reopening, timeout_s):
            return None
        try:
            slot = self._frames.take(timeout_s)
        except CameraLostError as error:
            if self.gap is not None and not self._was_back_briefly():
                self._deadline_ns = (
                    self._clock.now_ns() + self._reconnect_ns
                )  # it waited for its first trigger
            self.lose(error)
            return None
        return None if slot is None else self._numbered(slot)

    def lose(self, error: CameraLostError) -> None:
        """Take note that the camera is lost, and begin to open it anew.

        Raises
        ------
        CameraLostError
            That one, where it is not to be opened again, or has not come back in time.
        """
        if not self._note(error):
            raise error
        if self._clock.now_ns() > self._deadline_ns:
            raise self._gone_for_good(str(error))
        self._open_anew()

    def release(self, slot: Slot) -> None:
        """Give a frame's memory back."""
        self._frames.release(slot)

    def drain(self) -> Iterator[Slot]:
        """End what fills, and return the frames that still wait; errors as of `take`."""
        if self._reopening is not None:
            return
        try:
            for slot in self._frames.drain():
                yield self._numbered(slot)
        except CameraLostError as error:
            if not self._note(error):
                raise

    def stop(self) -> None:
        """Stop the camera, or what opens it anew.

        Raises
        ------
        CameraLostError
            The driver did not return, and the camera is not to be opened again.
        """
        self._started = False
        if not self._give_up():
            raise CameraLostError("the camera's driver does not return from opening it anew")
        try:
            self._frames.stop()
            if self.gap is None:
                return
            self._camera.stop()
        except CameraLostError as error:
            if not self._note(error):
                raise
            _log.warning("%s", error)

    def close(self) -> None:
        """Close the camera."""
        if self._give_up():
            self._frames.close()

    def _give_up(self) -> bool:
        reopening, self._reopening = self._reopening, None
        return reopening is None or reopening.give_up()

    def _note(self, error: CameraLostError) -> bool:
        """Take note of a loss; False where it is the end."""
        if not self._reconnect_ns or not self.info.live:
            return False
        if self._frozen is None:
            self._frozen = self._lost()
        if self.gap is None:
            now_ns = self._clock.now_ns()
            self._deadline_ns = now_ns + self._reconnect_ns
            self.gap = Gap(now_ns, str(error), self._last_id)
            self._news.append(self.gap)
            _log.warning(
                "the camera is lost and is opened anew, for up to %g s: %s",
                self._reconnect_ns / NS_PER_S,
                error,
            )
        return True

    def _reopen(self) -> None:
        self._deadline_ns = self._clock.now_ns() + self._reconnect_ns
        self._open_anew()

    def _open_anew(self) -> None:
        """Begin to; after a pause that grows, where the camera was back for a short while only."""
        if self._was_back_briefly():
            self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * self._pause_s))
        else:
            self._pause_s = 0.0
        self._reopening = Reopening(self._camera, self._frames, self.info, self._pause_s)

    def _was_back_briefly(self) -> bool:
        return self._back_ns is not None and self._clock.now_ns() - self._back_ns < SETTLED_NS

    def _is_back(self, reopening: Reopening, timeout_s: float) -> bool:
        """Wait for the camera, and take it over once it is open and started."""
        if not reopening.wait(timeout_s):
            if self._clock.now_ns() > self._deadline_ns:
                raise self._gone_for_good(reopening.why_not)
            return False
        self._reopening = None
        gap = self.gap
        if gap is not None:
            self.gap = replace(gap, tries=gap.tries + reopening.tries)
        dropped = self._frames.dropped
        if self._frozen is not None:
            self._before, self._frozen = self._frozen, None
        self._came_back, self._dropped_before, self._back_ns = True, dropped, self._clock.now_ns()
        try:
            self._frames.start(self._allocate)
        except CameraLostError as error:
            self.lose(error)
            return False
        return True

    def _numbered(self, slot: Slot) -> Slot:
        """Give a frame its number, and end the gap before it."""
        meta = slot.meta
        if meta is None:
            return slot
        if self._came_back:
            self._came_back = False
            displaced = self._frames.dropped - self._dropped_before
            self._shift = (
                0 if self._last_id is None else max(0, self._last_id + 2 + displaced - meta.frame_id)
            )
        if self._shift:
            meta = slot.meta = replace(meta, frame_id=meta.frame_id + self._shift)
        self._last_id = meta.frame_id
        gap = self.gap
        if gap is not None:
            now_ns = self._clock.now_ns()
            self._news.append(replace(gap, ended_ns=now_ns, first_frame_id=meta.frame_id))
            self.gap = None
            _log.warning("the camera is back after %.1f s", (now_ns - gap.begun_ns) / NS_PER_S)
        return slot

    def _lost(self) -> Lost:
        if (frozen := self._frozen) is not None:
            return frozen
        camera, (at_camera, in_transport, known, missed) = self._camera, self._before
        now_missed = camera.status.missed_triggers
        return (
            at_camera + camera.lost_at_camera,
            in_transport + camera.lost_in_transport,
            known and camera.transport_known,
            missed if now_missed is None else now_missed + (missed or 0),
        )

    def _gone_for_good(self, why_not: str) -> CameraLostError:
        why = "" if self.gap is None else self.gap.why
        return CameraLostError(
            f"{why}; it did not come back within {self._reconnect_ns / NS_PER_S:g} s: {why_not or 'it does not answer'}"
        )
