"""The host's side of the gate's line: what is sent and when, and what each answer means. No I/O, no thread, no clock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from rtface.core.clock import NS_PER_MS
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.gate import protocol
from rtface.stimulate.gate.codes import Kind, Reason
from rtface.stimulate.gate.framing import Decoder, LineFrame
from rtface.stimulate.gate.limits import refusal
from rtface.stimulate.gate.protocol import Message
from rtface.stimulate.gate.reporter import GateReporter
from rtface.stimulate.gate.requests import Answer, GateRequest, GateRequests
from rtface.stimulate.gate.translate import STATES, cause_name, to_message, to_reason

LATEST_FIRE_NS = 50 * NS_PER_MS
"""A pulse that was handed over longer ago than this is not sent: what it was decided on is too old."""

_IDLE_BEATS = 5
_NOISE_NS = 100 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals in nanoseconds; see `rtface.config.GateOutputSettings`."""

    heartbeat_ns: int
    answer_ns: int
    silence_ns: int
    liveness_ns: int


class GateLink:
    """The link to a gate, from its port's opening to its loss.

    Times are nanoseconds of the host's clock and must not decrease.

    Parameters
    ----------
    timing : Timing
    report : callable
        Takes each `Report`.

    Attributes
    ----------
    requests : GateRequests
        Under way.
    reporter : GateReporter
        Holds the gate's state and its clock.
    limits : protocol.Limits or None
        In force, once they were requested.
    failure : OutputReason or None
        Why the gate is lost; None while it is not.
    alive_ns : int
        The caller's last sign of life; set it.
    """

    def __init__(self, timing: Timing, report: Callable[[Report], None]) -> None:
        self.requests = GateRequests(timing.answer_ns)
        self.reporter = GateReporter(report)
        self.limits: protocol.Limits | None = None
        self.failure: OutputReason | None = None
        self.alive_ns = -(1 << 62)
        self._timing = timing
        self._decoder = Decoder()
        self._echoes = self._foreign = self._noise = 0
        self._next_noise_ns = 0
        self._greeted = False
        self._next_poll_ns = 0
        self._idle = 0
        self._unanswered_ns: int | None = None
        self._silent = False

    @property
    def old_protocol(self) -> bool:
        """Whether the gate sends frames of a protocol before this one."""
        return self._decoder.old > 0

    @property
    def state(self) -> OutputState:
        """By the gate's newest message."""
        return self.reporter.state

    def fresh(self, now_ns: int) -> bool:
        """Whether the caller gave a sign of life lately."""
        return now_ns - self.alive_ns <= self._timing.liveness_ns

    # -- what the port's thread does -------------------------------------------------------------------------------

    def wrote(self, count: int, now_ns: int) -> None:
        """Take note that the first `count` bytes of `requests.outgoing` have been written."""
        for request in self.requests.wrote(count, now_ns):
            if request.tries == 1 and request.number is not None:
                self.reporter.report(request.number, OutputEvent.SENT, now_ns, details=request.details)
            if self._unanswered_ns is None:
                self._unanswered_ns = now_ns

    @property
    def due_ns(self) -> int | None:
        """When `tick` has something to do; None while only the caller or the gate can change anything."""
        if self.failure is not None:
            return None
        due_ns = self.requests.due_ns
        if not self._greeted:
            return due_ns
        return self._next_poll_ns if due_ns is None else min(due_ns, self._next_poll_ns)

    def tick(self, now_ns: int) -> None:
        """Do what time demands: heartbeats, second tries, and giving up."""
        if self.failure is not None:
            return
        for request in self.requests.overdue(now_ns):
            self._give_up(request, now_ns, OutputReason.NO_ANSWER)
        if not self._greeted:
            return
        self._watch_caller(now_ns)
        if now_ns >= self._next_poll_ns:
            self._poll(now_ns)
        if self._unanswered_ns is not None and now_ns - self._unanswered_ns >= self._timing.silence_ns:
            self.lose(OutputReason.NO_ANSWER, now_ns)

    def received(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the gate."""
        if self.failure is not None:
            return
        for frame in self._decoder.feed(data):
            if self._is_ours(frame):
                self._unanswered_ns = None
                self._take(frame, now_ns)
            else:
                self._foreign += 1
        noise = self._decoder.rejected + self._echoes + self._foreign
        if not self._greeted:
            self._noise = noise  # what a boot loader sends, or half a frame from before this link
        if noise > self._noise and now_ns >= self._next_noise_ns:
            self._noise = noise
            self._next_noise_ns = now_ns + _NOISE_NS
            self.reporter.report(None, OutputEvent.NOISE, now_ns, details={"pieces": self._noise})

    def lose(self, reason: OutputReason, now_ns: int, error: str = "") -> None:
        """Give the gate up, for good: no heartbeat goes out any more, and no answer is taken."""
        if self.failure is not None:
            return
        self.failure = reason
        number = self.reporter.fail()
        for request in self.requests.abandon():
            self._give_up(request, now_ns, reason)
        details = {"error": error} if error else {}
        self.reporter.report(number, OutputEvent.LOST, now_ns, reason, details=details)

    # -- what the caller commands ------------------------------------------------------------------------------------

    def request(self, message: Message, answer: Future[Answer], now_ns: int) -> None:
        """Send a question or command; its `answer` comes as a result, an `OutputError` when there is none."""
        if self.failure is not None:
            GateRequest(message, 0, None, answer).fail(self.failure.value)
            return
        if isinstance(message, protocol.Hello):
            for waiting in self.requests.abandon():
                self._give_up(waiting, now_ns, OutputReason.NEW_HELLO)
        self.requests.send(message, None, answer)

    def fire(self, number: int, pulse: Pulse, handed_ns: int, now_ns: int) -> None:
        """Send a pulse or train, or report why not."""
        if self.failure is not None:
            self.reporter.report(number, OutputEvent.REFUSED, now_ns, self.failure)
            return
        message = to_message(pulse)
        refused = self._refusal(message, handed_ns, now_ns)
        if refused is not OutputReason.NONE:
            self.reporter.report(number, OutputEvent.REFUSED, now_ns, refused)
            return
        self.reporter.begin(number, message, handed_ns)
        self.requests.send(message, number, None, {"handed_ns": handed_ns})

    def command(self, message: Message, number: int, handed_ns: int, now_ns: int, why: str = "") -> None:
        """Send `Cancel`, `Disarm` or `Stop`."""
        if self.failure is not None:
            self.reporter.report(number, OutputEvent.REFUSED, now_ns, self.failure)
            return
        details = {"handed_ns": handed_ns} | ({"why": why} if why else {})
        self.requests.send(message, number, None, details)

    # -- sending --------------------------------------------------------------------------------------------------

    def _refusal(self, message: protocol.Pulse, handed_ns: int, now_ns: int) -> OutputReason:
        if self.state is not OutputState.ARMED and self.state is not OutputState.FIRING:
            return OutputReason.NOT_ARMED
        if self.state is OutputState.FIRING or self.reporter.train is not None:
            return OutputReason.BUSY
        if now_ns - handed_ns > LATEST_FIRE_NS:
            return OutputReason.STALE
        return refusal(message, self.limits)

    def _give_up(self, request: GateRequest, now_ns: int, reason: OutputReason) -> None:
        request.fail(reason.value)
        if request.number is not None:
            self.reporter.report(request.number, OutputEvent.TIMEOUT, now_ns, reason)
            self.reporter.forget(request.number)

    def _watch_caller(self, now_ns: int) -> None:
        """Disarm, once, when the caller has gone silent; the gate's dead-man does so too, as no heartbeat goes out."""
        if self.fresh(now_ns):
            self._silent = False
        elif not self._silent and self.state in (OutputState.ARMED, OutputState.FIRING):
            self._silent = True
            self.reporter.report(None, OutputEvent.SILENT, now_ns, OutputReason.HOST_SILENT)
            self.requests.send(protocol.Disarm())

    def _poll(self, now_ns: int) -> None:
        self._next_poll_ns += self._timing.heartbeat_ns
        if self._next_poll_ns <= now_ns:
            self._next_poll_ns = now_ns + self._timing.heartbeat_ns
        beating = self.fresh(now_ns)
        self._idle = 0 if beating else (self._idle + 1) % _IDLE_BEATS
        if beating or self._idle == 1:
            self.requests.poll(protocol.Heartbeat() if beating else protocol.GetStatus())

    # -- receiving ------------------------------------------------------------------------------------------------

    def _is_ours(self, frame: LineFrame) -> bool:
        """Whether a frame is of this conversation, begins it, or says that the gate has begun anew."""
        message = frame.message
        begins = isinstance(message, protocol.Welcome) and self.requests.greeting
        boots = isinstance(message, protocol.Event) and message.kind is Kind.BOOT
        return begins or boots or frame.nonce == self.requests.nonce

    def _take(self, frame: LineFrame, now_ns: int) -> None:
        match frame.message:
            case protocol.Status() as status:
                self._take_status(status, frame.seq, now_ns)
            case protocol.Event() as event if event.kind is Kind.BOOT:
                if self._greeted:
                    self.lose(OutputReason.RESET, now_ns, cause_name(event.value))
            case protocol.Event() as event:
                if self._greeted:
                    self.reporter.event(event, now_ns)
            case protocol.Nak(reason=Reason.FOREIGN) if not self.requests.greeting:
                self.lose(OutputReason.FOREIGN, now_ns, "another host has greeted the gate")
            case protocol.Nak(reason=Reason.NO_HELLO) if not self.requests.greeting:
                self.lose(OutputReason.RESET, now_ns)
            case protocol.Ack() | protocol.Nak() as answer:
                self._take_answer(answer, frame.seq, now_ns)
            case protocol.Welcome() as welcome:
                self._take_welcome(welcome, frame, now_ns)
            case protocol.Limits() as limits:
                self.limits = limits
                self._resolve(limits, frame.seq)
            case _:
                self._echoes += 1  # a message of the host's own comes back

    def _resolve(self, answer: Answer, seq: int) -> tuple[GateRequest | None, bool]:
        request, late = self.requests.answered(seq)
        if request is not None:
            request.resolve(answer)
        return request, late

    def _take_welcome(self, welcome: protocol.Welcome, frame: LineFrame, now_ns: int) -> None:
        request, late = self.requests.answered(frame.seq)
        if request is None or late:
            return
        self.requests.nonce = frame.nonce
        request.resolve(welcome)
        if not self._greeted:
            self._greeted = True
            self._next_poll_ns = now_ns
        self.reporter.enter(STATES[welcome.state], OutputReason.NONE, welcome.time_us, now_ns)

    def _take_status(self, status: protocol.Status, seq: int, now_ns: int) -> None:
        request = self.requests.polled(seq)
        if request is not None:
            request.resolve(status)
            if request.sent_ns is not None and request.tries == 1:
                self.reporter.round_trip(status.time_us, request.sent_ns, now_ns)
        self.reporter.status(status, now_ns)

    def _take_answer(self, answer: protocol.Ack | protocol.Nak, seq: int, now_ns: int) -> None:
        request, late = self._resolve(answer, seq)
        if request is None:
            return
        reporter, accepted = self.reporter, isinstance(answer, protocol.Ack)
        reporter.state = STATES[answer.state]
        if accepted and isinstance(request.message, protocol.Arm):
            reporter.enter(OutputState.ARMED, OutputReason.NONE, answer.time_us, now_ns)
        if request.number is None:
            return
        if not accepted:
            reporter.forget(request.number)
        elif isinstance(request.message, protocol.Pulse):
            if late and reporter.train is None:
                reporter.begin(request.number, request.message, request.details["handed_ns"])
            reporter.acknowledge(request.number)
        event = OutputEvent.ACK if accepted else OutputEvent.REFUSED
        details = {"tries": request.tries} | ({"late": True} if late else {})
        reporter.report(request.number, event, now_ns, to_reason(answer.reason), answer.time_us, details)
