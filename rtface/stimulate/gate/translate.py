"""Between the gate's codes and units and those of `rtface.core.outputs`. No I/O."""

from __future__ import annotations

from rtface.core.clock import NS_PER_US
from rtface.core.outputs import OutputReason, OutputState
from rtface.core.records import Pulse
from rtface.stimulate.gate import codes, protocol

STATES = {
    codes.State.DISARMED: OutputState.DISARMED,
    codes.State.ARMED: OutputState.ARMED,
    codes.State.FIRING: OutputState.FIRING,
    codes.State.GAP: OutputState.FIRING,
    codes.State.STOPPED: OutputState.STOPPED,
    codes.State.FAULT: OutputState.FAULT,
}
"""The gate's states; the gap between two pulses of a train belongs to its firing."""


def to_message(pulse: Pulse) -> protocol.Pulse:
    """Return a pulse in the gate's units: whole microseconds, amplitudes of 1 to 255."""
    amplitude = min(max(1, round(pulse.amplitude * 255)), 256) if pulse.amplitude > 0 else 0
    return protocol.Pulse(
        on_us=round(pulse.on_ns / NS_PER_US),
        period_us=round(pulse.period_ns / NS_PER_US) if pulse.count > 1 else 0,
        count=pulse.count,
        amplitude=amplitude,
    )


def cause_name(cause: int) -> str:
    """Return why the gate began anew, for a person."""
    return (codes.ResetCause(cause & 15).name or "unknown").lower()


def to_reason(reason: codes.Reason) -> OutputReason:
    """Return the gate's reason by its name here."""
    return OutputReason(reason.name.lower())
