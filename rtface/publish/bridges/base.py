"""What a bridge is: it takes messages as a client receives them, and hands them on in another form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from rtface.publish.as_json import Published

FORM = 1
"""Version of what bridges send. Fields and addresses are only ever added to it; any other change is a new version."""


@dataclass(slots=True)
class BridgeCounts:
    """What became of the messages of a bridge so far.

    Attributes
    ----------
    sent : int
        Messages handed on, to any number of readers.
    dropped : int
        The oldest of those that waited, given up because the bridge was behind.
    missed : int
        Lost on the way to the bridge.
    failed : int
        Could not be handed on: of the last, `error` says why.
    error : str
    """

    sent: int = 0
    dropped: int = 0
    missed: int = 0
    failed: int = 0
    error: str = ""

    def fail(self, why: object) -> None:
        """Count a message that could not be handed on."""
        self.failed += 1
        self.error = str(why)[:500]

    def as_map(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return asdict(self)


class Bridge(Protocol):
    """Hands messages on; every method is called in one thread, and none waits for a reader."""

    @property
    def topics(self) -> tuple[bytes, ...]:
        """What it needs of the service from the start."""

    @property
    def counts(self) -> BridgeCounts:
        """What became of its messages so far."""

    def open(self) -> str:
        """Take what it hands on through, and return the address that is bound; empty where none is.

        Raises
        ------
        RtfaceError
            It cannot be had; nothing is left open.
        """

    def look(self) -> None:
        """See who takes what; called between messages, ten times a second or more often."""

    def takes_features(self) -> bool:
        """Return whether anybody takes features, which a service makes only for who does."""

    def take(self, message: Published) -> None:
        """Hand a message on, or count it as failed."""

    def close(self) -> None:
        """Give everything back; may be called any number of times."""
