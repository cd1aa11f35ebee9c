"""How far keypoints tremble where nothing moves: on still stretches of a real video.

A stretch is three frames in a row between which the picture changes least: the quietest tenth of a video. The jitter
of a keypoint is the distance of the middle frame's point from the mean of its neighbours', times the square root of
2/3, which for points that stand still and tremble independently is the standard deviation of one frame's point about
its place (root of the mean of the squares, both axes together). Points with a score below 0.5 are left out, as a rig
would do.

    python -m bench.tracker.jitter VIDEO --engine face-2 --engine face-2-int8
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.facemap.peer import read_gray
from bench.result import RESULTS, parser_of, write
from bench.tracking import track
from rtface.core.records import FloatArray, Image
from rtface.track.store import load_engine

STILL_SHARE = 0.1
SCORE = 0.5
LONGEST = 1000


def still_frames(frames: Sequence[Image]) -> list[int]:
    """Return the middle frames of the stillest stretches of three."""
    small = [cv2.resize(frame, (64, 48), interpolation=cv2.INTER_AREA).astype(np.float32) for frame in frames]
    change = np.array([np.abs(after - before).max() for before, after in pairwise(small)])
    around = np.maximum(change[:-1], change[1:])
    quietest = np.argsort(around)[: max(10, round(STILL_SHARE * len(around)))]
    return sorted(int(index) + 1 for index in quietest)


def jitter(xy: FloatArray, score: FloatArray, still: Sequence[int]) -> dict[str, Any]:
    """Return the jitter over still stretches.

    Parameters
    ----------
    xy, score : ndarray, shape (N, K, 2) and (N, K)
        All frames' keypoints and scores.
    still : sequence of int
        Middle frames.
    """
    middle = np.asarray(still)
    off = xy[middle] - (xy[middle - 1] + xy[middle + 1]) / 2
    sure = np.minimum(np.minimum(score[middle - 1], score[middle]), score[middle + 1]) >= SCORE
    size = np.linalg.norm(off, axis=2) * np.sqrt(2 / 3)
    values = size[sure & ~np.isnan(size)]
    if values.size == 0:
        return {"n": 0}
    return {
        "n": int(values.size),
        "rms_px": round(float(np.sqrt((values**2).mean())), 3),
        "median_px": round(float(np.median(values)), 3),
        "p90_px": round(float(np.percentile(values, 90)), 3),
    }


def main() -> None:
    """Track the video with each engine and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("video", type=Path, nargs="+", help="videos of a face")
    parser.add_argument("--engine", action="append", help="name or folder; may be repeated")
    parser.add_argument("--out", type=Path, default=RESULTS / "jitter.json")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "command": "python -m bench.tracker.jitter VIDEO... "
        + " ".join(f"--engine {Path(each).name}" for each in options.engine or ["default"]),
        "unit": "camera pixels; *_network: pixels of the network's input",
        "videos": {},
    }
    for video in options.video:
        frames = read_gray(video, LONGEST)
        still = still_frames(frames)
        here: dict[str, Any] = {"frames": len(frames), "stretches": len(still), "engines": {}}
        result["videos"][video.name] = here
        for name in options.engine or ["default"]:
            engine = load_engine(name)
            poses = track(engine, "engine", frames).poses
            xy, score = (np.array([getattr(pose, part) for pose in poses]) for part in ("xy", "score"))
            found_jitter = jitter(xy, score, still)
            scale = max(frames[0].shape) / engine.manifest.input.size
            found_jitter |= {
                f"{key.removesuffix('_px')}_network_px": round(value / scale, 3)
                for key, value in found_jitter.items()
                if key != "n"
            }
            here["engines"][engine.manifest.name] = found_jitter
            print(video.name, engine.manifest.name, found_jitter)
    write(options.out, result)


if __name__ == "__main__":
    main()
