"""While a session is blinded nothing that rtface emits tells light from sham: a classifier does no better than chance.

The output answers, lights and ends like a device, some milliseconds late and never equally so; what it costs to talk to
it takes time on the test's clock. Frames come on a grid that pulses do not fall on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from support.manual_loop import ManualLoop, Scripted

from rtface.cli.loop import loop_view
from rtface.config import Rig, SimulatedCameraSettings
from rtface.core.clock import NS_PER_MS, NS_PER_US, ManualClock
from rtface.core.decision import Action
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pose, Pulse
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.rulebank import ALIKE_NS, GRACE_NS
from rtface.decide.rules import RulesFile
from rtface.live.assembly import end_grace_ns
from rtface.live.loop.status import LoopState
from rtface.live.shown.features import FeatureFeed
from rtface.publish.features import FeaturesMessage

TRIALS = 240
PULSE_MS = 33
RULES: dict[str, Any] = {
    "features": {"nose": {"kind": "position", "point": "nose(tip)"}},
    "rules": {
        "right": {
            "when": "nose.x > 30",
            "repeat": True,
            "refractory_ms": 100,
            "max_gap_frames": 1000,
            "pulse": {"on_ms": PULSE_MS},
            "schedule": {"kind": "mixed", "sham": 0.5, "block": 2, "seed": 3, "blind": True},
        }
    },
}


class Device(Scripted):
    """Answers late, and takes time to be talked to; `refusing` part of its pulses it refuses."""

    refusing = 0.0

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.chance = random.Random(4)
        self.due: list[Report] = []
        self.firing_until_ns = 0
        self.calls = 0

    @property
    def state(self) -> OutputState:
        own = super().state
        return OutputState.FIRING if own is OutputState.ARMED and self._now() < self.firing_until_ns else own

    def fire(self, pulse: Pulse) -> int:
        self.calls += 1
        self._spend(self.chance.uniform(60, 400))
        number, now_ns, late_ns = (
            self.calls + 1_000_000,
            self._now(),
            round(self.chance.uniform(1, 6) * NS_PER_MS),
        )
        if self.chance.random() < self.refusing:
            self._later(number, OutputEvent.REFUSED, now_ns + late_ns, OutputReason.TOO_SOON)
            return number
        on_ns, end_ns = now_ns + late_ns, now_ns + late_ns + pulse.duration_ns
        self.firing_until_ns = end_ns
        self._later(number, OutputEvent.SENT, now_ns + 1)
        self._later(number, OutputEvent.ACK, on_ns)
        self._later(number, OutputEvent.LIGHT_ON, on_ns)
        self._later(number, OutputEvent.LIGHT_OFF, end_ns)
        self._later(number, OutputEvent.TRAIN_ENDED, end_ns, OutputReason.COMPLETED)
        return number

    def reports(self) -> list[Report]:
        ready = [each for each in self.due if each.t_ns <= self._now()]
        self.due = [each for each in self.due if each not in ready]
        self._spend(80.0 * len(ready))
        return [*super().reports(), *ready]

    def _later(
        self, number: int, event: OutputEvent, t_ns: int, reason: OutputReason = OutputReason.NONE
    ) -> None:
        self.due.append(Report(number, event, t_ns, OutputState.FIRING, reason))

    def _spend(self, us: float) -> None:
        clock = self._clock
        clock.sleep_until_ns(clock.now_ns() + round(us * NS_PER_US))


class Predictor:
    """In place of an encoder: says when it publishes."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def predict(self, pose: Pose) -> None:
        """Have nothing for the rules."""

    def publish(self) -> None:
        self._watched.emitted.append((self._watched.clock.now_ns(), "neural", {}))


class Watched(ManualLoop):
    """Keeps everything that it emits, with when it came."""

    make_output = Device
    features_hz = 60.0

    def __init__(self, alike_ns: int, rules: dict[str, Any] = RULES, grace_ns: int = GRACE_NS) -> None:
        self.emitted: list[tuple[int, str, dict[str, Any]]] = []
        super().__init__(rules, alike_ns=alike_ns, grace_ns=grace_ns)
        self.said = self  # type: ignore[assignment]
        self.loop._neural = Predictor(self)  # type: ignore[assignment]

    def append(self, event: tuple[str, dict[str, Any]]) -> None:
        self.emitted.append((self.clock.now_ns(), *event))

    def send_features(self, message: FeaturesMessage) -> None:
        values = zip(message.names, message.values.tolist(), message.scores.tolist(), strict=True)
        rules = {
            f"{name} {key}": repr(each)
            for name, rule in message.rules.items()
            for key, each in rule.items()
            if key != "values"
        }
        found = {
            f"{name} {what}": number for name, *two in values for what, number in zip("vs", two, strict=True)
        }
        self.emitted.append((self.clock.now_ns(), "features", found | rules))

    def watch(self) -> None:
        """Keep what a client that asks, or whoever looks at the screen, sees now; they come at times of their own."""
        self.loop.standing.refresh()  # once a second in real life
        status = self.loop.status.as_map()
        screen = StringIO()
        Console(file=screen, width=100).print(loop_view(status))
        counts = status["counts"].pop("none", 0)
        self.emitted.append((self.handled_ns, "status", {**status, "nones": counts}))
        self.emitted.append((self.handled_ns, "screen", {"text": screen.getvalue()}))


