"""A closed loop on a clock that a test moves, with an output without light, and everything that it said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rtface.config import NullOutputSettings
from rtface.core.budget import Budget, BudgetWatch
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, NS_PER_US, ManualClock
from rtface.core.clockfit import ClockLine
from rtface.core.decision import Decision
from rtface.core.features import Features
from rtface.core.latency import LatencyRecorder
from rtface.core.outputs import OutputEvent, OutputInfo, OutputReason, OutputState, Report
from rtface.core.records import CameraInfo, Crop, FrameMeta, Losses, Pose, Pulse, Stamps
from rtface.core.status import Gap, PipelineState, PipelineStatus
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.rulebank import GRACE_NS
from rtface.decide.rules import RulesFile
from rtface.live.handler import NetworkInUse
from rtface.live.loop.closed_loop import ClosedLoop
from rtface.live.loop.record import NoRecord
from rtface.live.loop.standing import Opened
from rtface.live.shown.features import FeatureFeed
from rtface.publish.features import FeaturesMessage
from rtface.stimulate.null import NullOutput
from rtface.track.backends.base import BackendInfo

CAMERA = CameraInfo("fake", "fake 1", 64, 48, 100.0, None, True, "camera", {"gain": 1})
NETWORK = NetworkInUse("face", BackendInfo("fake", "1", "nowhere", "f32", None, "a test"), Crop(0, 0, 64, 48))
PERIOD_NS = 10 * NS_PER_MS
RULES: dict[str, Any] = {
    "features": {"nose": {"kind": "position", "point": "nose(tip)"}},
    "rules": {"right": {"when": "nose.x > 30", "refractory_ms": 100, "pulse": {"width_ms": 5}}},
}


class Ticking(ManualClock):
    """A microsecond passes with each look at it, as time does."""

    def now_ns(self) -> int:
        self.sleep_until_ns(super().now_ns() + NS_PER_US)
        return super().now_ns()


class Recorded(NoRecord):
    """Remembers what it was given, and may refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.decisions: list[Decision] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.pulses: list[tuple[int, int, str]] = []
        self.replies: list[Report] = []
        self.armings: list[tuple[str, str, str]] = []
        self.baselines: list[tuple[dict[str, Any], int]] = []
        self.failures: list[str] = []
        self.gaps: list[Gap] = []
        self.poses = self.rows = self.frames = 0
        self.stamps: list[tuple[int, int]] = []
        self.maps: list[tuple[str, ClockLine]] = []
        self.given: list[Any] = []
        self.full = False
        self.completes = True
        self.closed: str | None = None

    def decision(self, decision: Decision) -> int:
        self.decisions.append(decision)
        return -1 if self.full else super().decision(decision)

    def call(self, name: str, now_ns: int, **arguments: Any) -> None:
        self.calls.append((name, arguments))

    def pulse(
        self, decision: int, number: int, output: str, command: str, details: Mapping[str, Any] | None = None
    ) -> None:
        self.pulses.append((decision, number, command))

    def baseline(self, found: Mapping[str, Any], t_ns: int) -> None:
        self.baselines.append((dict(found), t_ns))

    def reply(self, report: Report, output: str) -> None:
        self.replies.append(report)

    def arming(
        self,
        event: str,
        who: str,
        why: str,
        details: Mapping[str, Any] | None = None,
        t_ns: int | None = None,
    ) -> None:
        self.armings.append((event, who, why))

    def pose(self, pose: Pose) -> None:
        self.poses += 1

    def published(self, frame_id: int, published_ns: int, camera: str = "") -> None:
        self.stamps.append((frame_id, published_ns))

    def clock_fit(self, device: str, line: ClockLine, camera: str = "") -> None:
        self.maps.append((device, line))

    def features(
        self,
        frame_id: int,
        now_ns: int,
        features: Features,
        given: Features | None = None,
        camera: str = "",
    ) -> None:
        self.rows += 1
        if given is not None:
            self.given.append(given.values.copy())

    def frame(self, image: Any, meta: FrameMeta) -> None:
        self.frames += 1

    def gap(self, gap: Gap, camera: str = "") -> None:
        self.gaps.append(gap)

    def failed(self, what: str, text: str) -> None:
        self.failures.append(what)

    def close(self, reason: str) -> bool:
        self.closed = reason
        return self.completes


