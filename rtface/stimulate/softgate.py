"""What a safety gate does, done by this computer, for outputs that have no gate of their own. No thread, no device.

It keeps the order of calls and the same limits, and holds them against the light that happened: an edge that this
computer makes too late ends the train. But it dies with the process: a light that it has turned on stays on if the
process is killed. Only a device that ends a pulse by itself can promise more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rtface.config import UnguardedOutput
from rtface.core.clock import NS_PER_MS
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse

_LATE_NS = 20 * NS_PER_MS
"""An edge made later than this after it was due ends its train."""
_OVERLONG_NS = NS_PER_MS
"""A pulse longer than the longest by more than this ends its train."""
_SETTLE_NS = 5 * NS_PER_MS
"""A device that times its trains begins them a little after the command: it is made dark this long after the end."""


class Lamp(Protocol):
    """What a `SoftGate` turns on and off.

    Attributes
    ----------
    times_trains : bool
        `on` begins a whole train that the device times by itself; else one pulse. `off` ends both.
    """

    times_trains: bool

    def on(self, pulse: Pulse, due_ns: int) -> int:
        """Light on; return when that was, in nanoseconds of the host's clock.

        Parameters
        ----------
        pulse : Pulse
        due_ns : int
            When it should be.

        Raises
        ------
        OutputError
            The device failed.
        """

    def off(self, due_ns: int) -> int:
        """Light off whatever it was; parameters, return and errors as of `on`.

        It returns only when the light is off, as far as the device can answer for that; else it raises: also in this
        call, not in a later one, where the system knows that nobody takes what was sent.
        """


@dataclass(frozen=True, slots=True)
class SoftLimits:
    """What a `SoftGate` refuses to exceed; None: anything goes."""

    max_on_ns: int | None = None
    min_off_ns: int = 0
    max_pulses: int | None = None
    only_full: bool = False
    """The device cannot give less than full light."""

    @classmethod
    def of(cls, settings: UnguardedOutput, *, only_full: bool = False) -> SoftLimits:
        """Return the limits that a configuration sets."""
        return cls(
            round(settings.max_on_ms * NS_PER_MS),
            round(settings.min_off_ms * NS_PER_MS),
            settings.max_pulses,
            only_full,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return milliseconds and counts by the names of the configuration."""
        if self.max_on_ns is None:
            return {}
        return {
            "max_on_ms": self.max_on_ns / NS_PER_MS,
            "min_off_ms": self.min_off_ns / NS_PER_MS,
            "max_pulses": self.max_pulses,
        }


@dataclass(slots=True)
class _Train:
    number: int
    pulse: Pulse
    left: int
    next_ns: int
    on_ns: int = 0
    lit: bool = False


