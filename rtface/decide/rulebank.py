"""The rules of a session: what each frame, each tick and each command makes of every rule.

A deterministic function of its calls. It reads no clock: the caller gives the time. The same calls give the
same decisions, bit for bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from rtface.core.decision import OF_VIEW, Action, Decision, Reason, RuleStatus, RuleView
from rtface.core.errors import UsageError
from rtface.core.features import Features
from rtface.decide.baseline import Baselines
from rtface.decide.errors import RulesError, kept_in, raise_all
from rtface.decide.rules import BaselineSpec, RuleSpec
from rtface.decide.rulestate import RULE, RuleState, TrialLight, in_order
from rtface.decide.transitions import RuleEvent, step
from rtface.decide.values import FramePosition, FrameValues

GRACE_NS = 50_000_000
"""How long after the end of a pulse its end must have been reported."""

ALIKE_NS = 50_000_000
"""How long after its planned end a blinded trial ends, light or sham: by then every output has reported its light's end."""

PUNCTUAL_NS = 100_000_000
"""A scheduled pulse that finds no frame within this time is withheld."""

_LIGHTS = 16
_LIT = (Action.FIRE, Action.SHAM)
_TRIALS = (*_LIT, Action.CATCH)


class RuleBank:
    """All rules of a session.

    Every method that takes `now_ns` returns the decisions that follow, in order. A decision is made when a rule
    fires, shams or leaves a trial out, when a request is withheld (once, and again whenever the reason changes), when a
    pulse must end now, and when a rule's state changes. A time that goes back is a fault.

    Parameters
    ----------
    rules : mapping of str to RuleSpec
        By name.
    names : sequence of str
        Of the features, as `FeatureBank.names`.
    extra_names : sequence of str
        Further values that conditions may name, such as ``neural.pc1``; `frame` is given them as `extra`.
    grace_ns : int
        How long after the end of a pulse its end must have been reported; later is a fault.
    alike_ns : int
        How long after its planned end a blinded trial ends. With 0 it ends when its light is reported to, as in sessions
        recorded before there was this.
    says_light : bool
        Record what is withheld for the sake of `ignore_light_ms`; without it such frames are passed over.
    baseline : BaselineSpec or None
        What ``baseline`` and ``sd`` are; conditions may not name them when None.

    Attributes
    ----------
    baselines : Baselines
        As far as they are taken: from frames that are believed, while nothing is armed or in fault and no light shows.
    armed, faulted : bool
        As `arm`, `disarm`, `fault` and `clear` left it.
    names : tuple of str
        All names that conditions may use: features, further values, and ``rule.NAME`` of each rule.

    Raises
    ------
    RulesError
        A condition cannot be read or names what there is not, rules rest on each other in a circle, or a schedule
        cannot be kept.
    """

    def __init__(
        self,
        rules: Mapping[str, RuleSpec],
        names: Sequence[str],
        *,
        extra_names: Sequence[str] = (),
        grace_ns: int = GRACE_NS,
        alike_ns: int = 0,
        says_light: bool = False,
        baseline: BaselineSpec | None = None,
    ) -> None:
        self.baselines = Baselines(baseline)
        self._says_light = says_light
        self._values = values = FrameValues(names, extra_names, [RULE + name for name in rules])
        self.names = values.names
        states: list[RuleState] = []
        refused: list[RulesError] = []
        for name, spec in rules.items():
            with kept_in(refused):
                _check_name(name)
            with kept_in(refused):
                states.append(RuleState(name, spec, self.names, alike_ns, self.baselines))
        raise_all(refused)
        _check_unique(self.names)
        self._by_need = in_order(states)
        ranked = sorted(states, key=lambda each: -each.spec.priority)
        self._rules = {each.name: each for each in ranked if each.pulse is not None}
        self._grace_ns = grace_ns
        self._lights: deque[TrialLight] = deque(maxlen=_LIGHTS)
        self.armed = self.faulted = False
        self._now_ns: int | None = None
        self._start_ns: int | None = None

    @property
    def states(self) -> dict[str, RuleStatus]:
        """Where each rule with a pulse stands, by priority."""
        return {name: rule.state for name, rule in self._rules.items()}

    @property
    def views(self) -> dict[str, RuleView]:
        """Of each rule with a pulse, by priority: condition, values, and what withholds its request."""
        return {name: rule.view(self._values) for name, rule in self._rules.items()}

    @property
    def truths(self) -> list[float]:
        """On the newest frame, for each rule of the file 1 where it holds, 0 where not, NaN where that is unknown."""
        return self._values.truths

    def session_ns(self, now_ns: int) -> int | None:
        """Return the session's time; None before it began."""
        return None if self._start_ns is None else now_ns - self._start_ns

    def begin(self, now_ns: int) -> list[Decision]:
        """Begin the session's time now; the first arming does it otherwise."""
        if self._start_ns is None:
            self._start_ns = now_ns
        return []

    def frame(
        self,
        frame_id: int,
        exposure_ns: int,
        now_ns: int,
        features: Features,
        extra: Features | None = None,
        doubt: Reason | None = None,
    ) -> list[Decision]:
        """Decide on a frame.

        Parameters
        ----------
        frame_id, exposure_ns : int
            The frame's, as in `rtface.core.records.FrameMeta`.
        now_ns : int
            The present time.
        features : Features
            Of this frame, as `FeatureBank.update` returns them.
        extra : Features or None
            Values of `extra_names`; unknown when None.
        doubt : Reason or None
            Why the frame cannot be believed: nothing is known on it then, and requests are withheld for that.

        Raises
        ------
        UsageError
            There are more or fewer values than names.
        """
        found = self._advance(now_ns)
        values = self._values
        frame = values.position(frame_id, exposure_ns)
        values.load(features, extra)
        for rule in self._by_need:
            lit = frame.newer and rule.in_light(exposure_ns, self._lights)
            if frame.newer and (self._says_light or not lit):
                rule.look(values, now_ns, frame, doubt, lit=lit)
            values.put_truth(rule.place, rule.request.holding, exposure_ns)
        for rule in self._rules.values():
            found += self._scheduled(rule, now_ns, frame, doubt)
            if self._says_light or not rule.in_light(exposure_ns, self._lights):
                found += self._requested(rule, now_ns, frame, doubt)
        if self.baselines.wanted and frame.newer:
            self._take_baseline(frame, doubt)
        return found

    def _take_baseline(self, frame: FramePosition, doubt: Reason | None, others: Sequence[int] = ()) -> None:
        """Take what a frame shows for the baseline, but for the values at the places of `others`."""
        lit = any(rule.in_light(frame.exposure_ns, self._lights) for rule in self._rules.values())
        if self.armed or self.faulted or lit or doubt is not None:
            self.baselines.skip()
            return
        values = self._values.values
        if others:
            values = list(values)
            for at in others:
                values[at] = float("nan")
        self.baselines.take(values, self._values.scores, frame.exposure_ns)

    def baseline(self, now_ns: int) -> list[Decision]:
        """Take the baseline anew, from the next frame on; nothing happens while the session is armed."""
        found = self._advance(now_ns)
        if not self.armed:
            self.baselines.begin()
        return found

    def follow(self, rule: str, draws: Iterable[RuleEvent]) -> None:
        """Let the trials of a rule be these, in place of what its seeds say, as where the seeds are sealed."""
        self._rule(rule).schedule.follow(draws)

    def tick(self, now_ns: int) -> list[Decision]:
        """Decide what time alone decides: ends of shams and of refractory times, ends overdue, times missed."""
        found = self._advance(now_ns)
        session_ns = self.session_ns(now_ns)
        if session_ns is not None:
            for rule in self._rules.values():
                for _ in rule.due(session_ns - PUNCTUAL_NS - 1):
                    found += self._step(rule, RuleEvent.REFUSED, Reason.LATE, now_ns)
        return found

    def arm(self, now_ns: int) -> list[Decision]:
        """Let rules fire; in a fault nothing happens."""
        found = self._advance(now_ns)
        if self.faulted:
            return found
        self.begin(now_ns)
        self.armed = True
        for rule in self._rules.values():
            event = RuleEvent.ARM_RESTING if now_ns < rule.rest_ns else RuleEvent.ARM
            changed = self._step(rule, event, Reason.OPERATOR, now_ns)
            if changed:
                rule.request.withheld_for = rule.in_flash.withheld_for = None
            found += changed
        return found

    def disarm(self, now_ns: int, reason: Reason = Reason.OPERATOR) -> list[Decision]:
        """Let no rule fire, and end what runs."""
        found = self._advance(now_ns)
        self.armed = False
        return found + self._all(RuleEvent.DISARM, reason, now_ns)

    def fault(self, now_ns: int, reason: Reason) -> list[Decision]:
        """Let no rule fire, and end what runs, until `clear`."""
        return self._advance(now_ns) + self._fail(reason, now_ns)

    def clear(self, now_ns: int) -> list[Decision]:
        """End a fault, as an operator has seen to it; the session is disarmed then."""
        found = self._advance(now_ns)
        if not self.faulted:
            return found
        self.faulted = False
        return found + self._all(RuleEvent.CLEAR, Reason.OPERATOR, now_ns)

    def began(self, now_ns: int, rule: str) -> list[Decision]:
        """Take it that a rule's light came on, as the output reported."""
        state = self._rule(rule)
        found = [] if state.alike else self._advance(now_ns)
        if state.state is RuleStatus.FIRING and not state.sham:
            state.lit(now_ns)
        return found

    def ended(self, now_ns: int, rule: str, trial: int | None = None) -> list[Decision]:
        """Take it that a rule's light is off, as the output reported.

        Parameters
        ----------
        now_ns : int
            The present time.
        rule : str
            Its name.
        trial : int or None
            `Decision.trial` of the pulse, so that a late report of an earlier one's end is not taken for this one's.
        """
        state = self._rule(rule)
        found = [] if state.alike else self._advance(now_ns)
        if state.reported(trial) and not state.alike:  # of one that is alike nothing must be seen
            found += self._step(state, RuleEvent.ENDED, Reason.ENDED, now_ns)
        return found

    def _rule(self, name: str) -> RuleState:
        if name not in self._rules:
            raise UsageError(f"no rule with a pulse is called {name}")
        return self._rules[name]

    def _advance(self, now_ns: int) -> list[Decision]:
        """Let time pass."""
        before_ns, self._now_ns = self._now_ns, now_ns
        if before_ns is not None and now_ns < before_ns:
            return self._fail(Reason.CLOCK, now_ns)
        found: list[Decision] = []
        for rule in self._rules.values():
            if rule.state is RuleStatus.FIRING and now_ns >= rule.ends_ns and rule.ends_alone:
                found += self._step(rule, RuleEvent.ENDED, Reason.ENDED, now_ns)
            if rule.unreported and now_ns > min(rule.unreported.values()) + self._grace_ns:
                found += self._step(rule, RuleEvent.OVERDUE, Reason.NO_END, now_ns)
                found += self._fail(Reason.NO_END, now_ns)
            if rule.state is RuleStatus.REFRACTORY and now_ns >= rule.rest_ns:
                found += self._step(rule, RuleEvent.RESTED, Reason.RESTED, now_ns)
        return found

    def _fail(self, reason: Reason, now_ns: int) -> list[Decision]:
        self.faulted, self.armed = True, False
        return self._all(RuleEvent.FAULT, reason, now_ns)

    def _all(self, event: RuleEvent, reason: Reason, now_ns: int) -> list[Decision]:
        return [each for rule in self._rules.values() for each in self._step(rule, event, reason, now_ns)]

    def _scheduled(
        self, rule: RuleState, now_ns: int, frame: FramePosition, doubt: Reason | None
    ) -> list[Decision]:
        """Decide on the session times that have come."""
        found: list[Decision] = []
        session_ns = self.session_ns(now_ns)
        for time_ns in rule.due(session_ns):
            assert session_ns is not None
            late = session_ns - time_ns > PUNCTUAL_NS
            refusal = self._refusal(rule, now_ns, frame, doubt) or (Reason.LATE if late else None)
            found += self._resolve(rule, refusal, now_ns, frame)
        return found

    def _requested(
        self, rule: RuleState, now_ns: int, frame: FramePosition, doubt: Reason | None
    ) -> list[Decision]:
        """Decide on what the face requests."""
        request = rule.in_flash if rule.flashed else rule.request
        holding = request.holding
        if not (holding.holds or holding.unknown):
            if holding.pending:
                return []
            request.withheld_for, request.served = None, False
            return self._step(rule, RuleEvent.RELEASED, Reason.RELEASED, now_ns, frame)
        if request.served:
            return []
        if rule.flashed and (doubt is None or doubt in OF_VIEW):
            doubt = Reason.LIGHT  # a light that blinds the camera tells no more than a sham
        refusal = self._refusal(rule, now_ns, frame, doubt)
        if refusal is None:
            if rule.schedule.timed:
                refusal = Reason.SCHEDULE
            elif holding.unknown:
                refusal = Reason.UNKNOWN_VALUE
            elif rule.late(frame.exposure_ns):
                refusal = Reason.LATE
        if refusal is not None and refusal is request.withheld_for:
            return []
        request.withheld_for, request.served = refusal, refusal is None and not rule.spec.repeat
        return self._resolve(rule, refusal, now_ns, frame)

    def _refusal(
        self, rule: RuleState, now_ns: int, frame: FramePosition, doubt: Reason | None
    ) -> Reason | None:
        """Return what prevents a trial now: of the rule itself first, then another's light; None for nothing."""
        refusal = rule.refusal(self._values, now_ns, self._start_ns, frame, doubt)
        if refusal is None and any(other.state is RuleStatus.FIRING for other in self._rules.values()):
            return Reason.BUSY
        return refusal

    def _resolve(
        self, rule: RuleState, refusal: Reason | None, now_ns: int, frame: FramePosition
    ) -> list[Decision]:
        if refusal is not None:
            return self._step(rule, RuleEvent.REFUSED, refusal, now_ns, frame)
        return self._step(rule, rule.schedule.draw(), Reason.RULE, now_ns, frame)

    def _step(
        self,
        rule: RuleState,
        event: RuleEvent,
        reason: Reason,
        now_ns: int,
        frame: FramePosition | None = None,
    ) -> list[Decision]:
        """Let something happen to a rule; return the decision, if it is one."""
        before = rule.state
        cell = step(before, event)
        rule.state = cell.state
        trial = rule.count(now_ns) if cell.action in _TRIALS else None
        if cell.action in _LIT:
            self._lights.append(rule.start(now_ns, sham=cell.action is Action.SHAM))
        elif before is RuleStatus.FIRING is not cell.state or cell.action is Action.CATCH:
            rule.rest(now_ns)
        if cell.state in (RuleStatus.DISARMED, RuleStatus.FAULT):
            rule.unreported.clear()
        if cell.action is Action.NONE and cell.state is before:
            return []
        return [
            Decision(
                rule=rule.name,
                frame_id=None if frame is None else frame.frame_id,
                now_ns=now_ns,
                session_ns=self.session_ns(now_ns),
                state_before=before,
                state_after=cell.state,
                action=cell.action,
                reason=cell.reason or reason,
                pulse=rule.pulse if cell.action in _LIT else None,
                trial=trial,
                inputs=() if frame is None else self._values.inputs(rule.indices, now_ns),
                blind=rule.schedule.blind,
                camera="" if frame is None else frame.camera,
            )
        ]


def _check_name(name: str) -> None:
    if not name.isidentifier() or not name.isascii():
        raise RulesError(
            "a rule's name is made of letters, digits and _, and does not begin with a digit",
            *("rules", name),
        )


def _check_unique(names: Sequence[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RulesError(f"{min(twice)} is the name of two values")
