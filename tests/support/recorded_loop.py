"""A closed loop in miniature: made-up poses through features and rules into a session's record."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtface.config import SessionSettings
from rtface.core.clock import SYSTEM_CLOCK, Clock, ManualClock
from rtface.core.decision import Action, Decision, Reason
from rtface.core.features import Features
from rtface.core.records import CameraInfo, Crop, FrameMeta, Keypoint, Pose, Stamps
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.rules import RulesFile
from rtface.record.session.cameras.setup import Setup
from rtface.record.session.recorder import SessionRecorder
from support.numbered_pictures import HEIGHT, WIDTH, image_of
from support.session_parts import made_report
from support.waits import wait_until

NAMES = ("nose", "whisker", "paw")
RATE_HZ = 200.0
PERIOD_NS = 5_000_000
MS = 1_000_000

RULES: dict[str, Any] = {
    "features": {
        "pad": {"kind": "whisking", "point": "whisker"},
        "nose": {"kind": "speed", "point": "nose", "smooth": {"kind": "one_euro"}},
        "reach": {"kind": "distance", "points": ["nose", "paw"]},
    },
    "rules": {
        "whisk": {
            "value": "pad.amplitude",
            "on_above": 6.0,
            "off_below": 4.0,
            "refractory_ms": 300,
            "max_age_ms": 20,
            "pulse": {"width_ms": 20},
            "schedule": {"kind": "mixed", "sham": 0.25, "catch": 0.25, "seed": 7, "blind": True},
        },
        "near": {
            "when": "reach.distance < 30 and neural.pc1 > 0.5",
            "refractory_ms": 500,
            "pulse": {"frequency_hz": 40, "width_ms": 5, "duration_ms": 100, "amplitude": 0.5},
        },
    },
}
GIVEN = ("neural.pc1",)
SIZE = {"width": WIDTH, "height": HEIGHT}


def pose_at(number: int, began_ns: int) -> Pose:
    """A mouse that whisks for one second in two and reaches for its nose now and then."""
    random = np.random.default_rng(number)
    t_s = number / RATE_HZ
    bout = 10.0 if t_s % 2 < 1 else 1.0
    whisker = (300 + bout * math.sin(2 * math.pi * 12 * t_s), 200 + 0.1 * bout)
    paw = (210 + 80 * math.sin(0.9 * t_s) ** 2, 150)
    xy = np.array([(200, 150), whisker, paw]) + random.normal(0, 0.3, (3, 2))
    score = 1 - 0.6 * random.random(3) ** 8
    if number % 211 == 0:
        xy[1], score[1] = np.nan, 0
    exposure_ns = began_ns + number * PERIOD_NS
    arrival_ns = exposure_ns + MS
    return Pose(
        FrameMeta(number + 10, exposure_ns, arrival_ns),
        Stamps(exposure_ns, arrival_ns, *(arrival_ns + step * 100_000 for step in (1, 2, 8, 9))),
        xy.astype(np.float32),
        score.astype(np.float32),
        np.zeros(3, bool),
    )


def setup(
    rules: RulesFile, evaluator: RuleEvaluator | None = None, *, width: int = 32, height: int = 24
) -> Setup:
    """What the loop says of itself."""
    names = () if evaluator is None else evaluator.bank.names
    units = () if evaluator is None else (*evaluator.bank.units, "1")
    return Setup(
        rig="camera: {kind: simulated}\n",
        keypoints=[Keypoint(name) for name in NAMES],
        score_definition="made up",
        camera=CameraInfo("fake", "fake 1", width, height, RATE_HZ, None, True, "camera", {"gain": 1.0}),
        engine="fake",
        backend={"name": "fake", "version": "1"},
        crop=Crop(0, 0, width, height),
        sha256={"engine": "0" * 64},
        rules="# as it stands in the file\n",
        resolved="" if evaluator is None else rules.model_dump_json(),
        features=names,
        given=() if evaluator is None else GIVEN,
        units=units,
        rate_hz=RATE_HZ,
        grace_ns=50 * MS,
    )


class Loop:
    """Runs and records. `number` counts frames; what is due at a later frame waits in `_due`."""

    def __init__(
        self,
        root: Path,
        rules: dict[str, Any] = RULES,
        *,
        began_ns: int = 10**12,
        alike_ns: int = 0,
        sealed: bool = False,
        frames: str = "none",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._pictures = frames != "none"
        self._clock = clock
        self.rules = RulesFile.model_validate(rules)
        self.evaluator = RuleEvaluator(
            self.rules, NAMES, RATE_HZ, extra_names=GIVEN, grace_ns=50 * MS, alike_ns=alike_ns
        )
        self.recorder = SessionRecorder(
            SessionSettings.model_validate(
                # a clock that is set by hand outruns the disk
                {"folder": root, "min_free_gb": 0, "frames": frames, "stall_s": 1e6}
            ),
            "loop",
            replace(
                setup(self.rules, self.evaluator, **SIZE if self._pictures else {}),
                alike_ns=alike_ns,
                blind=self.evaluator.blind_rules if sealed else (),
            ),
            clock=clock,
        )
        self.folder = self.recorder.folder
        self.decisions: list[Decision] = []
        self._began_ns = began_ns
        self._commands = 0
        self._due: list[tuple[int, str, dict[str, Any]]] = []

    def run(self, frames: int, watch: Callable[[int, int], None] = lambda number, now_ns: None) -> None:
        """Run over so many frames; `watch` is called just after each with its number and the time."""
        for number in range(frames):
            pose = pose_at(number, self._began_ns)
            now_ns = pose.stamps.decided_ns + 50_000
            if isinstance(self._clock, ManualClock):
                self._clock.sleep_until_ns(now_ns)
            self._make_due(now_ns)
            self.recorder.pose(pose)
            if number % 97 == 96:
                self._take(pose, now_ns, None)
            else:
                pc1 = math.sin(number / 30)
                self._take(
                    pose, now_ns, Features(np.array([pc1]), np.ones(1), np.array([pose.frame.exposure_ns]))
                )
            self.recorder.published(pose.frame.frame_id, now_ns + 200_000)
            if self._pictures:
                recording = self.recorder._video[0]
                wait_until(lambda: bool(recording._free))  # noqa: B023  (none is to be dropped)
                self.recorder.frame(image_of(number), pose.frame)
            if number % 10 == 0:
                self.call("tick", now_ns + MS)
            watch(number, now_ns + MS)

    def call(self, name: str, now_ns: int, **arguments: Any) -> None:
        """Call the rules without a frame, and record it."""
        self.recorder.call(name, now_ns, **arguments)
        method = getattr(self.evaluator, name)
        if "reason" in arguments:
            arguments["reason"] = Reason(arguments["reason"])
        self._record(method(now_ns, **arguments) or ())

    def _take(self, pose: Pose, now_ns: int, given: Features | None) -> None:
        found = self.evaluator.evaluate(pose, now_ns, given)
        self.recorder.features(pose.frame.frame_id, now_ns, self.evaluator.features, given)
        self._record(found)

    def _make_due(self, now_ns: int) -> None:
        ready = [each for each in self._due if each[0] <= now_ns]
        self._due = [each for each in self._due if each[0] > now_ns]
        for _, name, arguments in ready:
            self.call(name, now_ns, **arguments)

    def _record(self, found: Iterable[Decision]) -> None:
        for decision in found:
            self.decisions.append(decision)
            number = self.recorder.decision(decision)
            assert number == len(self.decisions) - 1
            if decision.action is Action.FIRE:
                self._fire(decision, number)

    def _fire(self, decision: Decision, number: int) -> None:
        assert decision.pulse is not None
        self._commands += 1
        command, now_ns = self._commands, decision.now_ns
        self.recorder.pulse(number, command, "gate", "fire", asdict(decision.pulse), now_ns)
        ends_ns = now_ns + decision.pulse.duration_ns + MS
        for event, t_ns in (("ack", now_ns + 500_000), ("light_on", now_ns + MS), ("train_ended", ends_ns)):
            self.recorder.reply(replace(made_report(command, event, t_ns), host_ns=t_ns), "gate")
        self._due.append((now_ns + MS, "began", {"rule": decision.rule}))
        self._due.append((ends_ns, "ended", {"rule": decision.rule, "trial": decision.trial}))


def record_loop(
    root: Path,
    frames: int,
    rules: dict[str, Any] = RULES,
    *,
    alike_ns: int = 0,
    sealed: bool = False,
    pictures: str = "none",
    clock: Clock = SYSTEM_CLOCK,
) -> Loop:
    """Record a whole session: armed, disarmed amid a pulse, armed again, in a fault, cleared, armed.

    With `pictures`, the codec of a video, frame n shows the number n - 10. A `ManualClock` goes with the poses.
    These begin at 1000 s.
    """
    loop = Loop(root, rules, alike_ns=alike_ns, sealed=sealed, frames=pictures, clock=clock)
    loop.recorder.open()
    loop.recorder.arming("armed", "operator", "start")
    loop.call("arm", 10**12 - MS)
    third, disarmed = frames // 3, frames

    def watch(number: int, now_ns: int) -> None:
        nonlocal disarmed
        pulsing = any(
            each.action is Action.FIRE and now_ns < each.now_ns + 20 * MS for each in loop.decisions[-3:]
        )
        if disarmed == frames and number >= third and pulsing:
            disarmed = number
            loop.call("disarm", now_ns, reason="operator")
        elif number == disarmed + 100:
            loop.call("arm", now_ns)
        elif number == 2 * third:
            loop.call("fault", now_ns, reason="camera_lost")
        elif number == 2 * third + 50:
            loop.call("clear", now_ns)
        elif number == 2 * third + 100:
            loop.call("arm", now_ns)

    loop.run(frames, watch)
    assert loop.recorder.close()
    return loop
