"""What the outputs that the host guards have in common: the calls of an `Output` become calls of a `SoftGate`."""

from __future__ import annotations

from collections.abc import Callable

from rtface.core.clock import NS_PER_MS, Clock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.base import explain
from rtface.stimulate.reports import Reports
from rtface.stimulate.softgate import SoftGate

Action = Callable[[SoftGate], None]

_STALE_NS = 50 * NS_PER_MS
"""A pulse that waited longer than this to be carried out is refused: it would no longer belong to what it was for."""


class SoftOutput:
    """An output without a lamp; see `rtface.stimulate.base.Output`.

    Parameters
    ----------
    name : str
        What messages call it.
    clock : Clock
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._reports = Reports()
        self._gate: SoftGate | None = None

    def _do(self, action: Action) -> bool:
        """Have an action carried out, now or soon, by the gate's owner; False: too many wait."""
        raise NotImplementedError

    def _request(self, action: Callable[[SoftGate], OutputReason]) -> OutputReason:
        """Have an action carried out, and return its result."""
        raise NotImplementedError

    @property
    def state(self) -> OutputState:
        """See `Output.state`."""
        gate = self._gate
        return OutputState.CLOSED if gate is None else gate.state

    def arm(self) -> None:
        """See `Output.arm`."""
        self._require("armed", lambda gate: gate.arm(self._clock.now_ns()))

    def clear(self) -> None:
        """See `Output.clear`."""
        self._require("cleared", lambda gate: gate.clear(self._clock.now_ns()))

    def fire(self, pulse: Pulse) -> int:
        """See `Output.fire`."""
        return self._command(lambda gate, number, handed_ns: self._fire(gate, number, pulse, handed_ns))

    def cancel(self) -> int:
        """See `Output.cancel`."""
        return self._command(lambda gate, number, handed_ns: gate.cancel(number, self._now(), handed_ns))

    def disarm(self, reason: str) -> int:
        """See `Output.disarm`."""
        return self._command(
            lambda gate, number, handed_ns: gate.disarm(number, self._now(), handed_ns, reason)
        )

    def stop(self) -> int:
        """See `Output.stop`."""
        return self._command(lambda gate, number, handed_ns: gate.stop(number, self._now(), handed_ns))

    def reports(self) -> list[Report]:
        """See `Output.reports`."""
        return self._reports.drain()

    def _fire(self, gate: SoftGate, number: int, pulse: Pulse, handed_ns: int) -> None:
        now_ns = self._now()
        gate.advance(now_ns)
        if now_ns - handed_ns > _STALE_NS:
            self._refuse(number, now_ns, gate.state, OutputReason.STALE)
        else:
            gate.fire(number, pulse, now_ns, handed_ns)

    def _now(self) -> int:
        return self._clock.now_ns()

    def _command(self, action: Callable[[SoftGate, int, int], None]) -> int:
        number, handed_ns = self._reports.number(), self._clock.now_ns()
        if self._gate is None:
            self._refuse(number, handed_ns, OutputState.CLOSED, OutputReason.CLOSED)
        elif not self._do(lambda gate: action(gate, number, handed_ns)):
            self._refuse(number, handed_ns, self._gate.state, OutputReason.BUSY)
        return number

    def _refuse(self, number: int, t_ns: int, state: OutputState, reason: OutputReason) -> None:
        self._reports.add(Report(number, OutputEvent.REFUSED, t_ns, state, reason))

    def _require(self, wanted: str, action: Callable[[SoftGate], OutputReason]) -> None:
        if self._gate is None:
            raise OutputError(f"{self._name} is not open, so it cannot be {wanted}")
        refusal = self._request(action)
        if refusal is not OutputReason.NONE:
            raise OutputError(f"{self._name} cannot be {wanted}: {explain(refusal)}")
