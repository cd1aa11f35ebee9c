"""A process that records a session as a rig does, until it is killed: run by tests and by `bench.loop.record`.

Prints a line ``frame exposure_ns`` after each frame was handed over, so that whoever kills it knows what had been.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtface.config import SessionSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK
from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.core.features import Features
from rtface.core.records import CameraInfo, Crop, FrameMeta, Image, Keypoint, Pose, Pulse, Stamps
from rtface.record.session.cameras.setup import Setup
from rtface.record.session.recorder import SessionRecorder

POINTS, FEATURES = 15, 12


def setup(size: tuple[int, int], rate_hz: float) -> Setup:
    """Return a session of a usual size, its frames of `size` (width, height)."""
    width, height = size
    return Setup(
        rig="camera: {}",
        keypoints=[Keypoint(f"point{each}") for each in range(POINTS)],
        score_definition="none",
        camera=CameraInfo("made up", "1", width, height, rate_hz, None, True, "camera", {}),
        engine="none",
        backend={},
        crop=Crop(0, 0, width, height),
        features=[f"f{each}" for each in range(FEATURES)],
        units=["1"] * FEATURES,
    )


def pose_of(meta: FrameMeta, now_ns: int) -> Pose:
    """Return a frame's pose, found just now."""
    points = np.full((POINTS, 2), meta.frame_id, np.float32)
    stamps = Stamps(meta.exposure_ns, meta.arrival_ns, now_ns, now_ns, now_ns, now_ns)
    return Pose(meta, stamps, points, points[:, 0].copy(), np.zeros(POINTS, bool))


def decision_of(number: int, now_ns: int, trial: int, inputs: Sequence[str]) -> Decision:
    """Return a decision to fire on a frame by some features."""
    return Decision(
        "rule", number, now_ns, now_ns, RuleStatus.ARMED, RuleStatus.FIRING, Action.FIRE, Reason.RULE,
        Pulse(5_000_000, 5_000_000, 1, 1.0), trial, tuple((name, float(number), 1.0, 1) for name in inputs),
    )  # fmt: skip


def main() -> None:
    """Record at a given rate for ever, or for so many frames."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--frames", choices=["none", "h264", "lossless", "ffv1"], default="lossless")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240))
    parser.add_argument("--count", type=int, default=None)
    options = parser.parse_args()
    width, height = options.size
    settings = SessionSettings(folder=options.root, frames=options.frames, min_free_gb=0)
    recorder = SessionRecorder(settings, "killed", setup((width, height), options.rate))
    recorder.open()
    picture = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    pictures = [np.ascontiguousarray(np.roll(picture, shift, axis=1)) for shift in range(50)]
    period_ns = round(NS_PER_S / options.rate)
    began_ns = SYSTEM_CLOCK.now_ns()
    number = 0
    while options.count is None or number < options.count:
        exposure_ns = began_ns + number * period_ns
        SYSTEM_CLOCK.sleep_until_ns(exposure_ns)
        _record(recorder, pictures[number % len(pictures)], FrameMeta(number, exposure_ns, exposure_ns))
        sys.stdout.write(f"{number} {exposure_ns}\n")
        sys.stdout.flush()
        number += 1
    recorder.close()


def _record(recorder: SessionRecorder, picture: Image, meta: FrameMeta) -> None:
    """Record a frame with all that comes of it; each tenth fires."""
    number, now_ns = meta.frame_id, SYSTEM_CLOCK.now_ns()
    recorder.frame(picture, meta)
    recorder.pose(pose_of(meta, now_ns))
    values = np.full(FEATURES, float(number))
    recorder.features(number, now_ns, Features(values, values, np.full(FEATURES, meta.exposure_ns)))
    if number % 10 == 0:
        fired = decision_of(number, now_ns, number // 10, ["f0"])
        recorder.pulse(recorder.decision(fired), number, "gate", "fire")
    recorder.published(number, now_ns)


if __name__ == "__main__":
    main()
