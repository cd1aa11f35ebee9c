"""The host's side of the gate's line: what to send and when, and what each answer means. No I/O, no thread, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from rtface.core.clock import NS_PER_MS, NS_PER_S, NS_PER_US
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.gate import protocol
from rtface.stimulate.gate.clock import GateClock
from rtface.stimulate.gate.codes import ABSOLUTE, Kind
from rtface.stimulate.gate.framing import Decoder, LineFrame
from rtface.stimulate.gate.protocol import Message
from rtface.stimulate.gate.requests import Answer, GateRequest, GateRequests
from rtface.stimulate.gate.translate import STATES, cause_name, to_message, to_reason

LATEST_FIRE_NS = 50 * NS_PER_MS
"""A pulse that was handed over longer ago than this is not sent: what it was decided on is too old."""

_IDLE_BEATS = 5
_CLOCK_NS = NS_PER_S
_NOISE_NS = 100 * NS_PER_MS
_TIMES_WITHOUT_TRAIN = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals in nanoseconds; see `rtface.config.GateOutputSettings`."""

    heartbeat_ns: int
    answer_ns: int
    silence_ns: int
    liveness_ns: int


@dataclass(slots=True)
class _GateTrain:
    number: int
    single: bool
    handed_ns: int
    acknowledged: bool = False
    missing: int = 0


