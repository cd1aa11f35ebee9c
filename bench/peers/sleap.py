"""What `sleap_reference.py` needs from this side: frames as a file, and its answers in Facemap's order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.found import Found
from rtface.learn.labels.labelset import LabelSet

REFERENCE = Path(__file__).resolve().parent / "sleap_reference.py"
SAMPLES = 3400
"""Frames shown in one training, about: what one core does in some 12 minutes."""


def train_sleap(labels: LabelSet, video: str, python: str, work: Path, threads: int) -> Found:
    """Train sleap-nn's UNet without a video and return what it finds there.

    Raises
    ------
    CalledProcessError
        sleap-nn failed; what it said is on the standard error.
    """
    work.mkdir(parents=True, exist_ok=True)
    frames = write_frames(labels, video, work / "frames.npz")
    taught = len(labels.without([video]))
    run_reference(python, "train", frames, work, "--epochs", round(SAMPLES / taught), "--threads", threads)
    held_out = labels.only([video])
    named = [labels.keypoints.index(name) for name in labels.labelled]
    with np.load(work / "found.npz", allow_pickle=False) as found:
        facts: dict[str, Any] = json.loads(str(found["facts"])) | {"frames": taught}
        xy = np.full((len(held_out), len(labels.keypoints), 2), np.nan, np.float32)
        xy[:, named] = found["xy"]
    return Found(tuple(frame.name for frame in held_out.frames), xy, facts)


def write_frames(labels: LabelSet, video: str, path: Path) -> Path:
    """Write all frames, with those keypoints that have labels; `video` is the one held out."""
    labelled = labels.arranged(labels.labelled)
    np.savez(
        path,
        images=np.stack([frame.image for frame in labelled.frames]),
        xy=np.stack([frame.xy for frame in labelled.frames]),
        keypoints=np.array(labelled.keypoints),
        held_out=np.array([frame.video == video for frame in labelled.frames]),
    )
    return path


def run_reference(python: str, *arguments: object) -> None:
    """Run the part that needs sleap-nn; what it says goes to the standard error."""
    subprocess.run([python, str(REFERENCE), *map(str, arguments)], check=True, stdout=sys.stderr)
