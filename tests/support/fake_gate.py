"""A gate made of Python, for faults that a real one shows rarely: answers lost, late, doubled, garbled or never sent."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

from rtface.stimulate.gate import protocol
from rtface.stimulate.gate.codes import PROTOCOL, Inputs, Kind, LimitsSource, Reason, ResetCause, State
from rtface.stimulate.gate.firmware import packaged_build
from rtface.stimulate.gate.framing import Decoder, encode
from rtface.stimulate.gate.protocol import DEFAULT_LIMITS, Message
from support.devices import PtyDevice

OLD_WELCOME = "0383070201040134120102010101020101010101024d010103e80301010101010181dbb700"
OLD_BOOT = "0285010201010101010102010101023201010101010101828a8f00"
OLD_HELLO = "0301070182c39a00"
"""Frames of protocol 1, as its encoder made them."""

SIGNED = replace(DEFAULT_LIMITS, counter=1, signed_off_by="a test")
"""What a fake gate has in force."""


class FakeGate:
    """Answers as the firmware does, as far as a host can see; its time is what it is given.

    Attributes
    ----------
    received : list of (int, Message)
        Sequence number and message of all that came, repetitions included.
    carried_out : list of Message
        Commands that were not refused.
    lose_answers : int
        How many of the next answers to commands are lost.
    lose_requests : int
        How many of the next commands and questions, heartbeats apart, are lost on their way here.
    silent : bool
        Nothing is answered at all.
    send_events : bool
        Whether it sends events.
    """

    def __init__(self) -> None:
        self.state = State.DISARMED
        self.limits = SIGNED
        self.received: list[tuple[int, Message]] = []
        self.carried_out: list[Message] = []
        self.lose_answers = 0
        self.lose_requests = 0
        self.silent = False
        self.send_events = True
        self.welcome = protocol.Welcome(
            protocol=PROTOCOL,
            firmware=0x0201,
            build=packaged_build(),
            reset_cause=ResetCause.POWER_ON,
            resets=0,
            state=State.DISARMED,
            inputs=Inputs.ARM_SWITCH_ON,
            limits_source=LimitsSource.EEPROM,
            device_id=7,
            token=1,
            time_us=0,
        )
        self.nonce = 0x1000_0000
        self._asked_under = 0
        self._decoder = Decoder()
        self._events = 0
        self._pulses = 0
        self._newest = 0
        self._last: tuple[int, int, bytes] | None = None

    def take(self, data: bytes, time_us: int) -> bytes:
        """Return the answer to some bytes."""
        answers = b""
        for frame in self._decoder.feed(data):
            self._asked_under = frame.nonce
            if self.lose_requests and not isinstance(frame.message, protocol.Heartbeat):
                self.lose_requests -= 1
                continue
            self.received.append((frame.seq, frame.message))
            answer = self._answer(frame.seq, frame.message, time_us)
            answers += b"" if self.silent else answer
        return answers

    def event(self, kind: Kind, time_us: int, reason: Reason = Reason.NONE, value: int = 0) -> bytes:
        self._events += 1
        event = protocol.Event(kind, reason, self.state, self._pulses, value, time_us)
        return encode(event, self._events, self.nonce) if self.send_events else b""

    def pulse_over(self, time_us: int, on_us: int = 5000) -> bytes:
        self.state = State.ARMED
        return self.event(Kind.PULSE_ENDED, time_us, Reason.COMPLETED, on_us)

    def times(self, kind: type[Message]) -> int:
        return sum(isinstance(message, kind) for _, message in self.received)

    def _answer(self, seq: int, message: Message, time_us: int) -> bytes:
        again = self._last is not None and self._last[:2] == (seq, message.TYPE)
        greets = isinstance(message, protocol.Hello)
        safer = isinstance(message, protocol.Disarm | protocol.Cancel | protocol.Stop)
        if self._asked_under != self.nonce and not greets and not safer:
            foreign = protocol.Nak(message.TYPE, Reason.FOREIGN, self.state, 0, 0, time_us)
            return encode(foreign, seq, self._asked_under)
        newer = seq > self._newest or greets
        if newer:
            self._newest = seq
        elif not again and not safer:
            return encode(
                protocol.Nak(message.TYPE, Reason.STALE, self.state, 0, 0, time_us), seq, self.nonce
            )
        match message:
            case protocol.Hello():
                self.state = State.DISARMED if self.state is not State.STOPPED else State.STOPPED
                self.welcome = replace(
                    self.welcome, token=self.welcome.token + 1, state=self.state, time_us=time_us
                )
                self.nonce += 1
                return encode(self.welcome, seq, self.nonce)
            case protocol.Heartbeat() | protocol.GetStatus():
                status = protocol.Status(
                    self.state, Reason.NONE, Inputs.ARM_SWITCH_ON, self._pulses, 0, 0, 0, 0, time_us
                )
                return encode(status, seq, self.nonce)
            case protocol.GetLimits():
                return encode(self.limits, seq, self.nonce)
        if again and self._last is not None:
            return self._sent(self._last[2])
        reason, after = self._carry_out(message, time_us)
        kind = protocol.Ack if reason is Reason.NONE else protocol.Nak
        answer = encode(kind(message.TYPE, reason, self.state, 0, self._pulses, time_us), seq, self.nonce)
        self._last = (seq, message.TYPE, answer)
        return self._sent(answer) + after

    def _sent(self, answer: bytes) -> bytes:
        if self.lose_answers:
            self.lose_answers -= 1
            return b""
        return answer

    def _carry_out(self, message: Message, time_us: int) -> tuple[Reason, bytes]:
        match message:
            case protocol.Arm(token):
                if token != self.welcome.token:
                    return Reason.BAD_TOKEN, b""
                self.state = State.ARMED
            case protocol.Pulse():
                if self.state is not State.ARMED:
                    return Reason.WRONG_STATE, b""
                self.state, self._pulses = State.FIRING, self._pulses + 1
                self.carried_out.append(message)
                return Reason.NONE, self.event(Kind.PULSE_BEGAN, time_us, value=message.on_us)
            case protocol.Disarm() | protocol.Cancel() | protocol.Stop():
                was = self.state
                new = {protocol.Disarm: State.DISARMED, protocol.Cancel: State.ARMED}
                self.state = new.get(type(message), State.STOPPED)
                after = b""
                if was is State.FIRING:
                    after += self.event(Kind.PULSE_ENDED, time_us, Reason.CANCELLED, 1000)
                self.carried_out.append(message)
                return Reason.NONE, after + self.event(Kind.STATE, time_us, Reason.DISARMED_BY_HOST)
        self.carried_out.append(message)
        return Reason.NONE, b""


class RunningGate(FakeGate):
    """A fake gate whose pulses end by its own time, whenever bytes come, and whose states forbid what the firmware's do."""

    def __init__(self) -> None:
        super().__init__()
        self._train: protocol.Pulse | None = None
        self._edges: deque[tuple[int, bool]] = deque()

    def take(self, data: bytes, time_us: int) -> bytes:
        ended = b""
        while self._train is not None and self._edges and self._edges[0][0] <= time_us:
            ended += self._edge(self._train, *self._edges.popleft())
        return (b"" if self.silent else ended) + super().take(data, time_us)

    def _edge(self, train: protocol.Pulse, at_us: int, on: bool) -> bytes:
        if on:
            self.state, self._pulses = State.FIRING, self._pulses + 1
            return self.event(Kind.PULSE_BEGAN, at_us, value=train.on_us)
        self.state = State.GAP if self._edges else State.ARMED
        ended = self.event(Kind.PULSE_ENDED, at_us, Reason.COMPLETED, train.on_us)
        if train.count > 1 and not self._edges:
            ended += self.event(Kind.TRAIN_ENDED, at_us, Reason.COMPLETED, train.count)
        return ended

    def _carry_out(self, message: Message, time_us: int) -> tuple[Reason, bytes]:
        match message:
            case protocol.Arm() if self.state is not State.DISARMED:
                return Reason.WRONG_STATE, b""
            case protocol.Clear():
                if self.state is not State.STOPPED:
                    return Reason.WRONG_STATE, b""
                self.state = State.DISARMED
            case protocol.Pulse() if self.state is State.ARMED:
                begins = [time_us + number * message.period_us for number in range(message.count)]
                edges = (
                    (at, on) for begin in begins for at, on in ((begin, True), (begin + message.on_us, False))
                )
                self._train, self._edges = message, deque(edges)
                self._edges.popleft()
            case protocol.Disarm():
                return self._end(State.DISARMED, Reason.DISARMED_BY_HOST, time_us)
            case protocol.Stop():
                return self._end(State.STOPPED, Reason.STOPPED_BY_HOST, time_us)
            case protocol.Cancel():
                return self._end(State.ARMED, Reason.CANCELLED, time_us)
        return super()._carry_out(message, time_us)

    def _end(self, to: State, reason: Reason, time_us: int) -> tuple[Reason, bytes]:
        was, ended = self.state, b""
        if self.state in (State.ARMED, State.FIRING, State.GAP) or to is State.STOPPED:
            self.state = to
        if was is State.FIRING:
            ended += self.event(Kind.PULSE_ENDED, time_us, reason, 1000)
        if self._edges and self._train is not None and self._train.count > 1:
            ended += self.event(Kind.TRAIN_ENDED, time_us, reason)
        self._edges.clear()
        return Reason.NONE, ended + self.event(Kind.STATE, time_us, reason)


class Board(PtyDevice):
    """A fake gate behind a port."""

    def __init__(self, gate: FakeGate | None = None) -> None:
        self.gate = gate or FakeGate()
        super().__init__()

    def take(self, data: bytes) -> bytes:
        return self.gate.take(data, time.monotonic_ns() // 1000)
