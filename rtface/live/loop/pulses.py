"""What became of each command to fire, and how long it took. No thread, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from rtface.core.dose import LightDose
from rtface.core.latency import Histogram, StageSummary
from rtface.core.outputs import OutputEvent, OutputReason, Report

STAGES = ("handover", "answer", "light")
"""As of `rtface.live.loop.status.LoopStatus.latency`."""

PASSING = frozenset(
    {
        OutputReason.TOO_SOON,
        OutputReason.WINDOW_FULL,
        OutputReason.BUSY,
        OutputReason.STALE,
        OutputReason.NOT_ARMED,
        OutputReason.WRONG_STATE,
    }
)
"""Refusals after which nothing is to be done: they pass, or the output's state says more."""
BY_HOST = frozenset({OutputReason.DISARMED_BY_HOST, OutputReason.STOPPED_BY_HOST})
"""Reasons that come of a command, whatever the device's clock says of the time."""
USED_UP = frozenset({OutputReason.SESSION_PULSES, OutputReason.SESSION_DOSE})
BROKEN = {
    OutputEvent.TIMEOUT: "the output did not answer",
    OutputEvent.LOST: "the output is lost",
    OutputEvent.SILENT: "the processing thread gave no sign of life in time",
}
PUBLISHED = frozenset(
    {OutputEvent.LIGHT_ON, OutputEvent.LIGHT_OFF, OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED}
)
"""What clients are told of a pulse that is not blinded."""


@dataclass(slots=True)
class Fired:
    """A command to fire that has not ended.

    Attributes
    ----------
    rule : str
        Whose.
    trial : int or None
        As of the decision.
    exposure_ns : int
        Of the frame that it was decided on.
    blind : bool
        Whether nobody may learn of it while the session lasts.
    planned_ns : int
        How long its light lasts if all of it is carried out.
    sent_ns : int or None
        When its bytes were with the device's driver.
    lit : bool
        Whether the output has said that the light came on.
    """

    rule: str
    trial: int | None
    exposure_ns: int
    blind: bool
    planned_ns: int = 0
    sent_ns: int | None = None
    lit: bool = False


class FiredPulses:
    """The commands to fire that are under way, and the latencies of all there were.

    Attributes
    ----------
    lights : int
        Commands whose light came on.
    dose : LightDose
        Their light.
    """

    def __init__(self) -> None:
        self._running: dict[int, Fired] = {}
        self._stages = {stage: Histogram() for stage in STAGES}
        self.lights = 0
        self.dose = LightDose()

    def begin(self, number: int, fired: Fired) -> None:
        """Follow a command that was handed to the output."""
        self._running[number] = fired
        if not fired.blind:
            self.dose.command(number, fired.planned_ns)

    def take(self, report: Report) -> Fired | None:
        """Learn from a report; return the command that it is about, None for any other.

        Only the first light of a train counts as its beginning.
        """
        if report.number is None:
            return None
        fired = self._running.get(report.number)
        if fired is None:
            return None
        if report.event is OutputEvent.SENT:
            fired.sent_ns = report.t_ns
            handed_ns = report.details.get("handed_ns")
            if isinstance(handed_ns, int):
                self._stages["handover"].add(report.t_ns - handed_ns)
        elif report.event is OutputEvent.ACK and fired.sent_ns is not None:
            self._stages["answer"].add(report.t_ns - fired.sent_ns)
        elif report.event is OutputEvent.LIGHT_ON and not fired.lit:
            fired.lit = True
            self.lights += 1
            lit_ns = report.t_ns if report.host_ns is None else report.host_ns
            self._stages["light"].add(lit_ns - fired.exposure_ns)
        elif report.event is OutputEvent.LIGHT_OFF:
            self.dose.lit(report.number, int(report.details.get("on_ns", 0)))
        elif report.event in (OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED, OutputEvent.TIMEOUT):
            del self._running[report.number]
            if report.event is not OutputEvent.TIMEOUT:
                self.dose.ended(report.number)
        return fired

    def forget(self) -> None:
        """Follow no command any more: the output is lost, or open anew."""
        self._running.clear()

    def summary(self) -> dict[str, StageSummary]:
        """Return the percentiles of each stage."""
        return {stage: histogram.summary() for stage, histogram in self._stages.items()}
