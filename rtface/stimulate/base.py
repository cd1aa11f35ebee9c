"""The contract of an output: what turns the light on, and reports what became of each command."""

from __future__ import annotations

from typing import Protocol

from rtface.core.check import Check
from rtface.core.outputs import OutputInfo, OutputReason, OutputState, Report
from rtface.core.records import Pulse


class Output(Protocol):
    """Something that fires pulses.

    ``open``, ``arm``, ``clear`` and ``self_test`` wait, but never for long, and raise. The rest may be called from the
    processing thread: they never wait and never raise for a fault of the device; what becomes of a command is in
    `reports`. Any thread may call anything.

    The caller's sign of life is `alive`. Without one for ``liveness_ms`` the output disarms, whatever other threads
    of this process still run: it is the thread that decides whose hanging must turn the light off.
    """

    @property
    def state(self) -> OutputState:
        """Where it stands, by what the host has received."""

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
        """Check the device; the light stays off.

        Raises
        ------
        OutputError
            The device is not open, or vanished.
        """

    def fire(self, pulse: Pulse) -> int:
        """Fire a pulse or a train; return the command's number, which reports refer to."""

    def cancel(self) -> int:
        """Light off and no more pulses; stays armed."""

    def disarm(self, reason: str) -> int:
        """Light off and no more firing; `reason` goes into the report."""

    def stop(self) -> int:
        """Emergency stop: light off, latched until `clear`."""

    def alive(self) -> None:
        """Give a sign of life of what decides; called for each frame and each poll."""

    def reports(self) -> list[Report]:
        """Return what happened since the last call, in order."""

    def close(self) -> None:
        """Light off, then give the device back; may be called at any time, any number of times."""


_REASONS = {
    OutputReason.HOST_SILENT: "alive() is not called: what decides is not running, or hangs",
    OutputReason.WRONG_STATE: "it is in a state that does not allow it",
    OutputReason.STOP_PIN: "the emergency stop is pressed, or nothing is wired to its pin",
    OutputReason.ARM_SWITCH: "its arm switch is off",
    OutputReason.LIMITS_LOST: "its limits were damaged; sign them anew with `rtface gate limits --set ... --signed-off-by NAME`",
    OutputReason.NO_LIMITS: "nobody has signed its limits; `rtface gate limits --set ... --signed-off-by NAME`",
    OutputReason.NO_HAND: "its button must be held for a second with the arm switch on",
    OutputReason.FOREIGN: "another program has greeted it; let one alone have it, close it and open it again",
    OutputReason.MEMORY: "it lost its memory and cannot tell why; arm switch off, hold its button for a second",
    OutputReason.LIGHT_UNCOMMANDED: "its photodiode saw light that was not commanded; once dark, arm switch off, hold its button",
    OutputReason.LIGHT_MISSING: "its photodiode did not see light that was commanded; then arm switch off, hold its button",
    OutputReason.STORING: "it is storing new limits; try again in a second",
    OutputReason.NO_ANSWER: "it does not answer",
    OutputReason.PORT: "its port failed",
    OutputReason.RESET: "it started anew; close it and open it again",
    OutputReason.LATE: "this computer was too late for an edge of the light",
    OutputReason.STALE: "the command was lost on the line; try again",
}


def explain(reason: OutputReason) -> str:
    """Return a reason for a person, its code behind it."""
    text = _REASONS.get(reason)
    return f"{reason.value}" if text is None else f"{text} ({reason.value})"
