"""The contract of an output: what turns the light on, and says what became of each command."""

from __future__ import annotations

from typing import Protocol

from rtface.core.check import Check
from rtface.core.outputs import OutputInfo, OutputState, Report
from rtface.core.records import Pulse


class Output(Protocol):
    """Something that fires pulses.

    ``open``, ``arm``, ``clear`` and ``self_test`` wait, but never for long, and raise. The rest may be called from the
    processing thread: they never wait and never raise for a fault of the device; what becomes of a command is told
    by `reports`. Any thread may call anything.

    The caller's sign of life is `alive`. Without one for ``liveness_ms`` the output disarms, whatever other threads
    of this process still run: it is the thread that decides whose hanging must turn the light off.
    """

    @property
    def state(self) -> OutputState:
        """Where it stands, as far as the host knows."""

    def open(self) -> OutputInfo:
        """Open the device, check what it is and read its limits back; does nothing more when it is open.

        Raises
        ------
        OutputError
            The device is not there, is in use, or is not what was expected.
        """

    def arm(self) -> None:
        """Allow `fire`; needs a fresh `alive`. Does nothing when it is armed.

        Raises
        ------
        OutputError
            With the device's reason.
        """

    def clear(self) -> None:
        """End an emergency stop; the output is disarmed then.

        Raises
        ------
        OutputError
            With the device's reason.
        """

    def self_test(self) -> list[Check]:
        """Return what a look at the device found; the light stays off.

        Raises
        ------
        OutputError
            The device is not open, or vanished.
        """

    def fire(self, pulse: Pulse) -> int:
        """Ask for a pulse or a train; return the command's number, which reports refer to."""

    def cancel(self) -> int:
        """Light off and no more pulses; stays armed."""

    def disarm(self, reason: str) -> int:
        """Light off and no more firing; `reason` goes into the report."""

    def stop(self) -> int:
        """Emergency stop: light off, latched until `clear`."""

    def alive(self) -> None:
        """Say that the caller still decides; called for each frame and each poll."""

    def reports(self) -> list[Report]:
        """Return what happened since the last call, in order."""

    def close(self) -> None:
        """Light off, then give the device back; may be called at any time, any number of times."""
