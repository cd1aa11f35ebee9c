"""A process that records a session as a rig does, until it is killed: run by tests and by ``bench/record.py``.

Prints a line ``frame exposure_ns`` after each frame was handed over, so that whoever kills it knows what had been.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from rtface.config import SessionSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK
from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.core.features import Features
from rtface.core.records import CameraInfo, Crop, FrameMeta, Keypoint, Pose, Pulse, Stamps
from rtface.record.session.recorder import SessionRecorder, Setup

POINTS, FEATURES = 15, 12


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
    setup = Setup(
        rig="camera: {}",
        keypoints=[Keypoint(f"point{each}") for each in range(POINTS)],
        score_definition="none",
        camera=CameraInfo("made up", "1", width, height, options.rate, None, True, "camera", {}),
        engine="none",
        backend={},
        crop=Crop(0, 0, width, height),
        features=[f"f{each}" for each in range(FEATURES)],
        units=["1"] * FEATURES,
    )
    settings = SessionSettings(folder=options.root, frames=options.frames, min_free_gb=0)
    recorder = SessionRecorder(settings, "killed", setup)
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


def _record(recorder: SessionRecorder, picture: np.ndarray, meta: FrameMeta) -> None:
    """Record a frame with all that comes of it; each tenth fires."""
    number, now_ns = meta.frame_id, SYSTEM_CLOCK.now_ns()
    recorder.frame(picture, meta)
    points = np.full((POINTS, 2), number, np.float32)
    stamps = Stamps(meta.exposure_ns, meta.arrival_ns, now_ns, now_ns, now_ns, now_ns)
    recorder.pose(Pose(meta, stamps, points, points[:, 0], np.zeros(POINTS, bool)))
    values = np.full(FEATURES, float(number))
    recorder.features(number, now_ns, Features(values, values, np.full(FEATURES, meta.exposure_ns)))
    if number % 10 == 0:
        fired = Decision(
            "rule", number, now_ns, now_ns, RuleStatus.ARMED, RuleStatus.FIRING, Action.FIRE, Reason.RULE,
            Pulse(5_000_000, 5_000_000, 1, 1.0), number // 10, (("f0", float(number), 1.0, 1),),
        )  # fmt: skip
        recorder.pulse(recorder.decision(fired), number, "gate", "fire")
    recorder.published(number, now_ns)


if __name__ == "__main__":
    main()
