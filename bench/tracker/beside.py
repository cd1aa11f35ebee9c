"""How long engines take for a frame, one beside the other: each frame goes through all of them in turn.

    python -m bench.tracker.beside --engine face-2-int8 --engine face-3-int8

From a frame of 640x480 in memory to its keypoints in camera pixels. The order changes with each frame, so that neither machine
nor cache favours one; ratios are of medians of the same run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.result import RESULTS, parser_of, percentiles, write
from rtface.config import BackendSettings
from rtface.core.clock import monotonic_ns
from rtface.simulate.face import MouseFace
from rtface.track.pictures import PictureTracker
from rtface.track.store import load_engine

_WIDTH, _HEIGHT, _RATE_HZ = 640, 480, 50.0
_DIFFERENT, _WARM_UP = 200, 100


def main() -> None:
    """Measure with one thread and with two, and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--engine", action="append", required=True, help="repeatable")
    parser.add_argument("--frames", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=RESULTS / "beside.json")
    options = parser.parse_args()
    mouse, images = MouseFace(_WIDTH, _HEIGHT, _RATE_HZ, 1), []
    for index in range(_DIFFERENT):
        image = np.zeros((_HEIGHT, _WIDTH), np.uint8)
        mouse.render(index, image)
        images.append(image)
    result: dict[str, Any] = {
        "command": "python -m bench.tracker.beside "
        + " ".join(f"--engine {each}" for each in options.engine),
        "what": f"a frame of {_WIDTH}x{_HEIGHT} in memory to keypoints in camera pixels; engines in turns",
        "threads": {},
    }
    for threads in (1, 2):
        settings = BackendSettings(name="openvino", threads=threads)
        trackers = {each: PictureTracker(load_engine(each), settings, None) for each in options.engine}
        took: dict[str, list[float]] = {each: [] for each in trackers}
        order = list(trackers)
        for tracker in trackers.values():
            tracker.prepare((_HEIGHT, _WIDTH))
        for number in range(options.frames + _WARM_UP):
            image = images[number % _DIFFERENT]
            for each in order[number % len(order) :] + order[: number % len(order)]:
                before_ns = monotonic_ns()
                trackers[each].track(image)
                took[each].append((monotonic_ns() - before_ns) / 1e6)
        figures = {each: percentiles(times[_WARM_UP:], "ms") for each, times in took.items()}
        first = figures[order[0]]["p50_ms"]
        result["threads"][str(threads)] = {
            Path(each).name: figure | {f"p50_of_{Path(order[0]).name}": round(figure["p50_ms"] / first, 3)}
            for each, figure in figures.items()
        }
        for tracker in trackers.values():
            tracker.close()
    write(options.out, result)


if __name__ == "__main__":
    main()
