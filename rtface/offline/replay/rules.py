"""Features and rules run again on the recorded poses; every value and every decision compared bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.decision import Decision
from rtface.core.errors import DataError, UsageError
from rtface.core.features import Features
from rtface.decide.baseline import Spread
from rtface.decide.controls import MatchedSpec, MixedSpec
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.multi import Evaluator, MultiEvaluator, RuleCamera
from rtface.decide.rules import RulesFile
from rtface.decide.transitions import RuleEvent
from rtface.offline.replay.report import Difference, RulesReplay
from rtface.offline.replay.steps import HoleError, ReplayStep, Seen, steps
from rtface.record.session.coding import decode, encode
from rtface.record.session.entries import CallEntry, ConfigurationEntry, DecisionEntry, TrackedEntry
from rtface.record.session.reader import Session, read_session

Recorded = ConfigurationEntry | TrackedEntry
"""What says how the columns of a camera are called."""

_UNNUMBERED = 0
_DRAWN = {
    "fire": RuleEvent.PASSED,
    "sham": RuleEvent.SHAM,
    "trial": RuleEvent.SHAM,
    "catch": RuleEvent.CATCH,
}


def recorded_rules(said: ConfigurationEntry) -> RulesFile:
    """Return the rules that a session was run with.

    Raises
    ------
    UsageError
        It was run without rules.
    DataError
        They are not what this rtface takes for rules.
    """
    if not said.resolved:
        raise UsageError("this session was run without rules, so there are none to replay")
    try:
        return RulesFile.recorded(said.resolved)
    except ValueError as error:
        raise DataError(f"the rules in the record cannot be read by this rtface: {error}") from error


def like_recorded(rules: RulesFile, said: ConfigurationEntry) -> RulesFile:
    """Return other rules with a session's frames: of its size, and all believed if its own rules believed all.

    So did all before there was `RulesFile.input`.
    """
    if not said.resolved or rules.input is None:
        return rules
    before = recorded_rules(said).input
    size = {} if before is None else {"width": before.width, "height": before.height}
    return rules.model_copy(update={"input": before and rules.input.model_copy(update=size)})


def replay_rules(path: Path, rules: RulesFile | None = None, *, key: bytes | None = None) -> RulesReplay:
    """Run features and rules again on the recorded poses, with the recorded times, and compare.

    Of a session with a seal that is not opened, light and sham of blinded trials are one, and which trials were left out is
    taken from the record: the seeds that decide it are sealed.

    Parameters
    ----------
    path : Path
        The session's folder or log.
    rules : RulesFile or None
        In place of those that the session was run with.
    key : bytes, optional
        Of the session's seal.

    Raises
    ------
    UsageError
        The session was run without rules, and none are given; or times of its pulses were drawn from seeds that are sealed.
    DataError
        The log cannot be read, is damaged, or has no configuration.
    ConfigError
        The rules do not fit the session's keypoints and values.
    """
    session = read_session(path, key)
    said = session.configuration
    if session.damage:
        raise DataError(f"{path} is damaged and cannot be replayed: {session.damage[0].in_words()}")
    if said is None:
        raise DataError(f"{path}: without its configuration a session cannot be replayed")
    if rules is None:
        spec = recorded_rules(said)
    else:
        seed = recorded_rules(said).session_seed if said.resolved else None
        spec = like_recorded(rules, said).of_session(seed)
    cameras = session.of(TrackedEntry)
    evaluator: Evaluator
    if cameras:
        evaluator = MultiEvaluator(
            spec, [_rule_camera(each) for each in cameras], grace_ns=said.grace_ns, alike_ns=said.alike_ns
        )
    else:
        evaluator = RuleEvaluator(
            spec,
            said.keypoints,
            said.rate_hz,
            extra_names=said.given,
            grace_ns=said.grace_ns,
            alike_ns=said.alike_ns,
        )
    if session.is_sealed:
        _follow_record(evaluator, session)
    recorded: dict[str, Recorded] = {each.camera_name: each for each in cameras}
    recorded = recorded or {"": said}
    comparison = _RulesComparison(evaluator, recorded, own_rules=rules is None, sealed=session.is_sealed)
    try:
        for step in steps(path, key):
            if not comparison.take(step):
                break
    except HoleError as hole:
        comparison.hole = Difference("hole", None, comparison.now_ns, str(hole), {}, {}, {})
    return comparison.result()


def _rule_camera(camera: TrackedEntry) -> RuleCamera:
    return RuleCamera(camera.camera_name, camera.keypoints, camera.rate_hz, (camera.width, camera.height))


def _follow_record(evaluator: Evaluator, session: Session) -> None:
    """Let the trials of mixed schedules be those of the record: a blinded one a sham, which light does not differ from.

    Raises
    ------
    UsageError
        A rule's times were drawn from a seed that is sealed.
    """
    for name, rule in evaluator.rules.rules.items():
        if isinstance(rule.schedule, MatchedSpec):
            raise UsageError(
                f"the times of {name} were drawn from a seed that is sealed: `rtface session unblind`, then --unblind"
            )
        if isinstance(rule.schedule, MixedSpec):
            trials = [
                each.action for each in session.decisions if each.rule == name and each.trial is not None
            ]
            evaluator.follow(name, [_DRAWN[action] for action in trials])


class _Columns:
    """The columns of a camera's recorded values, and which of them are computed here, too."""

    def __init__(self, said: Recorded, names: tuple[str, ...]) -> None:
        self.said, self.names = said, names
        self._width = len(said.features) - len(said.given)
        recorded = said.features[: self._width]
        self.common = [(name, recorded.index(name), names.index(name)) for name in names if name in recorded]
        self.here = np.array([here for _, _, here in self.common], np.intp)
        self.there = np.array([there for _, there, _ in self.common], np.intp)

    def given(self, seen: Seen) -> Features | None:
        """Return the further values that the rules were given."""
        if not self.said.given:
            return None
        rest = slice(self._width, None)
        return Features(seen.values[rest], seen.scores[rest], seen.exposure_ns[rest])


