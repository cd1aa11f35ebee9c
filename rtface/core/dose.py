"""How much light was given, counted so that it is never too little. No clock, no device."""

from __future__ import annotations

from rtface.core.records import Pulse


def planned_ns(pulse: Pulse) -> int:
    """Return how long a pulse or train is lit if all of it is carried out; whatever the amplitude, since it may not be wired."""
    return pulse.on_ns * pulse.count


class LightDose:
    """Light of commands: what the device reports once a command has ended; until then at least what was planned.

    A blinded trial counts as planned whether it was light or a sham, so that a sum tells nobody which.
    """

    def __init__(self) -> None:
        self._done_ns = 0
        self._running: dict[int, tuple[int, int]] = {}

    @property
    def total_ns(self) -> int:
        """Nanoseconds of light."""
        return self._done_ns + sum(map(max, self._running.values()))

    def trial(self, planned_ns: int) -> None:
        """Count a blinded trial."""
        self._done_ns += planned_ns

    def command(self, number: int, planned_ns: int) -> None:
        """Begin to count a command to fire."""
        self._running[number] = (planned_ns, 0)

    def lit(self, number: int, on_ns: int) -> None:
        """Count light that has ended; that of a command which is not counted is not."""
        if number in self._running:
            planned_ns, lit_ns = self._running[number]
            self._running[number] = (planned_ns, lit_ns + on_ns)

    def ended(self, number: int) -> None:
        """End a command: its light is what was reported."""
        self._done_ns += self._running.pop(number, (0, 0))[1]