class Scripted(NullOutput):
    """An output that says in addition what a test lets it say."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(NullOutputSettings(liveness_ms=5000), clock)
        self.says: list[Report] = []
        self.forced: OutputState | None = None
        self.refuses: OutputReason | None = None
        self.deaf = False

    @property
    def state(self) -> OutputState:
        return self.forced or super().state

    def open(self) -> OutputInfo:
        return replace(super().open(), drives_light=True, enforces_limits=True)

    def self_test(self) -> list[Check]:
        return [Check("output", "ok", "well")]

    def fire(self, pulse: Pulse) -> int:
        if self.refuses is None:
            return super().fire(pulse)
        number = self._reports.number()
        self.says.append(Report(number, OutputEvent.REFUSED, self._now(), self.state, self.refuses))
        return number

    def reports(self) -> list[Report]:
        said, self.says = self.says, []
        own = super().reports()
        return [*([] if self.deaf else own), *said]


class ManualLoop:
    """A loop that is open; frames come 10 ms after each other."""

    make_output: Callable[[ManualClock], Scripted] = Scripted
    make_record: Callable[[ManualClock], Recorded] = staticmethod(lambda clock: Recorded())
    features_hz = 0.0
    features_are_wanted = True

    def __init__(
        self,
        rules: Mapping[str, Any] = RULES,
        budget: str | None = None,
        make: Callable[[], Opened] | None = None,
        alike_ns: int = 0,
        grace_ns: int = GRACE_NS,
        camera: CameraInfo = CAMERA,
    ) -> None:
        self.clock = Ticking(10**12)
        self.output = type(self).make_output(self.clock)
        self.record = type(self).make_record(self.clock)
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.shown: list[FeaturesMessage] = []
        self.evaluator = RuleEvaluator(
            RulesFile.model_validate(rules), ("nose(tip)",), 100.0, alike_ns=alike_ns, grace_ns=grace_ns
        )
        self.budget = None if budget is None else BudgetWatch(Budget.parse(budget), 100)
        self.loop = ClosedLoop(
            self.output,
            "gate",
            lambda camera, network, info: (self.evaluator, self.record),
            lambda kind, t_ns, details: self.said.append((kind, dict(details))),
            feed=FeatureFeed(self.send_features, lambda: self.features_are_wanted, self.features_hz),
            budget=self.budget,
            clock=self.clock,
        )
        self.loop.open(camera, NETWORK)
        self._frame_id = self.handled_ns = 0

    def send_features(self, message: FeaturesMessage) -> None:
        self.shown.append(message)

    def ask(self, command: Callable[[], Any]) -> Any:
        return command()

    def post(self, command: Callable[[], Any]) -> None:
        command()

    def pass_ms(self, ms: float) -> None:
        self.clock.sleep_until_ns(self.clock.now_ns() + round(ms * NS_PER_MS))

    def frame(self, x: float, late_ms: float = 3.0, score: float = 0.9) -> None:
        """Show a nose at x; the loop gets it `late_ms` after its exposure."""
        self.pass_ms(max(0, 10 - late_ms))
        exposure_ns = self.clock.now_ns()
        self.pass_ms(late_ms)
        self.show(x, exposure_ns, score)

    def show(self, x: float, exposure_ns: int, score: float = 0.9) -> None:
        """Show a nose at x that was exposed at a time."""
        meta = FrameMeta(self._frame_id, exposure_ns, exposure_ns)
        self._frame_id += 1
        stamps = Stamps(*([exposure_ns] * 6))
        pose = Pose(
            meta,
            stamps,
            np.array([[x, 5.0]], np.float32),
            np.array([score], np.float32),
            np.zeros(1, np.bool_),
        )
        self.loop.handle(pose)
        self.handled_ns = self.clock.now_ns()
        self.loop.published(np.zeros((48, 64), np.uint8), pose, self.clock.now_ns())

    def arm(self) -> None:
        self.output.alive()
        self.output.arm()
        self.loop.standing.armed("Ada", [])

    def kinds(self, kind: str) -> list[dict[str, Any]]:
        return [details for each, details in self.said if each == kind]

    def actions(self) -> list[str]:
        return [str(each["action"]) for each in self.kinds("decision") if each["action"] != "none"]


def status(rate_hz: float = 100.0, state: PipelineState = PipelineState.RUNNING) -> PipelineStatus:
    """Return a pipeline's status, of 500 frames at 3 ms each."""
    recorder = LatencyRecorder(10**9)
    for _ in range(500):
        recorder.add(Stamps(0, 0, 0, 0, 0, 0), 2 * NS_PER_MS, 3 * NS_PER_MS)
    return PipelineStatus(state, rate_hz, 500, Losses(), recorder.summary(), None)
