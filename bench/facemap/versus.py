"""Time a frame takes in Facemap's own prediction path and in rtface's, same frames, same machine, one run.

Both sides get the same gray frames, one at a time; neither is charged for reading the video. Facemap's time is the one it
states itself (`inference_speed`: preprocessing, network, decode). rtface's is `Tracker.track`: levels, crop,
preprocessing, network, decode, geometry, flags. Rounds alternate, so that a slow spell of the machine meets both.

    python -m bench.facemap.versus VIDEO --facemap-python PEER/bin/python
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.facemap.parity import CASES, make_weights
from bench.facemap.peer import CHANNELS, read_gray, run_facemap, write_lossless
from bench.result import RESULTS, add_facemap_python, parser_of, percentiles, write
from bench.tracking import track
from rtface.learn.engines.facemap_fetch import PARAMS_NAME, STATE_NAME
from rtface.learn.engines.facemap_import import import_facemap
from rtface.track.store import load_engine

SHOWN = (CASES[1], CASES[2])


def compare_speed(
    video: Path, python: str, engines: Sequence[str], count: int, rounds: int, work: Path
) -> dict[str, Any]:
    """Run all cases and return their times."""
    source = read_gray(video, count)
    make_weights(source, work / "weights", steps=2)
    imported = import_facemap(work / "weights" / STATE_NAME, work / "weights" / PARAMS_NAME, work / "facemap")
    contestants = {"rtface, Facemap's network, f32": (imported, "f32")}
    for shipped in map(load_engine, engines):
        contestants[f"rtface, {shipped.manifest.name}, {shipped.manifest.precision}"] = (shipped, "engine")
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
                took[name] += track(engine, precision, frames, case.crop).took_ns
        cases.append(
            {
                "case": case.name,
                "facemap_ms": {"mean_by_round": [round(each, 2) for each in stated], "n": count * rounds},
                "rtface_ms": {name: _summary(each, stated) for name, each in took.items()},
                "facemap": reference["facts"],
            }
        )
        print(json.dumps(cases[-1], indent=1), flush=True)
    return {
        "question": "milliseconds from a gray frame in memory to keypoints, batch 1, reading excluded",
        "facemap_network_channels": list(CHANNELS),
        "rounds": rounds,
        "cases": cases,
    }


def _summary(took_ns: Sequence[int], facemap_ms: Sequence[float]) -> dict[str, float]:
    """Return percentiles in milliseconds, and how many times Facemap's mean is ours."""
    took = np.array(took_ns) / 1e6
    return percentiles(took) | {"times_faster_by_mean": round(float(np.mean(facemap_ms) / took.mean()), 1)}


def main() -> None:
    """Run the comparison and write its result."""
    parser = parser_of(__doc__)
    parser.add_argument("video", type=Path, help="a video of at least 800x480 pixels")
    add_facemap_python(parser)
    parser.add_argument("--engine", action="append", help="one of ours; may be repeated; the default engine")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "versus_facemap.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        result = compare_speed(
            options.video,
            options.facemap_python,
            options.engine or ["default"],
            options.frames,
            options.rounds,
            Path(work),
        )
    write(options.out, result)


if __name__ == "__main__":
    main()
