"""A camera while it is in use: its ring and its thread, begun, ended and begun again; and how long it may be silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from rtface.acquire.base import Camera
from rtface.acquire.ring import FrameRing, Slot
from rtface.acquire.thread import AcquisitionThread
from rtface.core.clock import NS_PER_S, Clock
from rtface.core.errors import CameraLostError, UsageError
from rtface.core.records import CameraInfo, Image, TriggerInfo


class Frames(Protocol):
    """The frames of one camera, for one reader: what is said at `FrameStream` holds for all."""

    ended: bool

    @property
    def info(self) -> CameraInfo:
        """The camera as it was opened."""

    @property
    def running(self) -> bool:
        """Whether the camera has been started and not stopped."""

    @property
    def dropped(self) -> int:
        """Frames that a newer one displaced before they were taken."""

    def open(self) -> CameraInfo:
        """Open the camera."""

    def start(self, allocate: Callable[[tuple[int, int]], Image]) -> None:
        """Start the camera."""

    def take(self, timeout_s: float) -> Slot | None:
        """Return the newest frame of a live camera, the next one of a file."""

    def release(self, slot: Slot) -> None:
        """Give a frame's memory back."""

    def drain(self) -> Iterator[Slot]:
        """Stop what fills, and return the frames that still wait."""

    def stop(self) -> None:
        """Stop the camera."""

    def close(self) -> None:
        """Close the camera."""


class FrameStream:
    """The frames of one camera, for one reader; all methods belong to the reader's thread, but for `dropped`.

    Parameters
    ----------
    camera : Camera
        Opened, started, stopped and closed here.
    slots : int
        Frames the ring can hold.

    Attributes
    ----------
    ended : bool
        The source has delivered its last frame, and it has been taken.
    """

    def __init__(self, camera: Camera, slots: int) -> None:
        self._camera = camera
        self._slots = slots
        self._info: CameraInfo | None = None
        self._ring: FrameRing | None = None
        self._acquisition: AcquisitionThread | None = None
        self._drops: tuple[int, FrameRing | None] = (0, None)
        self._hangs = False
        self.ended = False

    @property
    def info(self) -> CameraInfo:
        """The camera as it was opened; `UsageError` before that."""
        if self._info is None:
            raise UsageError("the camera has not been opened")
        return self._info

    @property
    def running(self) -> bool:
        """Whether the camera has been started and not stopped."""
        return self._ring is not None

    @property
    def dropped(self) -> int:
        """Frames that a newer one displaced before they were taken; may be read from any thread."""
        before, ring = self._drops
        return before + (ring.dropped if ring is not None else 0)

    def open(self) -> CameraInfo:
        """Open the camera; errors as of `Camera.open`."""
        self._info = self._camera.open()
        return self._info

    def start(self, allocate: Callable[[tuple[int, int]], Image]) -> None:
        """Start the camera and its thread, unless they run.

        Parameters
        ----------
        allocate : callable
            Makes the memory of one frame from its shape.
        """
        if self.running:
            return
        info = self.info
        ring = FrameRing(self._slots, (info.height, info.width), keep_all=not info.live, allocate=allocate)
        self._camera.start()
        acquisition = AcquisitionThread(self._camera, ring)
        acquisition.start()
        self._ring, self._acquisition = ring, acquisition
        self._drops = (self._drops[0], ring)

    def take(self, timeout_s: float) -> Slot | None:
        """Return the newest frame of a live camera, the next one of a file.

        Returns
        -------
        Slot or None
            To be given back with `release`; None when none came in time, or the source has `ended`.

        Raises
        ------
        RtfaceError
            What ended the camera's thread.
        """
        ring, acquisition = self._ring, self._acquisition
        if ring is None or acquisition is None:
            return None
        alive = acquisition.alive  # asked before the ring: once it is not, no frame can follow an empty ring
        slot = ring.take(timeout_s)
        if slot is None and not alive:
            if acquisition.error is not None:
                raise acquisition.error
            if not acquisition.ended:
                raise CameraLostError("the camera's thread ended without a reason")
            self.stop()
            self.ended = True
        return slot

    def release(self, slot: Slot) -> None:
        """Give a frame's memory back."""
        if self._ring is not None:
            self._ring.release(slot)

    def drain(self) -> Iterator[Slot]:
        """End the camera's thread, and return the frames that still wait; errors as of `take`."""
        ring, acquisition = self._ring, self._acquisition
        if ring is None or acquisition is None:
            return
        acquisition.stop()
        while (slot := ring.take(0)) is not None:
            yield slot
        if acquisition.error is not None:
            raise acquisition.error

    def stop(self) -> None:
        """Stop the camera and its thread, if they run.

        Raises
        ------
        CameraLostError
            The driver did not return. The camera is not touched any more: it needs its memory.
        """
        acquisition = self._acquisition
        if acquisition is None:
            return
        self._hangs = not acquisition.stop()
        self._drops = (self.dropped, None)
        self._ring = self._acquisition = None
        if self._hangs:
            raise CameraLostError(
                "the camera did not answer when it was asked to stop; it stays open until this process ends"
            )
        self._camera.stop()

    def close(self) -> None:
        """Close the camera, unless its thread is still inside the driver."""
        if not self._hangs:
            self._camera.close()


