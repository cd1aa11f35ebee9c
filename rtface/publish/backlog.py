"""Messages that have come and wait to be asked for, and how many are missing between them."""

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


class Gaps:
    """Finds what is missing between the messages of one topic."""

    def __init__(self) -> None:
        self._session: str | None = None
        self._seq = -1

    def before(self, message: Numbered) -> tuple[int, bool]:
        """Take the next message; return how many are missing before it, and whether the service has restarted.

        What was sent before the very first message is not missed.
        """
        first = self._session is None
        restarted = not first and message.session != self._session
        expected = message.seq if first else 0 if restarted else self._seq + 1
        self._session, self._seq = message.session, message.seq
        return max(0, message.seq - expected), restarted


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
        Lost so far: on the way, or because they were not asked for.
    """

    def __init__(self, most: int) -> None:
        self.waiting: deque[_Message] = deque(maxlen=most)
        self.missed = 0
        self._gaps = Gaps()

    def keep(self, message: _Message) -> None:
        """Take the next message."""
        self.missed += self._gaps.before(message)[0] + (len(self.waiting) == self.waiting.maxlen)
        self.waiting.append(message)

    def drain(self) -> list[_Message]:
        """Return what waits, and keep it no longer."""
        drained = list(self.waiting)
        self.waiting.clear()
        return drained
