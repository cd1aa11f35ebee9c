"""Sessions of two cameras in miniature, recorded without a camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtface.config import SessionSettings
from rtface.core.decision import Action, Decision
from rtface.core.features import Features
from rtface.core.records import CameraInfo, Crop, FrameMeta, Keypoint, Pose, Stamps
from rtface.decide.multi import OF_POSE, MultiEvaluator, RuleCamera
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.record.session.cameras.setup import CameraSetup, Setup
from rtface.record.session.recorder import SessionRecorder

MS = 1_000_000
BEGAN_NS = 10**12
CAMERAS = {"left": ("nose", "paw"), "right": ("nose",)}
RATES_HZ = {"left": 200.0, "right": 100.0}
PULSE = {"width_ms": 5}
RULES: dict[str, Any] = {
    "input": {"frozen_ms": 120.0, "min_view": 0.5},
    "features": {
        "left.nose": {"kind": "speed", "point": "nose", "smooth": {"kind": "one_euro"}},
        "left.reach": {"kind": "distance", "points": ["nose", "paw"]},
        "right.nose": {"kind": "position", "point": "nose"},
    },
    "rules": {
        "one": {"when": "left.reach.distance < 40", "refractory_ms": 30, "pulse": PULSE},
        "both": {
            "when": "left.reach.distance < 75 and right.nose.x > 205",
            "refractory_ms": 50,
            "dwell_ms": 10,
            "max_age_ms": 25,
            "pulse": PULSE,
            "schedule": {"kind": "mixed", "sham": 0.25, "catch": 0.25, "seed": 3, "blind": True},
        },
    },
}


def setup(evaluator: MultiEvaluator, *, blind: bool) -> Setup:
    each = [
        CameraSetup(
            name,
            [Keypoint(point) for point in points],
            "made up",
            CameraInfo("fake", f"fake {name}", 640, 480, RATES_HZ[name], None, True, "camera", {}),
            "fake",
            {"name": "fake", "version": "1"},
            Crop(0, 0, 640, 480),
            evaluator.bank_of(name).names,
            tuple(f"{name}.{each}" for each in OF_POSE),
            (*evaluator.bank_of(name).units, "1", "1"),
            RATES_HZ[name],
        )
        for name, points in CAMERAS.items()
    ]
    first = each[0]
    return Setup(
        rig="cameras: {}\n",
        keypoints=first.keypoints,
        score_definition=first.score_definition,
        camera=first.camera,
        engine=first.engine,
        backend=first.backend,
        crop=first.crop,
        rules="# as in the file\n",
        resolved=evaluator.rules.model_dump_json(),
        features=first.features,
        given=first.given,
        units=first.units,
        rate_hz=first.rate_hz,
        grace_ns=50 * MS,
        alike_ns=ALIKE_NS if blind else 0,
        blind=evaluator.blind_rules if blind else (),
        cameras=each,
    )


def evaluator_of(rules: dict[str, Any] = RULES, alike_ns: int = 0) -> MultiEvaluator:
    cameras = [RuleCamera(name, points, RATES_HZ[name], (640, 480)) for name, points in CAMERAS.items()]
    return MultiEvaluator(RulesFile.model_validate(rules), cameras, grace_ns=50 * MS, alike_ns=alike_ns)


def pose_of(camera: str, number: int, exposure_ns: int, trigger_id: int | None = None) -> Pose:
    """A mouse that reaches for its nose, and turns now and then, seen from two sides."""
    random = np.random.default_rng((number, len(camera)))
    t_s = (exposure_ns - BEGAN_NS) / 1e9
    nose = (200 + 20 * math.sin(5 * t_s), 150.0)
    paw = (nose[0] + 30 + 60 * math.sin(3 * t_s) ** 2, 150.0)
    points = [nose, paw][: len(CAMERAS[camera])]
    xy = (np.array(points) + random.normal(0, 0.3, (len(points), 2))).astype(np.float32)
    view_ok = 0.2 if number % 97 == 50 else 0.9
    return Pose(
        FrameMeta(number, exposure_ns, exposure_ns, trigger_id=trigger_id, camera=camera),
        Stamps(exposure_ns, exposure_ns, *(exposure_ns + step * 100_000 for step in (1, 2, 8, 9))),
        xy,
        (1 - 0.6 * random.random(len(points)) ** 8).astype(np.float32),
        np.zeros(len(points), bool),
        view_ok=float(np.float32(view_ok)),
    )


def record_multi(root: Path, frames: int, *, blind: bool = False) -> tuple[Path, list[Decision]]:
    """Record a session of two cameras that are not in step: armed, one lost amid it and back, armed anew."""
    evaluator = evaluator_of(alike_ns=ALIKE_NS if blind else 0)
    recorder = SessionRecorder(
        SessionSettings.model_validate({"folder": root, "min_free_gb": 0}),
        "multi",
        setup(evaluator, blind=blind),
    )
    recorder.open()
    decisions: list[Decision] = []
    ends: list[tuple[int, str, int | None]] = []

    def take(found: Sequence[Decision]) -> None:
        for decision in found:
            decisions.append(decision)
            if decision.action is Action.FIRE:
                ends.append((decision.now_ns + 6 * MS, decision.rule, decision.trial))
            assert recorder.decision(decision) == len(decisions) - 1

    def call(name: str, now_ns: int, **arguments: Any) -> None:
        recorder.call(name, now_ns, **arguments)
        take(evaluator.call(name, now_ns, **arguments))

    call("arm", BEGAN_NS - MS)
    lost = range(frames // 3, frames // 2)
    now_ns = BEGAN_NS
    for number in range(frames):
        seen = [("left", BEGAN_NS + 5 * number * MS)]
        if number % 2 and number not in lost:
            seen.append(("right", BEGAN_NS + 5 * number * MS - 2 * MS))
        if number == lost.start:
            call("lost", now_ns, camera="right")
        for camera, exposure_ns in seen:
            pose = pose_of(camera, number if camera == "left" else number // 2, exposure_ns)
            now_ns = max(now_ns, exposure_ns) + MS
            if camera == "right" and number == lost.stop + (lost.stop % 2 == 0):
                call("back", now_ns, camera="right")
            given = Features(
                np.array([pose.same_pictures, pose.view_ok]), np.ones(2), np.full(2, exposure_ns)
            )
            recorder.pose(pose)
            found = evaluator.evaluate(pose, now_ns, given)
            recorder.features(
                number if camera == "left" else number // 2,
                now_ns,
                evaluator.features_of(camera),
                given,
                camera,
            )
            take(found)
            recorder.published(pose.frame.frame_id, now_ns + 1000, camera)
        while ends and ends[0][0] <= now_ns:
            _, rule, trial = ends.pop(0)
            call("ended", now_ns, rule=rule, trial=trial)
        if number % 10 == 0:
            call("tick", now_ns)
        if number == lost.stop + 60:
            call("disarm", now_ns, reason="operator")
            call("arm", now_ns)
    assert recorder.close()
    return recorder.folder, decisions


Frame = tuple[int, int, int | None]
"""Number, exposure and trigger of a frame."""


def record_frames(root: Path, left: Sequence[Frame], right: Sequence[Frame]) -> Path:
    """Record poses of these frames, and nothing else."""
    evaluator = evaluator_of()
    recorder = SessionRecorder(
        SessionSettings.model_validate({"folder": root, "min_free_gb": 0}),
        "frames",
        setup(evaluator, blind=False),
    )
    recorder.open()
    for camera, frames in (("left", left), ("right", right)):
        for number, exposure_ns, trigger in frames:
            recorder.pose(pose_of(camera, number, exposure_ns, trigger))
    assert recorder.close()
    return recorder.folder
