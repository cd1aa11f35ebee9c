"""The calls of `rtface.stimulate.base.Output` made into calls of a `SoftGate`, wherever that runs."""

from __future__ import annotations

from collections.abc import Callable

from rtface.core.clock import Clock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.reports import Reports
from rtface.stimulate.softgate import SoftGate

Action = Callable[[SoftGate], None]


class SoftOutput:
    """What the outputs that the host guards have in common.

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
        """Have an action carried out, now or soon, by whoever owns the gate; False: too many are waiting."""
        raise NotImplementedError

    def _ask(self, question: Callable[[SoftGate], OutputReason]) -> OutputReason:
        """Wait for the owner's answer."""
        raise NotImplementedError

    @property
    def state(self) -> OutputState:
        """Where it stands, as far as the host knows."""
        gate = self._gate
        return OutputState.CLOSED if gate is None else gate.state

    def arm(self) -> None:
        """See `Output.arm`."""
        self._insist("armed", lambda gate: gate.arm(self._clock.now_ns()))

    def clear(self) -> None:
        """See `Output.clear`."""
        self._insist("cleared", lambda gate: gate.clear(self._clock.now_ns()))

    def fire(self, pulse: Pulse) -> int:
        """See `Output.fire`."""
        return self._command(lambda gate, number, handed_ns: gate.fire(number, pulse, self._now(), handed_ns))

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

    def _insist(self, wanted: str, question: Callable[[SoftGate], OutputReason]) -> None:
        if self._gate is None:
            raise OutputError(f"{self._name} is not open, so it cannot be {wanted}")
        refusal = self._ask(question)
        if refusal is not OutputReason.NONE:
            raise OutputError(f"{self._name} cannot be {wanted}: {explain(refusal)}")


_WORDS = {
    OutputReason.HOST_SILENT: "nobody calls alive(): what decides is not running, or hangs",
    OutputReason.WRONG_STATE: "it is in a state that does not allow it",
    OutputReason.STOP_PIN: "the emergency stop is pressed, or nothing is wired to its pin",
    OutputReason.ARM_SWITCH: "its arm switch is off",
    OutputReason.LIMITS_LOST: "its limits were damaged; store them anew with `rtface gate limits`",
    OutputReason.STORING: "it is storing new limits; try again in a second",
    OutputReason.NO_ANSWER: "it does not answer",
    OutputReason.PORT: "its port failed",
    OutputReason.RESET: "it started anew; close it and open it again",
    OutputReason.STALE: "the command was lost on the line; try again",
}


def explain(reason: OutputReason) -> str:
    """Return a reason for a person, its code behind it."""
    words = _WORDS.get(reason)
    return f"{reason.value}" if words is None else f"{words} ({reason.value})"
