"""A small recording with a known encoding: neurons follow how much a point moved over the last second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

RATE, NEURAL_RATE = 50.0, 3.0
NAMES = ("nose(tip)", "whisker(I)", "paw")


def make_session(seconds: float, neurons: int, seed: int = 0, noise: float = 1.0) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file: keypoints, times, spks, places, and the drive of the neurons."""
    random = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    power = np.repeat(random.gamma(1.0, 1.0, frames // 25 + 1), 25)[:frames]
    shake = power[:, None] * random.normal(0, 3, (frames, 2))
    slow = lfilter([0.02], [1, -0.98], random.normal(0, 20, (frames, 2)), axis=0)
    keypoints = np.empty((frames, 3, 2), np.float32)
    keypoints[:, 0] = np.array([200, 150]) + slow
    keypoints[:, 1] = np.array([120, 180]) + shake
    keypoints[:, 2] = np.array([50, 300]) + random.normal(0, 1, (frames, 2))
    size = lfilter([0.05], [1, -0.95], np.abs(shake[:, 0]))
    drives = np.stack([size, slow[:, 0]])
    drives = (drives - drives.mean(axis=1, keepdims=True)) / drives.std(axis=1, keepdims=True)
    tcam = 10 + np.arange(frames) / RATE
    tneural = 10 + (np.arange(round(seconds * NEURAL_RATE) - 1) + 0.4) / NEURAL_RATE
    at = np.searchsorted(tcam, tneural, side="right") - 1
    weights = random.normal(0, 1, (neurons, 2))
    spks = weights @ drives[:, at] + noise * random.normal(0, 1, (neurons, len(at)))
    return {
        "spks": spks.astype(np.float32),
        "tcam": tcam,
        "tneural": tneural,
        "xpos": random.uniform(0, 1000, neurons),
        "ypos": random.uniform(0, 1000, neurons),
        "run": np.abs(random.normal(0, 1, len(at))),
        "keypoints": keypoints,
        "keypoint_names": np.array(NAMES),
        "drives": drives[:, at],
    }


def write_session(path: Path, seconds: float = 300.0, neurons: int = 30, **options: Any) -> Path:
    """Write such a recording and return its path."""
    arrays: dict[str, Any] = make_session(seconds, neurons, **options)
    np.savez(path, **arrays)
    return path