def damaged_in_words(damaged: int) -> str:
    """Return what helps against frames that all come damaged.

    Parameters
    ----------
    damaged : int
        How many came, of which none was whole.
    """
    return (
        f"{damaged} frames came damaged and none whole; what helps: on GigE a packet size that the network card takes "
        "(GevSCPSPacketSize, jumbo frames), more bandwidth (a lower rate or DeviceLinkThroughputLimit, no other camera on "
        "the same link or hub), larger receive buffers, another cable"
    )


class CountsDamage(Protocol):
    """What says how many damaged frames came."""

    @property
    def lost_at_camera(self) -> int:
        """As of `Camera`."""


class Silence:
    """Watches how long a camera has delivered no whole frame.

    Parameters
    ----------
    camera : CountsDamage
        Asked for how many damaged frames came meanwhile.
    limit_ns : int or None
        After so long the camera is lost; None for one that may wait. Of a camera that waits for triggers it counts from the
        end of the longest pause.
    clock : Clock
        What the time is measured with.

    Attributes
    ----------
    trigger : TriggerInfo or None
        What begins the camera's exposures; set it once the camera is open.
    """

    def __init__(self, camera: CountsDamage, limit_ns: int | None, clock: Clock) -> None:
        self._camera, self._limit_ns, self._clock = camera, limit_ns, clock
        self.trigger: TriggerInfo | None = None
        self.begin(0)

    def begin(self, now_ns: int) -> None:
        """Count from now: a frame was taken, or the camera was started."""
        self._since_ns, self._damaged_before = now_ns, self._camera.lost_at_camera

    def check(self) -> None:
        """Look at the time.

        Raises
        ------
        CameraLostError
            It has lasted too long.
        """
        pause_ns = 0 if self.trigger is None else self.trigger.longest_pause_ns
        if self._limit_ns is None or pause_ns is None:
            return
        if self._clock.now_ns() - self._since_ns <= self._limit_ns + pause_ns:
            return
        damaged = self._camera.lost_at_camera - self._damaged_before
        why = "a camera that waits for triggers needs camera.trigger, with its longest pause (or silence_s: null)"
        if self.trigger is not None:
            why = f"camera.trigger.longest_pause_s is {pause_ns / NS_PER_S:g}"
        if damaged:
            why = damaged_in_words(damaged)
        raise CameraLostError(f"no frame came for {(self._limit_ns + pause_ns) / NS_PER_S:g} s; {why}")

    def waits_s(self) -> float:
        """Return how long a camera that waits for triggers has got none; 0 while they come, and of any other camera."""
        if self.trigger is None:
            return 0.0
        silent_ns = self._clock.now_ns() - self._since_ns
        return silent_ns / NS_PER_S if silent_ns >= NS_PER_S else 0.0
