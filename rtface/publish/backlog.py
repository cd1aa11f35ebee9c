"""Messages that came and wait for somebody to ask, and how many are missing between them."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar


class Numbered(Protocol):
    """A message with its place in its session and topic."""

    @property
    def session(self) -> str:
        """Names one life of the service."""

    @property
    def seq(self) -> int:
        """Number, from 0."""


_Message = TypeVar("_Message", bound=Numbered)


class Backlog(Generic[_Message]):
    """The messages of one topic.

    Parameters
    ----------
    most : int
        Of more than these the oldest goes, and counts as missed.

    Attributes
    ----------
    waiting : deque
        Oldest first.
    missed : int
        Lost so far: on the way, or because nobody asked.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.waiting: deque[_Message] = deque()
        self.missed = 0
        self._session: str | None = None
        self._seq = -1

    def keep(self, message: _Message) -> None:
        """Take the next message; what came before the very first is not missed."""
        first = self._session is None
        expected = message.seq if first else 0 if message.session != self._session else self._seq + 1
        self._session, self._seq = message.session, message.seq
        self.missed += max(0, message.seq - expected)
        if len(self.waiting) == self._most:
            self.waiting.popleft()
            self.missed += 1
        self.waiting.append(message)

    def drain(self) -> list[_Message]:
        """Return what waits, and keep it no longer."""
        return [self.waiting.popleft() for _ in range(len(self.waiting))]
