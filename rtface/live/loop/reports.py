"""What the output reports, and what follows: for the record, the rules, the standing of the loop, and clients."""

from __future__ import annotations

from rtface.core.decision import Reason
from rtface.core.outputs import OutputEvent, OutputState, Report
from rtface.live.loop.pulses import BROKEN, BY_HOST, PASSING, PUBLISHED, USED_UP, Fired, FiredPulses
from rtface.live.loop.record import Announce
from rtface.live.loop.standing import RTFACE, Standing
from rtface.live.loop.status import LoopState
from rtface.stimulate.base import Output


class OutputReports:
    """Reads an output's reports; belongs to the processing thread.

    Parameters
    ----------
    output : Output
        What makes light.
    output_name : str
        What the record calls it, and who is named where it ended the light itself.
    pulses : FiredPulses
        The commands to fire, and what became of them.
    standing : Standing
        Where the loop stands.
    announce : Announce
    """

    def __init__(
        self, output: Output, output_name: str, pulses: FiredPulses, standing: Standing, announce: Announce
    ) -> None:
        self._output, self._name = output, output_name
        self._pulses = pulses
        self._standing = standing
        self._announce = announce

    def read(self) -> None:
        """Follow all reports that have come, and do what was noted meanwhile, in the order in which both happened."""
        standing = self._standing
        self._output.alive()
        for report in self._output.reports():
            happened_ns = report.t_ns if report.host_ns is None else report.host_ns
            standing.take_acts(None if report.reason in BY_HOST else happened_ns)
            self._follow(report)
        standing.take_acts()

    def _follow(self, report: Report) -> None:
        _, record = self._standing.opened()
        record.reply(report, self._name)
        fired = self._pulses.take(report)
        if report.event in BROKEN:
            self._standing.fail(Reason.GATE, f"{BROKEN[report.event]} ({report.reason})")
        elif fired is not None:
            self._follow_pulse(report, fired)
        elif report.event is OutputEvent.STATE:
            self._follow_output(report)

    def _follow_pulse(self, report: Report, fired: Fired) -> None:
        """Call the rules when light began and ended: at the time that was known, not when this thread read it."""
        standing = self._standing
        now_ns = max(standing.called_ns, report.t_ns)
        if report.event is OutputEvent.LIGHT_ON:
            standing.call("began", now_ns, rule=fired.rule)
        elif report.event in (OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED):
            standing.call("ended", now_ns, rule=fired.rule, trial=fired.trial)
        if report.event is OutputEvent.REFUSED and report.reason not in PASSING:
            why = f"the output refused to fire: {report.reason}"
            if report.reason in USED_UP:
                self._output.disarm(why)
                standing.end(LoopState.DISARMED, Reason.LIMIT, RTFACE, why)
            else:
                standing.fail(Reason.LIMIT, why)
        if not fired.blind and report.event in PUBLISHED:
            self._announce("light", now_ns, {"rule": fired.rule, "trial": fired.trial, **report.as_dict()})

    def _follow_output(self, report: Report) -> None:
        """Let the loop be no more than the output is: a switch, a pin or the device itself may have ended it.

        A report may be old by now; the output's state is not.
        """
        standing, state = self._standing, self._output.state
        if state is not report.state:  # somebody may have brought it there since
            standing.take_acts()
        if state is OutputState.STOPPED and standing.state is not LoopState.STOPPED:
            standing.stopped(self._name, f"the output was stopped ({report.reason})")
        elif state is OutputState.FAULT:
            standing.fail(Reason.GATE, f"the output is in fault ({report.reason})")
        elif state is OutputState.DISARMED and standing.state is LoopState.ARMED:
            standing.end(
                LoopState.DISARMED, Reason.GATE, self._name, f"the output disarmed itself ({report.reason})"
            )