class SoftGate:
    """The state machine of an output that the host itself guards.

    Every call takes the present time, which must not decrease, and first does what was due until then.

    Parameters
    ----------
    lamp : Lamp
        One that answers with a time before the call has its edges when they are due, by calculation alone.
    limits : SoftLimits
    liveness_ns : int
        Without `alive_ns` set anew for this long it disarms.
    report : callable
        Takes each `Report`.
    exact : bool
        The lamp is one by calculation alone: no edge of it can be late.
    played : callable or None
        From a pulse to what the device makes of it, in its grain; None for one that it cannot play. Limits hold for both.

    Attributes
    ----------
    state : OutputState
    alive_ns : int
        The caller's last sign of life; set it.
    """

    def __init__(
        self,
        lamp: Lamp,
        limits: SoftLimits,
        liveness_ns: int,
        report: Callable[[Report], None],
        *,
        exact: bool = False,
        played: Callable[[Pulse], Pulse | None] | None = None,
    ) -> None:
        self.state = OutputState.DISARMED
        self.alive_ns = -(1 << 62)
        self._lamp = lamp
        self._limits = limits
        self._liveness_ns = liveness_ns
        self._report_to = report
        self._exact = exact
        self._played = played
        self._train: _Train | None = None
        self._rested_ns = -(1 << 62)
        self._pulses = 0

    @property
    def due_ns(self) -> int | None:
        """When `advance` has something to do; None while nothing can come by itself."""
        if self.state not in (OutputState.ARMED, OutputState.FIRING):
            return None
        silent_ns = self.alive_ns + self._liveness_ns
        return silent_ns if self._train is None else min(silent_ns, self._train.next_ns)

    def advance(self, now_ns: int) -> None:
        """Do what was due until now, in its order."""
        while (due_ns := self.due_ns) is not None and due_ns <= now_ns:
            train = self._train
            if train is None or due_ns < train.next_ns:
                at_ns = due_ns if self._exact else now_ns
                self._report(None, OutputEvent.SILENT, at_ns, OutputReason.HOST_SILENT)
                self._leave(OutputState.DISARMED, OutputReason.HOST_SILENT, at_ns)
            elif train.lit:
                self._pulse_over(train, due_ns, now_ns)
            else:
                self._pulse(train, due_ns, now_ns)

    def arm(self, now_ns: int) -> OutputReason:
        """Arm; return why not, or `OutputReason.NONE`."""
        self.advance(now_ns)
        if self.state in (OutputState.ARMED, OutputState.FIRING):
            return OutputReason.NONE
        if self.state is not OutputState.DISARMED:
            return OutputReason.WRONG_STATE
        if now_ns - self.alive_ns >= self._liveness_ns:
            return OutputReason.HOST_SILENT
        self._change(OutputState.ARMED, OutputReason.NONE, now_ns)
        return OutputReason.NONE

    def clear(self, now_ns: int) -> OutputReason:
        """End an emergency stop; return why not, or `OutputReason.NONE`."""
        if self.state is not OutputState.STOPPED:
            return OutputReason.WRONG_STATE
        self._change(OutputState.DISARMED, OutputReason.CLEARED, now_ns)
        return OutputReason.NONE

    def fire(self, number: int, pulse: Pulse, now_ns: int, handed_ns: int) -> None:
        """Begin a pulse or a train, or report why not; `handed_ns` is when the caller called."""
        self.advance(now_ns)
        refusal = self._refusal(pulse, now_ns)
        played: Pulse | None = pulse
        if refusal is OutputReason.NONE and self._played is not None:
            played = self._played(pulse)
            refusal = OutputReason.BAD_VALUE if played is None else self._refusal(played, now_ns)
        if played is None or refusal is not OutputReason.NONE:
            self._report(number, OutputEvent.REFUSED, now_ns, refusal)
            return
        self._train = train = _Train(number, played, played.count, now_ns)
        self.state = OutputState.FIRING
        try:
            began_ns = self._lamp.on(played, now_ns)
        except OutputError as error:
            self.lose(error, now_ns)
            return
        details = {"handed_ns": handed_ns}
        if played != pulse:
            details |= {"on_ns": played.on_ns, "period_ns": played.period_ns}
        self._report(number, OutputEvent.SENT, began_ns, details=details)
        self._report(number, OutputEvent.ACK, began_ns)
        self._lit(train, began_ns, now_ns)

    def cancel(self, number: int, now_ns: int, handed_ns: int) -> None:
        """Light off; stays armed."""
        self._end(number, now_ns, handed_ns, OutputState.ARMED, OutputReason.CANCELLED)

    def disarm(self, number: int, now_ns: int, handed_ns: int, why: str) -> None:
        """Light off and disarmed."""
        self._end(number, now_ns, handed_ns, OutputState.DISARMED, OutputReason.DISARMED_BY_HOST, why)

    def stop(self, number: int, now_ns: int, handed_ns: int) -> None:
        """Light off and stopped until `clear`."""
        self._end(number, now_ns, handed_ns, OutputState.STOPPED, OutputReason.STOPPED_BY_HOST)

    def lose(self, error: OutputError, now_ns: int) -> None:
        """Report that the device failed, try to turn its light off, and go to FAULT for good."""
        if self.state is OutputState.FAULT:
            return
        self.state = OutputState.FAULT
        train, self._train = self._train, None
        number = None if train is None else train.number
        self._report(number, OutputEvent.LOST, now_ns, OutputReason.PORT, {"error": str(error)})
        try:
            self._lamp.off(now_ns)
        except OutputError:
            return

    def _refusal(self, pulse: Pulse, now_ns: int) -> OutputReason:
        limits = self._limits
        if self.state is OutputState.FIRING:
            return OutputReason.BUSY
        if self.state is not OutputState.ARMED:
            return OutputReason.NOT_ARMED
        if pulse.count < 1 or not 0 < pulse.amplitude <= 1 or pulse.on_ns < 1:
            return OutputReason.BAD_VALUE
        if pulse.count > 1 and pulse.period_ns < pulse.on_ns + limits.min_off_ns:
            return OutputReason.BAD_VALUE
        if limits.only_full and pulse.amplitude < 1:
            return OutputReason.BAD_VALUE
        if limits.max_on_ns is not None and pulse.on_ns > limits.max_on_ns:
            return OutputReason.TOO_LONG
        if now_ns < self._rested_ns:
            return OutputReason.TOO_SOON
        if limits.max_pulses is not None and self._pulses + pulse.count > limits.max_pulses:
            return OutputReason.SESSION_PULSES
        return OutputReason.NONE

    def _pulse(self, train: _Train, due_ns: int, now_ns: int) -> None:
        """Begin the next pulse, unless this computer is too late for it."""
        if self._lamp.times_trains:
            self._lit(train, due_ns, due_ns)
        elif self._late(due_ns, now_ns):
            self._leave(OutputState.ARMED, OutputReason.LATE, now_ns)
        else:
            try:
                began_ns = self._lamp.on(train.pulse, due_ns)
            except OutputError as error:
                self.lose(error, now_ns)
                return
            self._exact |= began_ns < now_ns
            self._lit(train, began_ns, due_ns)

    def _lit(self, train: _Train, began_ns: int, due_ns: int) -> None:
        train.on_ns, train.lit = began_ns, True
        train.next_ns = began_ns + train.pulse.on_ns
        train.left -= 1
        self._pulses += 1
        self._report(train.number, OutputEvent.LIGHT_ON, began_ns, details=self._planned())
        if self._lamp.times_trains:
            train.next_ns += 0 if train.left else _SETTLE_NS
        elif self._late(due_ns, began_ns):
            self._leave(OutputState.ARMED, OutputReason.LATE, began_ns)

    def _pulse_over(self, train: _Train, due_ns: int, now_ns: int) -> None:
        """End a pulse; the train goes on only if the light was what it should have been."""
        if self._lamp.times_trains:
            if train.left == 0:
                self._leave(OutputState.ARMED, OutputReason.COMPLETED, due_ns)
            else:
                self._dark(train, due_ns, OutputReason.COMPLETED)
                train.next_ns = train.on_ns + train.pulse.period_ns
            return
        try:
            ended_ns = self._lamp.off(due_ns)
        except OutputError as error:
            self.lose(error, now_ns)
            return
        self._exact |= ended_ns < now_ns
        longest_ns = self._limits.max_on_ns
        overlong = longest_ns is not None and ended_ns - train.on_ns > longest_ns + _OVERLONG_NS
        reason = OutputReason.LATE if overlong or self._late(due_ns, ended_ns) else OutputReason.COMPLETED
        if train.left == 0 or reason is OutputReason.LATE:
            self._train = None
            self._enter(OutputState.ARMED, reason, ended_ns, train)
        else:
            self._dark(train, ended_ns, reason)
            train.next_ns = max(train.on_ns + train.pulse.period_ns, self._rested_ns)

    def _late(self, due_ns: int, made_ns: int) -> bool:
        return not self._exact and made_ns - due_ns > _LATE_NS

    def _dark(self, train: _Train, ended_ns: int, reason: OutputReason) -> None:
        train.lit = False
        self._rested_ns = ended_ns + self._limits.min_off_ns
        details = {"on_ns": ended_ns - train.on_ns}
        if reason is OutputReason.COMPLETED:
            details |= self._planned()
        self._report(train.number, OutputEvent.LIGHT_OFF, ended_ns, reason, details)

    def _planned(self) -> dict[str, Any]:
        """Return what marks a time that the device was given, but did not report."""
        return {"planned": True} if self._lamp.times_trains else {}

    def _end(
        self,
        number: int,
        now_ns: int,
        handed_ns: int,
        to: OutputState,
        reason: OutputReason,
        why: str | None = None,
    ) -> None:
        self.advance(now_ns)
        if self.state is OutputState.FAULT:
            self._report(number, OutputEvent.REFUSED, now_ns, OutputReason.PORT)
            return
        details = {"handed_ns": handed_ns} | ({} if why is None else {"why": why})
        self._report(number, OutputEvent.SENT, now_ns, details=details)
        armed = self.state in (OutputState.ARMED, OutputState.FIRING)
        if armed or to is OutputState.STOPPED:
            self._leave(to, reason, now_ns)
        if not self._failed():
            self._report(number, OutputEvent.ACK, now_ns)

    def _failed(self) -> bool:
        return self.state is OutputState.FAULT

    def _leave(self, to: OutputState, reason: OutputReason, now_ns: int) -> None:
        """Go to another state with the light off, and end the train that ran."""
        train, self._train = self._train, None
        try:
            ended_ns = self._lamp.off(now_ns)
        except OutputError as error:
            self._train = train
            self.lose(error, now_ns)
            return
        dark_ns = ended_ns
        if train is not None and self._lamp.times_trains and reason is OutputReason.COMPLETED:
            dark_ns = train.on_ns + train.pulse.on_ns
        self._enter(to, reason, dark_ns, train)
        if train is not None:
            self._rested_ns = max(self._rested_ns, ended_ns + self._limits.min_off_ns)

    def _enter(self, to: OutputState, reason: OutputReason, ended_ns: int, train: _Train | None) -> None:
        self.state = to
        if train is not None:
            if train.lit:
                self._dark(train, ended_ns, reason)
            self._report(train.number, OutputEvent.TRAIN_ENDED, ended_ns, reason)
        if to is not OutputState.ARMED:
            self._report(None, OutputEvent.STATE, ended_ns, reason)

    def _change(self, to: OutputState, reason: OutputReason, now_ns: int) -> None:
        self.state = to
        self._report(None, OutputEvent.STATE, now_ns, reason)

    def _report(
        self,
        number: int | None,
        event: OutputEvent,
        t_ns: int,
        reason: OutputReason = OutputReason.NONE,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self._report_to(Report(number, event, t_ns, self.state, reason, None, None, details or {}))
