"""How far an engine's keypoints lie from hand labels, through the tracker that runs live.

Each labelled frame goes through levels, crop, engine and geometry exactly as a camera's frame does. Beside the
errors stand those of predicting the mean position of the other videos' labels, what the scores are worth, and the
errors on simulated mice. Frames that the engine was trained on are not held out: its manifest says which.

One frame of the set (`MISLABELLED`) has nose and whiskers interchanged; the headline counts it as it is
labelled, `without_mislabelled` leaves it out.

    python -m bench.tracker.accuracy --data SIDE_VIEW --engine face-2
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.result import RESULTS, parser_of, write
from bench.tracker.movement import followed, median_of
from bench.tracker.side_view import NAMES
from rtface.config import BackendSettings
from rtface.core.records import FACEMAP_KEYPOINTS, FloatArray
from rtface.learn.engines.accuracy import EngineErrors, measure
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.reading import read_labels
from rtface.learn.tracker.calibration import reliability
from rtface.simulate.face import MouseFace
from rtface.track.pictures import PictureTracker
from rtface.track.store import load_engine

MISLABELLED = "cam1_G7c1_2_img0539.png"
SIMULATED_SEEDS = range(500, 520)
"""Mice that no training drew from."""
SIMULATED_FRAMES = range(0, 1000, 50)
SIMULATED_SHAPE, SIMULATED_HZ = (480, 640), 50.0


def on_labels(measured: EngineErrors, radius: float) -> dict[str, Any]:
    """Return the errors on labelled frames, in their pixels, and the reliability of the scores."""
    distance, frames, keypoints = measured.distance, measured.labels.frames, measured.labels.keypoints
    sound = np.array([frame.name != MISLABELLED for frame in frames])
    report: dict[str, Any] = {"unit": "pixels of the labelled frames"}
    report["all"] = error_summary(distance, keypoints)
    report["without_mislabelled"] = error_summary(distance[sound], keypoints)
    report["by_video"] = {}
    for video in measured.labels.videos:
        here = np.array([frame.video == video for frame in frames])
        labels = [frame.xy for frame in frames if frame.video == video]
        others = np.array([frame.xy for frame in frames if frame.video != video] or labels)
        taught = ~np.isnan(others).all(axis=(0, 2))
        mean = np.full(others.shape[1:], np.nan, np.float32)
        mean[taught] = np.nanmean(others[:, taught], axis=0)
        report["by_video"][video] = {
            "engine": _headline(error_summary(distance[here], keypoints)),
            "without_mislabelled": _headline(error_summary(distance[here & sound], keypoints)),
            "mean_position_of_other_videos": _headline(
                error_summary(_distance([mean] * len(labels), labels), keypoints)
            ),
            "movement": followed(
                measured.xy[here & sound],
                np.array(
                    [frame.xy for frame in frames if frame.video == video and frame.name != MISLABELLED]
                ),
                keypoints,
            ),
        }
    judged = reliability(measured.score, measured.network_distance, radius)
    report["score_reliability"] = judged | {"radius_network_px": radius}
    return report


def on_simulated_mice(tracker: PictureTracker, size: int) -> dict[str, Any]:
    """Return the errors on the default simulated mouse of several seeds; keypoints without training are left out."""
    height, width = SIMULATED_SHAPE
    in_network = size / max(height, width)
    report: dict[str, Any] = {"unit": f"pixels of {width}x{height} frames", "by_seed": {}}
    everything: list[FloatArray] = []
    movements: list[dict[str, Any]] = []
    for seed in SIMULATED_SEEDS:
        mouse = MouseFace(width, height, SIMULATED_HZ, seed)
        frame = np.zeros(SIMULATED_SHAPE, np.uint8)
        points, truth = [], []
        for index in SIMULATED_FRAMES:
            mouse.render(index, frame)
            points.append(tracker.track(frame).xy)
            truth.append(mouse.truth(index))
        everything.append(_distance(points, truth))
        movements.append(followed(np.array(points), np.array(truth), FACEMAP_KEYPOINTS))
        report["by_seed"][str(seed)] = _headline(error_summary(everything[-1], FACEMAP_KEYPOINTS))
    report["movement"] = median_of(movements)
    joined = np.concatenate(everything)
    report["all"] = error_summary(joined, FACEMAP_KEYPOINTS)
    report["all_in_pixels_of_the_network"] = _headline(error_summary(joined * in_network, FACEMAP_KEYPOINTS))
    return report


def main() -> None:
    """Evaluate one engine and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--engine", default="default", help="name or folder of an engine")
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv and frames/")
    parser.add_argument("--out", type=Path, help="the JSON to write; bench/results/accuracy_ENGINE.json")
    options = parser.parse_args()

    engine = load_engine(options.engine)
    if engine.manifest.names != FACEMAP_KEYPOINTS:
        raise SystemExit(
            f"{engine.manifest.name} does not have Facemap's keypoints: the labels do not fit it"
        )
    radius = engine.manifest.score.radius_px or 3.0
    labels = read_labels(options.data).renamed(NAMES).arranged(FACEMAP_KEYPOINTS)
    with PictureTracker(engine, BackendSettings(name="openvino")) as tracker:
        result: dict[str, Any] = {
            "command": f"python -m bench.tracker.accuracy --engine {engine.manifest.name} --data SIDE_VIEW",
            "engine": {"name": engine.manifest.name, "sha256": engine.sha256},
            "backend": tracker.backend.as_dict(),
            "held_out": "no: see the engine's manifest for its training data and its errors on held-out frames",
            "labelled_frames": on_labels(measure(tracker, labels), radius),
            "simulated_mice": on_simulated_mice(tracker, engine.manifest.input.size),
        }
    write(options.out or RESULTS / f"accuracy_{engine.manifest.name}.json", result)
    for name, summary in (
        ("labelled frames", result["labelled_frames"]["all"]),
        ("simulated mice", result["simulated_mice"]["all"]),
    ):
        print(f"{name}: {_headline(summary)}")


def _distance(found: Sequence[FloatArray], truth: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(np.linalg.norm(np.array(found) - np.array(truth), axis=2), np.float32)


def _headline(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if name != "by_keypoint"}


if __name__ == "__main__":
    main()
