"""The contract of what poses go out to."""

from __future__ import annotations

from typing import Protocol

from rtface.core.records import Losses, Pose


class PoseSink(Protocol):
    """Something that the keypoints of every frame go out to.

    One thread makes all calls, in the order ``open, publish..., close``. ``close`` may be called at any time, any
    number of times.
    """

    @property
    def lost(self) -> int:
        """Poses since ``open`` that could not be handed over."""

    def open(self) -> None:
        """Take the address, the device or the file.

        Raises
        ------
        RtfaceError
            It cannot be had; nothing is left open.
        """

    def publish(self, pose: Pose, losses: Losses) -> int:
        """Hand one pose over; never wait for its readers.

        Parameters
        ----------
        pose : Pose
            May be reused by the caller when this returns.
        losses : Losses
            Frames lost so far in the session.

        Returns
        -------
        int
            When it had been handed over, encoding and sending included: nanoseconds of the host's monotonic clock.

        Raises
        ------
        UsageError
            The sink has something to open, and is not open.
        """

    def close(self) -> None:
        """Give everything back."""
