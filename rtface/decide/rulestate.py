"""What is kept of each rule: its settings, its trials, where it stands, and what of that prevents a trial."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from rtface.core.clock import NS_PER_S
from rtface.core.decision import OF_VIEW, Reason, RuleStatus, RuleView
from rtface.core.features import NEVER_NS
from rtface.decide.baseline import Baselines
from rtface.decide.errors import RulesError, kept_in, raise_all
from rtface.decide.expression import Expression
from rtface.decide.holding import Holding, compiled
from rtface.decide.rules import RuleSpec, ns
from rtface.decide.schedule import Schedule
from rtface.decide.transitions import RuleEvent, step
from rtface.decide.values import FramePosition, FrameValues

RULE = "rule."
"""What the name of a rule has before it where a condition names its truth."""


class TrialLight:
    """A trial's light, or the sham in its place; times of the host, `ended_ns` None while it lasts."""

    __slots__ = ("began_ns", "ended_ns")

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.ended_ns: int | None = None


class FireRequest:
    """What a rule's condition requests, and what has become of that.

    Attributes
    ----------
    holding : Holding
        The condition over time.
    withheld_for : Reason or None
        Why the present request was withheld when that was last recorded.
    served : bool
        It has had its trial.
    """

    __slots__ = ("holding", "served", "withheld_for")

    def __init__(self, holding: Holding) -> None:
        self.holding = holding
        self.withheld_for: Reason | None = None
        self.served = False

    def follow(self, other: FireRequest) -> None:
        """Stand where another of the same rule stands."""
        self.holding.follow(other.holding)
        self.withheld_for, self.served = other.withheld_for, other.served