class _RulesComparison:
    """Makes each call again and holds what comes of it against the record."""

    def __init__(
        self, evaluator: Evaluator, said: Mapping[str, Recorded], *, own_rules: bool, sealed: bool
    ) -> None:
        self._evaluator, self._own_rules, self._sealed = evaluator, own_rules, sealed
        self._columns = {
            camera: _Columns(each, evaluator.bank_of(camera).names) for camera, each in said.items()
        }
        self._frames = self._calls = self._values = 0
        self._recorded: Counter[str] = Counter()
        self._replayed: Counter[str] = Counter()
        self._value: Difference | None = None
        self._decision: Difference | None = None
        self._baseline: Difference | None = None
        self._baselines = 0
        self.hole: Difference | None = None
        self.now_ns = 0

    def take(self, step: ReplayStep) -> bool:
        """Make a call again; False when its decisions are others than were recorded."""
        self.now_ns = step.now_ns
        if step.pose is not None and step.seen is not None:
            self._frames += 1
            columns = self._columns[step.pose.frame.camera]
            given = columns.given(step.seen)
            taking = self._evaluator.baselines.wanted
            found = self._evaluator.evaluate(step.pose, step.seen.now_ns, given)
            if self._value is None:
                self._value = self._compare_values(step, step.seen, columns)
            if self._own_rules:
                self._compare_baseline(step, taking=taking)
        else:
            assert step.call is not None
            self._calls += 1
            found = _call(self._evaluator, step.call)
        if self._sealed:
            found = [each.public() for each in found]
        self._recorded.update(each.action for each in step.decisions)
        self._replayed.update(each.action.value for each in found)
        self._decision = self._compare_decisions(step, found)
        return self._decision is None

    def result(self) -> RulesReplay:
        return RulesReplay(
            self._frames,
            self._calls,
            self._values,
            dict(self._recorded),
            dict(self._replayed),
            self._value,
            self._decision,
            self.hole,
            self._baseline,
            self._baselines,
        )

    def _compare_values(self, step: ReplayStep, seen: Seen, columns: _Columns) -> Difference | None:
        assert step.pose is not None
        features = self._evaluator.features_of(step.pose.frame.camera)
        self._values += 3 * len(columns.common)
        for name, recorded, replayed in (
            ("value", seen.values, features.values),
            ("score", seen.scores, features.scores),
            ("exposure_ns", seen.exposure_ns, features.exposure_ns),
        ):
            one, two = recorded[columns.there], replayed[columns.here]
            differ = np.flatnonzero(
                (one.view(np.int64) != two.view(np.int64)) & ~((one != one) & (two != two))
            )
            if len(differ):
                at = int(differ[0])
                feature = columns.common[at][0]
                was, now = one[at].item(), two[at].item()
                return Difference(
                    "value",
                    step.frame_id,
                    step.now_ns,
                    f"the {name.replace('_ns', '')} of {feature} was {was!r} and is {now!r}",
                    {"name": feature, name: was},
                    {"name": feature, name: now},
                    self._inputs(step),
                )
        return None

    def _compare_baseline(self, step: ReplayStep, *, taking: bool) -> None:
        """Hold a baseline that is complete with a frame against the record's, and go on with the record's."""
        baselines, said = self._evaluator.baselines, step.baseline
        here = baselines.found() if taking and baselines.complete else None
        there = None if said is None else {name: getattr(said, name) for name in baselines.found()}
        if here is None and there is None:
            return
        self._baselines += 1
        if self._baseline is None and (text := _baseline_differs(there, here)) is not None:
            self._baseline = Difference(
                "baseline", step.frame_id, step.now_ns, text, there or {}, here or {}, {}
            )
        if said is not None:
            numbers = said.values.items()
            baselines.adopt(
                {name: Spread(each["mean"], each["sd"], each["frames"]) for name, each in numbers}
            )

    def _compare_decisions(self, step: ReplayStep, found: Sequence[Decision]) -> Difference | None:
        recorded = [_plain(each) for each in step.decisions]
        replayed = [_plain(_as_recorded(each)) for each in found]
        for number in range(max(len(recorded), len(replayed))):
            was = recorded[number] if number < len(recorded) else {}
            now = replayed[number] if number < len(replayed) else {}
            if (text := _difference(was, now)) is not None:
                return Difference("decision", step.frame_id, step.now_ns, text, was, now, self._inputs(step))
        return None

    def _inputs(self, step: ReplayStep) -> dict[str, Any]:
        """Return all that a call was given, and the replay's own values."""
        if step.call is not None:
            return {"call": step.call.call, **step.call.arguments}
        assert step.pose is not None
        assert step.seen is not None
        pose, seen, camera = step.pose, step.seen, step.pose.frame.camera
        features, columns = self._evaluator.features_of(camera), self._columns[camera]
        return {
            "exposure_ns": pose.frame.exposure_ns,
            "keypoints": {
                name: {"x": float(x), "y": float(y), "score": float(score)}
                for name, (x, y), score in zip(columns.said.keypoints, pose.xy, pose.score, strict=True)
            },
            "recorded": _by_name(columns.said.features, seen.values, seen.scores, seen.exposure_ns),
            "replayed": _by_name(columns.names, features.values, features.scores, features.exposure_ns),
        } | ({"camera": camera} if camera else {})


