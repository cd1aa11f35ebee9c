"""A decision becomes a command to the output: recorded first, then carried out, counted and published."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from rtface.core.clock import NS_PER_MS, Clock
from rtface.core.decision import Action, Decision
from rtface.core.dose import planned_ns
from rtface.live.loop.pulses import Fired, FiredPulses
from rtface.live.loop.record import Announce, Record
from rtface.record.session.entries import NO_NUMBER
from rtface.stimulate.base import Output

TRIAL_NS = NS_PER_MS
"""How long a blinded trial takes to be carried out before anything is published of it or of its frame, light or sham."""


class Firing:
    """Carries decisions out; belongs to the processing thread.

    Parameters
    ----------
    output : Output
        What makes light.
    output_name : str
        What the record calls it.
    announce : Announce
    clock : Clock
        Source of time.

    Attributes
    ----------
    pulses : FiredPulses
        The commands to fire, and what became of them.
    counts : Counter of str
        Decisions so far by action, as they are published.
    """

    def __init__(self, output: Output, output_name: str, announce: Announce, clock: Clock) -> None:
        self._output, self._name = output, output_name
        self._announce = announce
        self._clock = clock
        self.pulses = FiredPulses()
        self.counts: Counter[str] = Counter()

    def carry_out(self, decision: Decision, record: Record, now_ns: int, exposure_ns: int) -> bool:
        """Record a decision that was made at a time, on a frame of that exposure, and do what it says.

        Returns
        -------
        bool
            False, and nothing was done: it is a decision to fire, and could not be recorded.
        """
        begun_ns = self._clock.now_ns() if decision.secret else 0
        number = record.decision(decision)
        if decision.action is Action.FIRE and decision.pulse is not None:
            if number == NO_NUMBER:
                return False
            command = self._output.fire(decision.pulse)
            self.pulses.begin(
                command,
                Fired(decision.rule, decision.trial, exposure_ns, decision.blind, planned_ns(decision.pulse)),
            )
            record.pulse(number, command, self._name, "fire", asdict(decision.pulse))
        elif decision.action is Action.CANCEL:
            record.pulse(number, self._output.cancel(), self._name, "cancel")
        if decision.secret:
            self.pulses.dose.trial(0 if decision.pulse is None else planned_ns(decision.pulse))
            self._clock.sleep_until_ns(begun_ns + TRIAL_NS)
        public = decision.public()
        self.counts[public.action.value] += 1
        self._announce("decision", now_ns, public.as_dict())
        return True