class RuleState:
    """One rule: its settings, and where it stands.

    Parameters
    ----------
    name : str
    spec : RuleSpec
    names : sequence of str
        All names that conditions may use, its own truth among them.
    alike_ns : int
        As for `rtface.decide.rulebank.RuleBank`.
    baselines : Baselines, optional
        Those that conditions may name.

    Attributes
    ----------
    place : int
        Place of its truth among the names.
    indices : tuple of int
        Places of the names that its conditions rest on.
    state : RuleStatus
    request : Request
        By the frames that count.
    in_flash : Request
        The same, and by the frames since that may show a trial's light: what they request is withheld, and forgotten after.
    flashed : bool
        The newest frame may show a trial's light.
    trials : int
        Trials so far.
    sham : bool
        The running trial is a sham.
    due_ns : int
        When the light of the running trial ends.
    ends_ns : int
        When the running trial ends: a blinded one later than its light, at a time that does not depend on the light.
    unreported : dict of int to int
        Of trials that took light and whose end no report has told yet, when that light was to end.
    rest_ns : int
        When the refractory time of the last one ends.
    light : TrialLight or None
        Of the running trial.
    """

    def __init__(
        self,
        name: str,
        spec: RuleSpec,
        names: Sequence[str],
        alike_ns: int = 0,
        baselines: Baselines | None = None,
    ) -> None:
        self.name, self.spec = name, spec
        self.place = names.index(RULE + name)
        refused: list[RulesError] = []
        with kept_in(refused):
            self.request, self.in_flash = (
                FireRequest(Holding(name, spec, names, baselines)),
                FireRequest(Holding(name, spec, names, baselines)),
            )
        with kept_in(refused):
            self.unless = (
                None if spec.unless is None else compiled(spec.unless, names, name, "unless", baselines)
            )
        with kept_in(refused):
            self.schedule = Schedule(name, spec)
        raise_all(refused)
        of_unless = () if self.unless is None else self.unless.indices
        self.indices = tuple(dict.fromkeys(self.request.holding.indices + of_unless))
        self.pulse = None if spec.pulse is None else spec.pulse.record()
        self.max_age_ns = ns(spec.max_age_ms)
        self.refractory_ns = ns(spec.refractory_ms)
        self._windows = [
            (round(begin_s * NS_PER_S), round(end_s * NS_PER_S)) for begin_s, end_s in spec.windows
        ]
        self._beside_ns = None if spec.ignore_light_ms is None else ns(spec.ignore_light_ms)
        self._max_delay_ns = None if spec.max_delay_ms is None else ns(spec.max_delay_ms)
        rate = spec.max_rate
        self._per_ns = 0 if rate is None else round(rate.per_s * NS_PER_S)
        self._recent: deque[int] = deque(maxlen=1 if rate is None else rate.count)
        self._next = 0
        self.state = RuleStatus.DISARMED
        self._alike_ns = alike_ns if self.schedule.blind else 0
        self.flashed = self.sham = self._lit = False
        self.unreported: dict[int, int] = {}
        self.trials = 0
        self.due_ns = self.rest_ns = self._alike_end_ns = NEVER_NS
        self.light: TrialLight | None = None

    def view(self, values: FrameValues) -> RuleView:
        """Return how it stands on a frame's values."""
        request = self.in_flash if self.flashed else self.request
        places = self.indices if values.values else ()
        seen = tuple((values.names[place], values.values[place]) for place in places)
        return RuleView(self.spec.when or "", request.withheld_for, seen)

    @property
    def alike(self) -> bool:
        """Whether its light and its shams take the same time."""
        return self._alike_ns > 0

    @property
    def ends_ns(self) -> int:
        """As of the class."""
        return self._alike_end_ns if self.alike else self.due_ns

    def refusal(
        self,
        values: FrameValues,
        now_ns: int,
        start_ns: int | None,
        frame: FramePosition,
        doubt: Reason | None,
    ) -> Reason | None:
        """Return what prevents a trial now, its own state first, then a doubt about the frame; None for nothing.

        Parameters
        ----------
        values, now_ns, frame
            As they are.
        start_ns : int or None
            When the session's time began; None before that.
        doubt : Reason or None
            Why nothing can be known on the frame.
        """
        reason = step(self.state, RuleEvent.REFUSED).reason or doubt
        if reason is not None:
            return reason
        spec, place = self.spec, self.place
        if not 0 <= now_ns - frame.exposure_ns <= self.max_age_ns:
            return Reason.STALE
        if frame.missing > spec.max_gap_frames:
            return Reason.GAP
        if self.unless is not None and (reason := _excepted(self.unless, values, now_ns)) is not None:
            return reason
        if values.scores[place] < spec.min_score:
            return Reason.LOW_SCORE
        if now_ns - values.exposures[place] > self.max_age_ns:
            return Reason.STALE
        if not self._in_window(None if start_ns is None else now_ns - start_ns):
            return Reason.WINDOW
        if self._spent():
            return Reason.SPENT
        if self._at_rate(now_ns):
            return Reason.RATE
        return None

    def _in_window(self, session_ns: int | None) -> bool:
        """Return whether it may fire at this time of the session."""
        if not self._windows:
            return True
        return session_ns is not None and any(begin <= session_ns < end for begin, end in self._windows)

    def _spent(self) -> bool:
        """Return whether it has had all its trials."""
        return self.spec.max_pulses is not None and self.trials >= self.spec.max_pulses

    def _at_rate(self, now_ns: int) -> bool:
        """Return whether one more trial would exceed its maximum rate."""
        recent = self._recent
        return bool(self._per_ns) and len(recent) == recent.maxlen and now_ns - recent[0] < self._per_ns

    def late(self, exposure_ns: int) -> bool:
        """Return whether the present request has been held up for too long."""
        return (
            self._max_delay_ns is not None
            and exposure_ns - self.request.holding.began_ns > self._max_delay_ns
        )

    def in_light(self, exposure_ns: int, lights: Sequence[TrialLight]) -> bool:
        """Return whether a frame does not count, as it may show one of the lights, the newest of which is the last."""
        beside_ns = self._beside_ns
        if beside_ns is None or not lights:
            return False
        ended_ns = lights[-1].ended_ns
        if ended_ns is not None and exposure_ns > ended_ns + beside_ns:
            return False
        return any(
            each.began_ns - beside_ns <= exposure_ns
            and (each.ended_ns is None or exposure_ns <= each.ended_ns + beside_ns)
            for each in lights
        )

    def look(
        self, values: FrameValues, now_ns: int, frame: FramePosition, doubt: Reason | None, *, lit: bool
    ) -> None:
        """Take a frame that is newer than the one before.

        Parameters
        ----------
        values, now_ns, frame
            As they are.
        doubt : Reason or None
            Why nothing can be known on it.
        lit : bool
            It may show a trial's light, and does not count.
        """
        if lit and not self.flashed:
            self.in_flash.follow(self.request)
        elif self.flashed and not lit:
            self.request.holding.interrupt()
        self.flashed = lit
        holding = (self.in_flash if lit else self.request).holding
        if frame.missing > self.spec.max_gap_frames:
            holding.interrupt()
        if doubt is None:
            holding.update(values.values, values.scores, values.exposures, now_ns, frame.exposure_ns)
        elif not (lit and doubt in OF_VIEW):
            holding.disbelieve(frame.exposure_ns)

    def due(self, until_ns: int | None) -> list[int]:
        """Return the scheduled session times up to `until_ns` that were not returned before."""
        times, first = self.schedule.times_ns, self._next
        if until_ns is not None:
            while self._next < len(times) and times[self._next] <= until_ns:
                self._next += 1
        return list(times[first : self._next])

    def start(self, now_ns: int, *, sham: bool) -> TrialLight:
        """Begin a trial that takes time."""
        assert self.pulse is not None
        self.sham, self._lit = sham, False
        self.due_ns = now_ns + self.pulse.duration_ns
        self._alike_end_ns = self.due_ns + self._alike_ns
        if not sham:
            self.unreported[self.trials - 1] = self.due_ns
        self.light = TrialLight(now_ns)
        return self.light

    def lit(self, now_ns: int) -> None:
        """Take it that the light came on at `now_ns`; of two reports the first counts."""
        if not self._lit:
            assert self.pulse is not None
            self._lit, self.due_ns = True, now_ns + self.pulse.duration_ns
            if self.trials - 1 in self.unreported:
                self.unreported[self.trials - 1] = self.due_ns

    def reported(self, trial: int | None) -> bool:
        """Take it that a trial's light has ended, None for the newest; return whether that is the one that runs."""
        newest = self.trials - 1
        self.unreported.pop(newest if trial is None else trial, None)
        return not self.sham and trial in (None, newest)

    @property
    def ends_alone(self) -> bool:
        """Whether what runs ends with its time: a blinded trial always does, as a sham would, whatever was reported."""
        return self.alike or self.sham

    def count(self, now_ns: int) -> int:
        """Count a trial and return its number."""
        self._recent.append(now_ns)
        self.trials += 1
        return self.trials - 1

    def rest(self, now_ns: int) -> None:
        """End what runs, and begin the refractory time."""
        self.rest_ns = now_ns + self.refractory_ns
        if self.light is not None:
            self.light.ended_ns, self.light = now_ns, None


def _excepted(unless: Expression, values: FrameValues, now_ns: int) -> Reason | None:
    """Return why a rule's `unless` withholds; None where it is false."""
    truth = unless.evaluate(values.values, values.scores, values.exposures, now_ns)
    if truth is None:
        return Reason.UNKNOWN_VALUE
    return Reason.UNLESS if truth else None


def in_order(states: Sequence[RuleState]) -> list[RuleState]:
    """Return the rules so that each stands after those whose truth it uses.

    Raises
    ------
    RulesError
        Rules rest on each other in a circle.
    """
    by_place = {each.place: each for each in states}
    ordered: list[RuleState] = []
    waiting: list[RuleState] = []

    def visit(state: RuleState) -> None:
        if state in ordered:
            return
        if state in waiting:
            circle = " -> ".join(each.name for each in [*waiting[waiting.index(state) :], state])
            raise RulesError(f"rules rest on each other in a circle: {circle}", "rules", state.name)
        waiting.append(state)
        for index in state.indices:
            if index in by_place:
                visit(by_place[index])
        waiting.pop()
        ordered.append(state)

    for state in states:
        visit(state)
    return ordered
