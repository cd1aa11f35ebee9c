"""From the gate's messages to reports: its state, the train under way, and its times on the host's clock. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtface.core.clock import NS_PER_S, NS_PER_US
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.stimulate.gate import protocol
from rtface.stimulate.gate.clock import GateClock
from rtface.stimulate.gate.codes import Kind
from rtface.stimulate.gate.translate import STATES, to_reason

_CLOCK_NS = NS_PER_S
_STATUSES_WITHOUT_TRAIN = 3


@dataclass(slots=True)
class _GateTrain:
    number: int
    single: bool
    handed_ns: int
    acknowledged: bool = False
    missing: int = 0


class GateReporter:
    """Times are nanoseconds of the host's clock and must not decrease.

    Parameters
    ----------
    send : callable
        Takes each `Report`.

    Attributes
    ----------
    state : OutputState
        By the gate's newest message.
    clock : GateClock
    """

    def __init__(self, send: Callable[[Report], None]) -> None:
        self.state = OutputState.DISARMED
        self.clock = GateClock()
        self._send = send
        self._reported = OutputState.DISARMED
        self._next_clock_ns = 0
        self._train: _GateTrain | None = None

    @property
    def train(self) -> int | None:
        """The command whose pulse or train is under way."""
        return None if self._train is None else self._train.number

    def begin(self, number: int, pulse: protocol.Pulse, handed_ns: int) -> None:
        """Take note of a pulse or train that is sent."""
        self._train = _GateTrain(number, pulse.count == 1, handed_ns)

    def acknowledge(self, number: int) -> None:
        """Take note that the gate has accepted the train."""
        if self._train is not None and self._train.number == number:
            self._train.acknowledged = True

    def forget(self, number: int) -> None:
        """Take note that the gate does not run the train."""
        if self.train == number:
            self._train = None

    def fail(self) -> int | None:
        """Go to FAULT for good; return the command whose train ends by it."""
        number, self._train = self.train, None
        self.state = self._reported = OutputState.FAULT
        return number

    def enter(self, state: OutputState, reason: OutputReason, time_us: int, now_ns: int) -> None:
        """Take the gate's state; report it where it was armed, disarmed, stopped or has failed."""
        self.state = state
        shown = OutputState.ARMED if state is OutputState.FIRING else state
        if shown is not self._reported:
            self._reported = shown
            self.report(None, OutputEvent.STATE, now_ns, reason, time_us)

    def round_trip(self, device_us: int, sent_ns: int, now_ns: int) -> None:
        """Fit the gate's clock by a question and its answer; report the fit now and then."""
        self.clock.add(device_us, sent_ns, now_ns)
        if now_ns >= self._next_clock_ns:
            self._next_clock_ns = now_ns + _CLOCK_NS
            facts = {"round_trip_ns": self.clock.least_ns, "jumps": self.clock.jumps}
            self.report(None, OutputEvent.CLOCK, now_ns, details=self.clock.line()._asdict() | facts)

    def status(self, status: protocol.Status, now_ns: int) -> None:
        """Take a status. A train whose end was lost ends when several in a row are of a gate that runs none."""
        state, reason = STATES[status.state], to_reason(status.reason)
        self.enter(state, reason, status.time_us, now_ns)
        train = self._train
        if train is None or not train.acknowledged or state is OutputState.FIRING:
            return
        train.missing += 1
        if train.missing >= _STATUSES_WITHOUT_TRAIN:
            self._end_train(reason, status.time_us, now_ns, {"presumed": True})

    def event(self, event: protocol.Event, now_ns: int) -> None:
        """Take an event, which is no boot."""
        reason, time_us = to_reason(event.reason), event.time_us
        number, state = self.train, STATES[event.state]
        match event.kind:
            case Kind.PULSE_BEGAN:
                self.state = OutputState.FIRING
                self.report(number, OutputEvent.LIGHT_ON, now_ns, reason, time_us, {"pulse": event.pulse})
            case Kind.PULSE_ENDED:
                self.state = state
                details = {"pulse": event.pulse, "on_ns": event.value * NS_PER_US}
                self.report(number, OutputEvent.LIGHT_OFF, now_ns, reason, time_us, details)
                if self._train is not None and self._train.single:
                    self._end_train(reason, time_us, now_ns)
            case Kind.TRAIN_ENDED:
                self.state = state
                self._end_train(reason, time_us, now_ns, {"pulses": event.value})
            case Kind.STATE:
                self.enter(state, reason, time_us, now_ns)
            case Kind.BAD_FRAME:
                self.report(None, OutputEvent.NOISE, now_ns, reason, time_us, {"bad_frames": event.value})

    def report(
        self,
        number: int | None,
        event: OutputEvent,
        t_ns: int,
        reason: OutputReason = OutputReason.NONE,
        device_us: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Report something that happened to a command or to the gate; see `Report`."""
        host_ns = None if device_us is None else self.clock.to_host(device_us, t_ns)
        train = self._train
        if host_ns is not None and train is not None and train.number == number:
            host_ns = max(host_ns, train.handed_ns)  # whatever the clocks give, it cannot have been before
        self._send(Report(number, event, t_ns, self.state, reason, device_us, host_ns, details or {}))

    def _end_train(
        self, reason: OutputReason, time_us: int, now_ns: int, details: Mapping[str, Any] | None = None
    ) -> None:
        if self._train is not None:
            self.report(self._train.number, OutputEvent.TRAIN_ENDED, now_ns, reason, time_us, details)
        self._train = None
