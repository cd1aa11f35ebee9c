"""What rtface and its peers found on labelled frames of a video that they were not trained on.

What a competitor found is a file ``RUNS/COMPETITOR/VIDEO.npz``, so that the report needs none of their packages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.records import FloatArray
from rtface.learn.labels.labelset import LabelSet


@dataclass(frozen=True, slots=True)
class Found:
    """What one competitor found on the frames of the video it was not trained on.

    Attributes
    ----------
    names : tuple of str
        The frames' names, N of them.
    xy : ndarray, shape (N, K, 2), float32
        Camera pixels, keypoints in Facemap's order; NaN where the competitor found nothing.
    facts : mapping
        How it was trained, as plain values.
    """

    names: tuple[str, ...]
    xy: FloatArray
    facts: Mapping[str, Any]


def write_found(runs: Path, competitor: str, video: str, found: Found) -> Path:
    """Keep what a competitor found on a held-out video and return the file."""
    path = runs / competitor / f"{video}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, names=np.array(found.names), xy=found.xy, facts=json.dumps(dict(found.facts)))
    return path


def read_found(runs: Path, competitor: str, video: str) -> Found:
    """Read what `write_found` kept."""
    with np.load(runs / competitor / f"{video}.npz", allow_pickle=False) as kept:
        names = tuple(map(str, kept["names"]))
        return Found(names, kept["xy"].astype(np.float32), json.loads(str(kept["facts"])))


def competitors(runs: Path, videos: tuple[str, ...]) -> list[str]:
    """Return the names of those who were judged on all videos."""
    return sorted(
        folder.name
        for folder in runs.iterdir()
        if folder.is_dir() and all((folder / f"{video}.npz").is_file() for video in videos)
    )


def distances(found: Found, labels: LabelSet) -> FloatArray:
    """Return the distances from the labels in camera pixels, shape (N, K), N frames in the labels' order.

    Raises
    ------
    SystemExit
        The competitor was not judged on exactly these frames, or left a label without an answer: means over
        different labels cannot be compared.
    """
    place = {name: index for index, name in enumerate(found.names)}
    wanted = [frame.name for frame in labels.frames]
    if sorted(place) != sorted(wanted):
        raise SystemExit(f"found on {len(place)} frames, labelled are {len(wanted)}: not the same frames")
    xy = found.xy[[place[name] for name in wanted]]
    truth = np.stack([frame.xy for frame in labels.frames])
    if (np.isnan(xy) & ~np.isnan(truth)).any():
        raise SystemExit("a labelled keypoint was not found: means over different labels cannot be compared")
    return np.asarray(np.linalg.norm(xy - truth, axis=2), np.float32)