class Conversation:
    """One session with a gate, from its port's opening to its loss.

    Times are nanoseconds of the host's clock and must not decrease.

    Parameters
    ----------
    timing : Timing
    say : callable
        Takes each `Report`.

    Attributes
    ----------
    state : OutputState
        What the gate last said.
    status : protocol.Status or None
        The gate's newest.
    limits : protocol.Limits or None
        In force, once asked for.
    alive_ns : int
        The caller's last sign of life; set it.
    clock : GateClock
    errands : Errands
    """

    def __init__(self, timing: Timing, say: Callable[[Report], None]) -> None:
        self.state = OutputState.DISARMED
        self.status: protocol.Status | None = None
        self.limits: protocol.Limits | None = None
        self.alive_ns = -(1 << 62)
        self.clock = GateClock()
        self.errands = GateRequests(timing.answer_ns)
        self._timing = timing
        self._say = say
        self._reported = OutputState.DISARMED
        self._failure: OutputReason | None = None
        self._decoder = Decoder()
        self._echoes = self._noise = 0
        self._next_noise_ns = self._next_clock_ns = 0
        self._greeted = False
        self._next_poll_ns = 0
        self._idle = 0
        self._unheard_ns: int | None = None
        self._silent = False
        self._train: _GateTrain | None = None

    # -- what the port's thread does -------------------------------------------------------------------------------

    @property
    def failure(self) -> OutputReason | None:
        """Why the gate is lost; None while it is not."""
        return self._failure

    def wrote(self, count: int, now_ns: int) -> None:
        """Take note that the first `count` bytes of `errands.outgoing` have been written."""
        for errand in self.errands.wrote(count, now_ns):
            if errand.tries == 1 and errand.number is not None:
                self._report(errand.number, OutputEvent.SENT, now_ns, details=errand.details)
            if self._unheard_ns is None:
                self._unheard_ns = now_ns

    @property
    def due_ns(self) -> int | None:
        """When `tick` has something to do; None while only the caller or the gate can change anything."""
        if self._failure is not None:
            return None
        due_ns = self.errands.due_ns
        if not self._greeted:
            return due_ns
        return self._next_poll_ns if due_ns is None else min(due_ns, self._next_poll_ns)

    def tick(self, now_ns: int) -> None:
        """Do what time demands: heartbeats, second tries, and giving up."""
        if self._failure is not None:
            return
        for errand in self.errands.overdue(now_ns):
            self._give_up(errand, now_ns, OutputReason.NO_ANSWER)
        if not self._greeted:
            return
        self._watch_caller(now_ns)
        if now_ns >= self._next_poll_ns:
            self._poll(now_ns)
        if self._unheard_ns is not None and now_ns - self._unheard_ns >= self._timing.silence_ns:
            self.lost(OutputReason.NO_ANSWER, now_ns)

    def received(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the gate."""
        if self._failure is not None:
            return
        for frame in self._decoder.feed(data):
            self._unheard_ns = None
            self._understand(frame, now_ns)
        noise = self._decoder.rejected + self._echoes
        if not self._greeted:
            self._noise = noise  # what a boot loader says, or half a frame of a conversation before this one
        if noise > self._noise and now_ns >= self._next_noise_ns:
            self._noise = noise
            self._next_noise_ns = now_ns + _NOISE_NS
            self._report(None, OutputEvent.NOISE, now_ns, details={"pieces": self._noise})

    def lost(self, reason: OutputReason, now_ns: int, error: str = "") -> None:
        """Give the gate up, for good: no heartbeat goes out any more, and no answer is believed."""
        if self._failure is not None:
            return
        self._failure = reason
        self.state = self._reported = OutputState.FAULT
        number = None if self._train is None else self._train.number
        self._train = None
        for errand in self.errands.abandon():
            self._give_up(errand, now_ns, reason)
        self._report(number, OutputEvent.LOST, now_ns, reason, details={"error": error} if error else {})

    # -- what the caller wants --------------------------------------------------------------------------------------

    def ask(self, message: Message, answer: Future[Answer], now_ns: int) -> None:
        """Send a question or command; its `answer` comes as a result, an `OutputError` when there is none."""
        errand = GateRequest(message, 0, None, answer)
        if self._failure is not None:
            errand.fail(self._failure.value)
            return
        if isinstance(message, protocol.Hello):
            for waiting in self.errands.abandon():
                self._give_up(waiting, now_ns, OutputReason.NEW_HELLO)
        self.errands.send(message, None, answer)

    def fire(self, number: int, pulse: Pulse, handed_ns: int, now_ns: int) -> None:
        """Send a pulse or train, or report why not."""
        if self._failure is not None:
            self._report(number, OutputEvent.REFUSED, now_ns, self._failure)
            return
        wanted = to_message(pulse)
        refusal = self._refusal(wanted, handed_ns, now_ns)
        if refusal is not OutputReason.NONE:
            self._report(number, OutputEvent.REFUSED, now_ns, refusal)
            return
        self._train = _GateTrain(number, wanted.count == 1, handed_ns)
        self.errands.send(wanted, number, None, {"handed_ns": handed_ns})

    def order(self, message: Message, number: int, handed_ns: int, now_ns: int, why: str = "") -> None:
        """Send `Cancel`, `Disarm` or `Stop`."""
        if self._failure is not None:
            self._report(number, OutputEvent.REFUSED, now_ns, self._failure)
            return
        details = {"handed_ns": handed_ns} | ({"why": why} if why else {})
        self.errands.send(message, number, None, details)

    def fresh(self, now_ns: int) -> bool:
        """Whether the caller gave a sign of life lately."""
        return now_ns - self.alive_ns <= self._timing.liveness_ns

    # -- sending --------------------------------------------------------------------------------------------------

    def _refusal(self, wanted: protocol.Pulse, handed_ns: int, now_ns: int) -> OutputReason:
        limits = self.limits
        if self.state is not OutputState.ARMED and self.state is not OutputState.FIRING:
            return OutputReason.NOT_ARMED
        if self.state is OutputState.FIRING or self._train is not None:
            return OutputReason.BUSY
        if now_ns - handed_ns > LATEST_FIRE_NS:
            return OutputReason.STALE
        if wanted.on_us < ABSOLUTE["MIN_ON_US"] or not 1 <= wanted.amplitude <= 255:
            return OutputReason.BAD_VALUE
        if not 1 <= wanted.count <= 0xFFFF or wanted.period_us > ABSOLUTE["MAX_OFF_US"]:
            return OutputReason.BAD_VALUE
        if limits is None:
            return OutputReason.LIMITS_LOST
        if wanted.on_us > limits.max_on_us:
            return OutputReason.TOO_LONG
        if wanted.amplitude > limits.max_amplitude:
            return OutputReason.TOO_STRONG
        if wanted.count > 1 and wanted.period_us < wanted.on_us + limits.min_off_us:
            return OutputReason.BAD_VALUE
        return OutputReason.NONE

    def _give_up(self, errand: GateRequest, now_ns: int, reason: OutputReason) -> None:
        errand.fail(reason.value)
        if errand.number is not None:
            self._report(errand.number, OutputEvent.TIMEOUT, now_ns, reason)
            self._forget_train(errand.number)

    def _watch_caller(self, now_ns: int) -> None:
        """Disarm, once, when the caller has gone silent; the gate's dead-man does so too, as no heartbeat goes out."""
        if self.fresh(now_ns):
            self._silent = False
        elif not self._silent and self.state in (OutputState.ARMED, OutputState.FIRING):
            self._silent = True
            self._report(None, OutputEvent.SILENT, now_ns, OutputReason.HOST_SILENT)
            self.errands.send(protocol.Disarm())

    def _poll(self, now_ns: int) -> None:
        self._next_poll_ns += self._timing.heartbeat_ns
        if self._next_poll_ns <= now_ns:
            self._next_poll_ns = now_ns + self._timing.heartbeat_ns
        beating = self.fresh(now_ns)
        self._idle = 0 if beating else (self._idle + 1) % _IDLE_BEATS
        if beating or self._idle == 1:
            self.errands.poll(protocol.Heartbeat() if beating else protocol.GetStatus())

    # -- understanding --------------------------------------------------------------------------------------------

    def _understand(self, frame: LineFrame, now_ns: int) -> None:
        match frame.message:
            case protocol.Status() as status:
                self._take_status(status, frame.seq, now_ns)
            case protocol.Event() as event:
                self._take_event(event, now_ns)
            case protocol.Ack() | protocol.Nak() as answer:
                self._take_answer(answer, frame.seq, now_ns)
            case protocol.Welcome() as welcome:
                self._take_welcome(welcome, frame.seq, now_ns)
            case protocol.Limits() as limits:
                self.limits = limits
                self._resolve(limits, frame.seq)
            case _:
                self._echoes += 1  # a message of the host's own comes back

    def _resolve(self, answer: Answer, seq: int) -> tuple[GateRequest | None, bool]:
        errand, late = self.errands.answered(seq)
        if errand is not None:
            errand.resolve(answer)
        return errand, late

    def _take_welcome(self, welcome: protocol.Welcome, seq: int, now_ns: int) -> None:
        errand, late = self._resolve(welcome, seq)
        if errand is None or late:
            return
        if not self._greeted:
            self._greeted = True
            self._next_poll_ns = now_ns
        self._see(STATES[welcome.state], OutputReason.NONE, welcome.time_us, now_ns)

    def _take_status(self, status: protocol.Status, seq: int, now_ns: int) -> None:
        self.status = status
        errand = self.errands.polled(seq)
        if errand is not None:
            errand.resolve(status)
            if errand.sent_ns is not None and errand.tries == 1:
                self.clock.learn(status.time_us, errand.sent_ns, now_ns)
                self._report_clock(now_ns)
        self._see(STATES[status.state], to_reason(status.reason), status.time_us, now_ns)
        self._miss_train(status, now_ns)

    def _take_answer(self, answer: protocol.Ack | protocol.Nak, seq: int, now_ns: int) -> None:
        errand, late = self._resolve(answer, seq)
        if errand is None:
            return
        accepted = isinstance(answer, protocol.Ack)
        self.state = STATES[answer.state]
        if accepted and isinstance(errand.message, protocol.Arm):
            self._see(OutputState.ARMED, OutputReason.NONE, answer.time_us, now_ns)
        if errand.number is None:
            return
        if not accepted:
            self._forget_train(errand.number)
        elif isinstance(errand.message, protocol.Pulse):
            if self._train is None and late:
                self._train = _GateTrain(
                    errand.number, errand.message.count == 1, errand.details["handed_ns"]
                )
            if self._train is not None and self._train.number == errand.number:
                self._train.acknowledged = True
        happening = OutputEvent.ACK if accepted else OutputEvent.REFUSED
        details = {"tries": errand.tries} | ({"late": True} if late else {})
        self._report(errand.number, happening, now_ns, to_reason(answer.reason), answer.time_us, details)

    def _take_event(self, event: protocol.Event, now_ns: int) -> None:
        if not self._greeted:
            return
        reason, time_us = to_reason(event.reason), event.time_us
        train = self._train
        number = None if train is None else train.number
        match event.kind:
            case Kind.BOOT:
                self.lost(OutputReason.RESET, now_ns, cause_name(event.value))
            case Kind.PULSE_BEGAN:
                self.state = OutputState.FIRING
                self._report(number, OutputEvent.LIGHT_ON, now_ns, reason, time_us, {"pulse": event.pulse})
            case Kind.PULSE_ENDED:
                details = {"pulse": event.pulse, "on_ns": event.value * NS_PER_US}
                self.state = STATES[event.state]
                self._report(number, OutputEvent.LIGHT_OFF, now_ns, reason, time_us, details)
                if train is not None and train.single:
                    self._end_train(reason, time_us, now_ns)
            case Kind.TRAIN_ENDED:
                self.state = STATES[event.state]
                if train is not None:
                    self._end_train(reason, time_us, now_ns, {"pulses": event.value})
            case Kind.STATE:
                self._see(STATES[event.state], reason, time_us, now_ns)
            case Kind.BAD_FRAME:
                self._report(None, OutputEvent.NOISE, now_ns, reason, time_us, {"bad_frames": event.value})
            case Kind.LIMITS_STORED:
                pass

    def _see(self, state: OutputState, reason: OutputReason, time_us: int, now_ns: int) -> None:
        """Take the gate's state; report it where it was armed, disarmed, stopped or has failed."""
        self.state = state
        shown = OutputState.ARMED if state is OutputState.FIRING else state
        if shown is not self._reported:
            self._reported = shown
            self._report(None, OutputEvent.STATE, now_ns, reason, time_us)

    def _miss_train(self, status: protocol.Status, now_ns: int) -> None:
        """End a train whose end the gate could not tell: it has said several times since that nothing runs."""
        train = self._train
        if train is None or not train.acknowledged or STATES[status.state] is OutputState.FIRING:
            return
        train.missing += 1
        if train.missing >= _TIMES_WITHOUT_TRAIN:
            self._end_train(to_reason(status.reason), status.time_us, now_ns, {"presumed": True})

    def _end_train(
        self, reason: OutputReason, time_us: int, now_ns: int, details: Mapping[str, Any] | None = None
    ) -> None:
        if self._train is not None:
            self._report(self._train.number, OutputEvent.TRAIN_ENDED, now_ns, reason, time_us, details)
        self._train = None

    def _forget_train(self, number: int) -> None:
        if self._train is not None and self._train.number == number:
            self._train = None

    def _report_clock(self, now_ns: int) -> None:
        if now_ns >= self._next_clock_ns:
            self._next_clock_ns = now_ns + _CLOCK_NS
            details = self.clock.line()._asdict() | {
                "round_trip_ns": self.clock.least_ns,
                "jumps": self.clock.jumps,
            }
            self._report(None, OutputEvent.CLOCK, now_ns, details=details)

    def _report(
        self,
        number: int | None,
        event: OutputEvent,
        t_ns: int,
        reason: OutputReason = OutputReason.NONE,
        device_us: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        host_ns = None if device_us is None else self.clock.to_host(device_us, t_ns)
        train = self._train
        if host_ns is not None and train is not None and train.number == number:
            host_ns = max(host_ns, train.handed_ns)  # whatever the clocks say, it cannot have been before
        self._say(Report(number, event, t_ns, self.state, reason, device_us, host_ns, details or {}))