def run(
    alike_ns: int = ALIKE_NS, watched: Watched | None = None, trials: int = TRIALS, stalling: float = 0.0
) -> tuple[Watched, NDArray[np.bool_]]:
    """Run so many trials, that part of the frames 90 to 200 ms late; return all that was emitted, and which were light."""
    watched = Watched(alike_ns) if watched is None else watched
    watched.arm()
    chance, frame_ns = random.Random(5), watched.clock.now_ns()
    truth: list[bool] = []
    while len(truth) <= trials:
        frame_ns += 10 * NS_PER_MS + round(chance.uniform(-0.4, 0.4) * NS_PER_MS)
        if chance.random() < stalling:
            frame_ns += round(chance.uniform(90, 200) * NS_PER_MS)
        watched.clock.sleep_until_ns(frame_ns + 3 * NS_PER_MS)
        watched.show(40 + chance.random(), frame_ns)
        truth = [
            each.action is Action.FIRE
            for each in watched.record.decisions
            if each.action in (Action.FIRE, Action.SHAM)
        ]
        watched.emitted.append((watched.handled_ns, "keypoints", {"after_ns": watched.handled_ns - frame_ns}))
        watched.watch()
    return watched, np.array(truth[:trials])


def by_trial(watched: Watched) -> list[dict[str, float]]:
    """All that was emitted in each trial and up to the next one as named numbers: times since the trial began, and texts."""
    trials: list[dict[str, float]] = []
    began_ns, count = 0, 0
    texts: dict[str, int] = {}
    for t_ns, kind, details in watched.emitted:
        if kind == "decision" and details["action"] in ("trial", "fire", "sham"):
            began_ns, count = details["now_ns"], 0
            trials.append({})
        if not trials:
            continue
        count += 1
        found = trials[-1]
        found[f"{count} kind"] = texts.setdefault(kind, len(texts))
        found[f"{count} came"] = (t_ns - began_ns) / NS_PER_MS
        for name, value in details.items():
            if name in ("trial", "frame_id", "session_ns", "counts", "nones", "inputs"):
                continue
            if name == "now_ns":
                value = (value - began_ns) / NS_PER_MS
            if name == "text":
                value = "".join(each for each in value if not each.isdigit())
            number = isinstance(value, int | float) and not isinstance(value, bool)
            found[f"{count} {name}"] = value if number else texts.setdefault(repr(value), len(texts))
    for found in trials:
        found["emissions"] = sum(name.endswith(" kind") for name in found)
    return trials[:TRIALS]


def features(trials: list[dict[str, float]]) -> NDArray[np.float64]:
    names = sorted({name for each in trials for name in each})
    table = np.array([[each.get(name, -1.0) for name in names] for each in trials])
    table = table[:, np.ptp(table, axis=0) > 0]
    return (table - table.mean(axis=0)) / table.std(axis=0)


def accuracy(table: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, float]:
    """What classifiers that learn on one half of the trials make of the other: nearest mean, and the best threshold."""
    train, test = np.arange(len(truth)) % 4 < 2, np.arange(len(truth)) % 4 >= 2
    light, sham = table[train & truth].mean(axis=0), table[train & ~truth].mean(axis=0)
    nearer = ((table - light) ** 2).sum(axis=1) < ((table - sham) ** 2).sum(axis=1)
    best, said = 0.0, np.zeros(len(truth), bool)
    for column in table.T:
        for limit in np.quantile(column[train], np.linspace(0.1, 0.9, 9)):
            for guess in (column > limit, column <= limit):
                score = float((guess == truth)[train].mean())
                if score > best:
                    best, said = score, guess
    return {
        "nearest mean": float((nearer == truth)[test].mean()),
        "threshold": float((said == truth)[test].mean()),
    }


CHANCE = 0.5 + 4 * 0.5 / (TRIALS / 2) ** 0.5
"""Four standard deviations above guessing."""


def test_a_classifier_does_no_better_than_chance_on_all_that_is_emitted() -> None:
    watched, truth = run()
    assert 0.4 < truth.mean() < 0.6
    found = accuracy(features(by_trial(watched)), truth)
    assert max(found.values()) < CHANCE, found


def test_the_classifier_sees_what_is_not_hidden() -> None:
    watched, truth = run(alike_ns=0)  # trials that end with their light, as they did before
    found = accuracy(features(by_trial(watched)), truth)
    assert max(found.values()) > 0.9, found


