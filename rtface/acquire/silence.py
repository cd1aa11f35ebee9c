"""A camera that delivers nothing: for how long, and what helps."""

from __future__ import annotations

from rtface.acquire.base import Camera
from rtface.core.clock import NS_PER_S, Clock
from rtface.core.errors import CameraLostError


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


class Silence:
    """Watches how long a camera has delivered no whole frame.

    Parameters
    ----------
    camera : Camera
        Asked for how many damaged frames came meanwhile.
    limit_ns : int or None
        After so long the camera is lost; None for one that may wait.
    clock : Clock
        What the time is measured with.
    """

    def __init__(self, camera: Camera, limit_ns: int | None, clock: Clock) -> None:
        self._camera, self._limit_ns, self._clock = camera, limit_ns, clock
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
        if self._limit_ns is None or self._clock.now_ns() - self._since_ns <= self._limit_ns:
            return
        damaged = self._camera.lost_at_camera - self._damaged_before
        why = (
            damaged_in_words(damaged)
            if damaged
            else "for a camera that waits for triggers set silence_s: null"
        )
        raise CameraLostError(f"no frame came for {self._limit_ns / NS_PER_S:g} s; {why}")