def _by_name(names: Sequence[str], values: Any, scores: Any, exposures: Any) -> dict[str, Any]:
    rows = zip(names, values.tolist(), scores.tolist(), exposures.tolist(), strict=True)
    return {
        name: {"value": value, "score": score, "exposure_ns": exposure}
        for name, value, score, exposure in rows
    }


def _call(evaluator: Evaluator, call: CallEntry) -> list[Decision]:
    """Make a call that no frame made."""
    try:
        return evaluator.call(call.call, call.t_ns, **call.arguments)
    except UsageError as error:
        raise HoleError(f"the call {call.call} of the record cannot be made again: {error}") from error


def _as_recorded(decision: Decision) -> DecisionEntry:
    """Return a decision as it would come out of a record."""
    back = decode(DecisionEntry.kind, encode(DecisionEntry.of(decision, _UNNUMBERED)))
    assert isinstance(back, DecisionEntry)
    return back


def _plain(decision: DecisionEntry) -> dict[str, Any]:
    """Return all of a decision but its number, which is the session's."""
    return {
        "rule": decision.rule,
        "now_ns": decision.t_ns,
        "frame_id": decision.frame_id,
        "session_ns": decision.session_ns,
        "state_before": decision.state_before,
        "state_after": decision.state_after,
        "action": decision.action,
        "reason": decision.reason,
        "pulse": None if decision.pulse is None else dict(decision.pulse),
        "trial": decision.trial,
        "inputs": [list(each) for each in decision.inputs],
        "blind": decision.blind,
    } | ({"camera": decision.camera_name} if decision.camera_name else {})


def _baseline_differs(was: dict[str, Any] | None, now: dict[str, Any] | None) -> str | None:
    """Say how a baseline is not what follows from the frames; None where it is."""
    if was is None:
        return "a baseline is complete with this frame, and none is recorded"
    if now is None:
        return "a baseline is recorded here, and the frames make none"
    for name, value in now.items():
        there = list(was[name]) if isinstance(value, list) else was[name]
        if repr(there) != repr(value):
            return f"the baseline's {name} was {there!r} and is {value!r} by the recorded frames"
    return None


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Say how two decisions differ; None where they do not."""
    if not now:
        return f"{_short(was)} was decided and is not"
    if not was:
        return f"{_short(now)} is decided and was not"
    fields = [name for name in was if repr(was[name]) != repr(now[name])]
    if not fields:
        return None
    both = ", ".join(f"{name} was {was[name]!r} and is {now[name]!r}" for name in fields)
    return f"the decision of {now['rule']}: {both}"


def _short(decision: dict[str, Any]) -> str:
    return f"{decision['action']} ({decision['reason']}) of {decision['rule']}"
