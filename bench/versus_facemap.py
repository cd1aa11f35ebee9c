"""Time a frame takes in Facemap's own prediction path and in rtface's, same frames, same machine, one run.

Both sides get the same gray frames, one at a time; neither is charged for reading the video. Facemap's time is the one it
states itself (`inference_speed`: preprocessing, network, decode). rtface's is `Tracker.track`: levels, crop,
preprocessing, network, decode, geometry, flags. Rounds alternate, so that a slow spell of the machine meets both.

    python bench/versus_facemap.py VIDEO --facemap-python PEER/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from parity_facemap import (
    CASES,
    CHANNELS,
    HERE,
    Case,
    make_weights,
    read_gray,
    run_facemap,
    write_lossless,
)

from rtface.config import BackendSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.machine import run_facts
from rtface.core.records import Image
from rtface.learn.engines.facemap_fetch import PARAMS_NAME, STATE_NAME
from rtface.learn.engines.facemap_import import import_facemap
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine, load_engine

SHOWN = (CASES[1], CASES[2])


def time_rtface(engine: Engine, precision: str, frames: Sequence[Image], case: Case, took: list[int]) -> None:
    """Track the frames one by one and add each one's time."""
    settings = BackendSettings.model_validate({"name": "openvino", "precision": precision})
    with PictureTracker(engine, settings, case.crop) as tracker:
        tracker.prepare(frames[0].shape)
        for frame in frames:
            began_ns = SYSTEM_CLOCK.now_ns()
            tracker.track(frame)
            took.append(SYSTEM_CLOCK.now_ns() - began_ns)


def compare_speed(video: Path, python: str, count: int, rounds: int, work: Path) -> dict[str, Any]:
    """Run all cases and return their times with the facts of the machine."""
    source = read_gray(video, count)
    make_weights(source, work / "weights", steps=2)
    imported = import_facemap(work / "weights" / STATE_NAME, work / "weights" / PARAMS_NAME, work / "facemap")
    shipped = load_engine("default")
    contestants = {
        "rtface, Facemap's network, f32": (imported, "f32"),
        f"rtface, {shipped.manifest.name}, {shipped.manifest.precision}": (shipped, "engine"),
    }
    cases = []
    for case in SHOWN:
        view = case.view
        frames = [
            np.ascontiguousarray(each[view.y : view.y + view.height, view.x : view.x + view.width])
            for each in source
        ]
        clip = work / "clip.avi"
        write_lossless(clip, frames)
        took: dict[str, list[int]] = {name: [] for name in contestants}
        stated = []
        for _ in range(rounds):
            reference = run_facemap(python, clip, case.crop, work / "weights", work / "home")
            stated.append(1e3 / reference["facts"]["frames_per_second"])
            for name, (engine, precision) in contestants.items():
                time_rtface(engine, precision, frames, case, took[name])
        cases.append(
            {
                "case": case.name,
                "facemap_ms": {"mean_by_round": [round(each, 2) for each in stated], "n": count * rounds},
                "rtface_ms": {name: _summary(each, stated) for name, each in took.items()},
                "facemap": reference["facts"],
            }
        )
        print(json.dumps(cases[-1], indent=1), flush=True)
    return run_facts() | {
        "question": "milliseconds from a gray frame in memory to keypoints, batch 1, reading excluded",
        "facemap_network_channels": list(CHANNELS),
        "rounds": rounds,
        "cases": cases,
    }


def _summary(took_ns: Sequence[int], facemap_ms: Sequence[float]) -> dict[str, float | int]:
    """Return percentiles in milliseconds, and how many times Facemap's mean is ours."""
    took = np.array(took_ns) / 1e6
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    return {
        "n": len(took),
        "mean": round(float(took.mean()), 3),
        "p50": round(float(p50), 3),
        "p95": round(float(p95), 3),
        "p99": round(float(p99), 3),
        "max": round(float(took.max()), 3),
        "times_faster_by_mean": round(float(np.mean(facemap_ms) / took.mean()), 1),
    }


def main() -> int:
    """Run the comparison and write its result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path, help="a video of at least 800x480 pixels")
    parser.add_argument("--facemap-python", default=os.environ.get("RTFACE_FACEMAP_PYTHON"))
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "versus_facemap.json")
    options = parser.parse_args()
    if not options.facemap_python:
        parser.error("--facemap-python or RTFACE_FACEMAP_PYTHON must name a Python that has Facemap")
    with tempfile.TemporaryDirectory() as work:
        result = compare_speed(
            options.video, options.facemap_python, options.frames, options.rounds, Path(work)
        )
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