def features_alone(watched: Watched) -> list[dict[str, float]]:
    """What the topic of features says in each trial: all else that was emitted is left out, but for the trials' beginnings."""
    watched.emitted = [each for each in watched.emitted if each[1] in ("features", "decision")]
    watched.emitted = [
        (t_ns, kind, {key: details[key] for key in ("action", "now_ns")} if kind == "decision" else details)
        for t_ns, kind, details in watched.emitted
        if kind == "features" or details["action"] in ("trial", "fire", "sham")
    ]
    return by_trial(watched)


def test_features_do_not_tell_and_hold_no_rules() -> None:
    watched, truth = run()
    shown = [details for _, kind, details in watched.emitted if kind == "features"]
    assert len(shown) > TRIALS
    assert {name for each in shown for name in each} == {f"nose.{xy} {vs}" for xy in "xy" for vs in "vs"}
    found = accuracy(features(features_alone(watched)), truth)
    assert max(found.values()) < CHANCE, found


def test_the_classifier_sees_rules_that_features_would_not_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = FeatureFeed.publish

    def unhidden(feed: FeatureFeed, evaluator: RuleEvaluator, *rest: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(evaluator, "blind", False)
            publish(feed, evaluator, *rest)

    monkeypatch.setattr(FeatureFeed, "publish", unhidden)
    monkeypatch.setattr(Watched, "features_hz", 1000.0)
    watched, truth = run(alike_ns=0)
    found = accuracy(features(features_alone(watched)), truth)
    assert max(found.values()) > 0.9, found


def test_pulses_that_are_refused_do_not_tell_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "refusing", 0.5)
    watched, truth = run()
    found = accuracy(features(by_trial(watched)), truth)
    assert max(found.values()) < CHANCE, found


def test_a_loop_that_stalls_past_the_end_of_a_trial_does_not_tell_either() -> None:
    """The end of the light is not heard of before the next frame is published; a trial ends by then all the same."""
    grace_ns = end_grace_ns(Rig(camera=SimulatedCameraSettings()), RulesFile.model_validate(RULES))
    watched, truth = run(watched=Watched(ALIKE_NS, grace_ns=grace_ns), stalling=0.2)
    assert watched.loop.status.state is LoopState.ARMED, watched.loop.status.why
    found = accuracy(features(by_trial(watched)), truth)
    assert max(found.values()) < CHANCE, found


def test_the_output_of_a_blinded_loop_is_not_said_to_fire() -> None:
    watched = Watched(ALIKE_NS)
    watched.arm()
    states: set[str] = set()
    frame_ns = watched.clock.now_ns()
    fired = False
    for _ in range(200):
        frame_ns += 10 * NS_PER_MS
        watched.clock.sleep_until_ns(frame_ns + 3 * NS_PER_MS)
        watched.show(40 + random.Random(frame_ns).random(), frame_ns)
        watched.watch()
        fired = fired or watched.output.state is OutputState.FIRING
        states.add(watched.loop.status.output)
    assert fired
    assert states == {"armed"}


@pytest.mark.parametrize("end", ["disarm", "stop"])
def test_a_trial_that_is_cut_short_ends_alike(end: str) -> None:
    ends: dict[bool, list[tuple[str, str, str]]] = {}
    for _ in range(40):
        watched = Watched(ALIKE_NS)
        watched.arm()
        frame_ns = watched.clock.now_ns()
        wanted = len(ends) == 0 or True not in ends
        while True:
            frame_ns += 10 * NS_PER_MS
            watched.clock.sleep_until_ns(frame_ns + 3 * NS_PER_MS)
            watched.show(40 + random.Random(frame_ns).random(), frame_ns)
            trials = [each for each in watched.record.decisions if each.secret]
            if trials and (trials[-1].action is Action.FIRE) == wanted:
                break
        begun = len(watched.emitted)
        action: Callable[[str, str], None] = (
            watched.loop.standing.disarmed if end == "disarm" else watched.loop.standing.stopped
        )
        action("Ada", "enough")
        for _ in range(20):
            watched.loop.idle()
            watched.pass_ms(10)
        ends[wanted] = [
            (kind, str(details.get("action", details.get("event"))), str(details.get("reason")))
            for _, kind, details in watched.emitted[begun:]
        ]
        if len(ends) == 2:
            break
    assert ends[True] == ends[False]
    assert ends[True]


def test_a_pause_between_frames_is_no_light_without_an_end() -> None:
    """The end waits to be heard until a frame has been published, and a busy machine may take its time for one."""
    rig = Rig(camera=SimulatedCameraSettings())
    assert end_grace_ns(rig, None) == GRACE_NS
    grace_ns = end_grace_ns(rig, RulesFile.model_validate(RULES))
    watched = Watched(ALIKE_NS, grace_ns=grace_ns)
    watched.arm()
    frame_ns = watched.clock.now_ns()
    for number in range(60):
        frame_ns += 400 * NS_PER_MS
        watched.clock.sleep_until_ns(frame_ns + 3 * NS_PER_MS)
        watched.show(40 + random.Random(number).random(), frame_ns)
        assert watched.loop.status.state is LoopState.ARMED, watched.loop.status.why
    assert any(each.secret and each.action is Action.FIRE for each in watched.record.decisions)
