"""Commands and questions under way to the gate: numbered, written, answered, sent again, given up. No I/O.

A command that is not answered is sent again under its own number, so the gate carries it out once. Heartbeats go out
between the tries, and the gate refuses what is older than a heartbeat: a pulse whose first try was lost never fires late.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from rtface.core.errors import OutputError
from rtface.stimulate.gate import protocol
from rtface.stimulate.gate.framing import encode
from rtface.stimulate.gate.protocol import Message

TRIES = 3

PATIENCE = 10
"""A caller that waits for an answer waits for this much longer: nothing is late by it."""
_MOST_GIVEN_UP = 16
_QUESTIONS = (protocol.Hello, protocol.GetStatus, protocol.GetLimits)
"""Sent again under a new number: they change nothing, and the old one is stale once a heartbeat has passed it."""

Answer = protocol.Ack | protocol.Nak | protocol.Welcome | protocol.Status | protocol.Limits


@dataclass(slots=True)
class GateRequest:
    """One command or question.

    Attributes
    ----------
    number : int or None
        Of the caller's command; None for what the host sends by itself.
    answer : Future or None
        What its caller waits for.
    sent_ns : int or None
        When its newest try was written; None while it was not.
    """

    message: Message
    seq: int
    number: int | None = None
    answer: Future[Answer] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    sent_ns: int | None = None
    tries: int = 0

    def overdue_ns(self, answer_ns: int) -> int | None:
        """Return when it has waited for long enough; None while it is not written."""
        if self.sent_ns is None:
            return None
        return self.sent_ns + (answer_ns if self.answer is None else PATIENCE * answer_ns)

    def resolve(self, answer: Answer) -> None:
        """Give the answer to its caller."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, why: str) -> None:
        """Give the caller an error: no answer will come."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(OutputError(why))


class GateRequests:
    """All requests under way.

    Parameters
    ----------
    answer_ns : int
        How long to wait for an answer before the next try; ten times as long where a caller waits for it.

    Attributes
    ----------
    nonce : int
        Of the conversation with the gate, as its newest `Welcome` gave it; 0 before. Set it.
    """

    def __init__(self, answer_ns: int) -> None:
        self.nonce = 0
        self._answer_ns = answer_ns
        self._seq = 0
        self._waiting: dict[int, GateRequest] = {}
        self._given_up: dict[int, GateRequest] = {}
        self._polls: dict[int, GateRequest] = {}
        self._out = bytearray(b"\0")  # ends whatever a host before this one has begun
        self._unwritten: list[GateRequest] = []

    @property
    def outgoing(self) -> bytes:
        """The bytes to write now."""
        return bytes(self._out)

    def send(
        self,
        message: Message,
        number: int | None = None,
        answer: Future[Answer] | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Send something that must be answered."""
        request = self._new(message)
        request.number, request.answer, request.details = number, answer, details or {}
        self._waiting[request.seq] = request

    def poll(self, message: Message) -> None:
        """Send something that comes again soon: it is never tried twice. Skipped while the line is full."""
        if not self._out:
            request = self._new(message)
            self._polls[request.seq] = request

    def wrote(self, count: int, now_ns: int) -> list[GateRequest]:
        """Take note that the first `count` bytes of `outgoing` have been written; return what that completes."""
        del self._out[:count]
        if self._out:
            return []
        written, self._unwritten = self._unwritten, []
        for request in written:
            request.sent_ns = now_ns
            request.tries += 1
        return written

    @property
    def due_ns(self) -> int | None:
        """When the next one has waited for long enough."""
        due = [request.overdue_ns(self._answer_ns) for request in self._waiting.values()]
        return min((at for at in due if at is not None), default=None)

    def overdue(self, now_ns: int) -> list[GateRequest]:
        """Send again what has waited for long enough; return what has been tried often enough, and is given up."""
        late = [
            request
            for request in self._waiting.values()
            if (due_ns := request.overdue_ns(self._answer_ns)) is not None and due_ns <= now_ns
        ]
        given_up = [request for request in late if request.tries >= TRIES]
        for request in late:
            if request.tries < TRIES:
                request.sent_ns = None
                if isinstance(request.message, _QUESTIONS):
                    del self._waiting[request.seq]
                    request.seq = self._next_seq()
                    self._waiting[request.seq] = request
                self._write(request)
        for request in given_up:
            del self._waiting[request.seq]
            self._given_up[request.seq] = request
            if len(self._given_up) > _MOST_GIVEN_UP:
                del self._given_up[next(iter(self._given_up))]
        return given_up

    def answered(self, seq: int) -> tuple[GateRequest | None, bool]:
        """Return what an answer belongs to, None for nothing, and whether it had been given up."""
        if seq in self._waiting:
            return self._waiting.pop(seq), False
        if seq in self._given_up:
            return self._given_up.pop(seq), True
        return None, False

    def polled(self, seq: int) -> GateRequest | None:
        """Return the poll, or the question, that a status answers; older polls are forgotten."""
        if seq in self._waiting:
            return self._waiting.pop(seq)
        found = self._polls.get(seq)
        for older in [each for each in self._polls if each <= seq]:
            del self._polls[older]
        return found

    @property
    def greeting(self) -> bool:
        """Whether a `Hello` is not answered yet."""
        return any(isinstance(request.message, protocol.Hello) for request in self._waiting.values())

    def abandon(self) -> list[GateRequest]:
        """Forget all; return those that still waited."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        self._polls.clear()
        self._unwritten.clear()
        self._out = bytearray(b"\0")
        return waiting

    def _new(self, message: Message) -> GateRequest:
        request = GateRequest(message, self._next_seq())
        self._write(request)
        return request

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _write(self, request: GateRequest) -> None:
        nonce = 0 if isinstance(request.message, protocol.Hello) else self.nonce
        self._out += encode(request.message, request.seq, nonce)
        self._unwritten.append(request)
