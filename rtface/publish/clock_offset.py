"""The clock of a service that may run on another host: how far it is from this host's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtface.core.clock import clock_domain, monotonic_ns
from rtface.publish.wire import Fields


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The service's monotonic clock less this host's.

    Attributes
    ----------
    offset_ns : int
        Zero when both are the same clock.
    uncertainty_ns : int
        The true offset lies within this of `offset_ns`.
    round_trip_ns : int
        The quickest exchange that was seen.
    """

    offset_ns: int
    uncertainty_ns: int
    round_trip_ns: int


def measure_offset(ping: Callable[[int], Mapping[str, Any]], times: int) -> ClockOffset:
    """Return the offset by the quickest of some exchanges.

    Parameters
    ----------
    ping : callable
        Sends a number to the service and returns its answer: its time ``t_ns``, and the name of its ``clock``.
    times : int
        Exchanges.
    """
    round_trip_ns, offset_ns, domain = min(_exchange(ping, nonce) for nonce in range(max(1, times)))
    if domain and domain == clock_domain():
        return ClockOffset(0, 0, round_trip_ns)
    return ClockOffset(offset_ns, round_trip_ns // 2 + 1, round_trip_ns)


def _exchange(ping: Callable[[int], Mapping[str, Any]], nonce: int) -> tuple[int, int, str]:
    """Return the round trip and the offset of the service's clock in nanoseconds, and the clock's name."""
    sent_ns = monotonic_ns()
    fields = Fields(ping(nonce))
    round_trip_ns = monotonic_ns() - sent_ns
    return round_trip_ns, fields.integer("t_ns") - sent_ns - round_trip_ns // 2, fields.text("clock")
