"""An output without a light: accepts every pulse, and reports the times that an ideal device would have."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rtface.config import NullOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, SYSTEM_CLOCK, Clock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputInfo, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.softgate import SoftGate, SoftLimits
from rtface.stimulate.softoutput import Action, SoftOutput


class _NoLamp:
    """Everything happens when it is due."""

    times_trains = False

    def on(self, pulse: Pulse, due_ns: int) -> int:
        return due_ns

    def off(self, due_ns: int) -> int:
        return due_ns


class NullOutput(SoftOutput):
    """See `rtface.stimulate.base.Output`. Without a thread: what was due comes with the next call, at its due time."""

    def __init__(self, settings: NullOutputSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__("the null output", clock)
        self._liveness_ns = round(settings.liveness_ms * NS_PER_MS)
        self._calling = threading.Lock()

    @property
    def state(self) -> OutputState:
        """Where it stands now."""
        self._catch_up()
        return super().state

    def open(self) -> OutputInfo:
        """Begin anew, disarmed."""
        if self._gate is None:
            self._gate = SoftGate(_NoLamp(), SoftLimits(), self._liveness_ns, self._reports.add, exact=True)
        return OutputInfo("null", "no output", drives_light=False, enforces_limits=False)

    def self_test(self) -> list[Check]:
        """Warn that there is no light."""
        if self._gate is None:
            raise OutputError(f"{self._name} is not open")
        return [Check("output", "warn", "null: nothing will be lit", "name a device in output.kind")]

    def alive(self) -> None:
        """See `Output.alive`."""
        self._do(lambda gate: setattr(gate, "alive_ns", self._now()))

    def reports(self) -> list[Report]:
        """See `Output.reports`."""
        self._catch_up()
        return super().reports()

    def close(self) -> None:
        """End the pulse."""
        gate = self._gate
        if gate is not None:
            number = self._reports.number()
            self._do(lambda gate: gate.disarm(number, self._now(), self._now(), "closed"))
            self._gate = None

    def _catch_up(self) -> None:
        self._do(lambda gate: None)

    def _do(self, action: Action) -> bool:
        with self._calling:
            if self._gate is not None:
                self._gate.advance(self._now())
                action(self._gate)
        return True

    def _request(self, action: Callable[[SoftGate], OutputReason]) -> OutputReason:
        with self._calling:
            return OutputReason.CLOSED if self._gate is None else action(self._gate)
