"""Facemap's own prediction path, in the environment that has its package, and the files that it is given."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rtface.core.records import FACEMAP_KEYPOINTS, Crop, Image
from rtface.learn.engines.facemap_fetch import PARAMS_NAME, STATE_NAME
from rtface.networks.facemap import FacemapNetwork

CHANNELS = (16, 32, 64, 128, 200)
"""Of the published network."""

_REFERENCE = Path(__file__).resolve().parent / "reference.py"


def write_weights(network: FacemapNetwork, channels: Sequence[int], folder: Path) -> None:
    """Write a network as Facemap's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: each.contiguous() for name, each in network.state_dict().items()}
    torch.save(state, folder / STATE_NAME)
    params = {"params": {"channels": list(channels), "bodyparts": list(FACEMAP_KEYPOINTS)}}
    torch.save(params, folder / PARAMS_NAME)


def read_gray(video: Path, count: int | None = None) -> list[Image]:
    """Return the first `count` frames (all by default) as OpenCV converts them to gray."""
    capture = cv2.VideoCapture(str(video))
    frames: list[Image] = []
    while count is None or len(frames) < count:
        there, frame = capture.read()
        if not there:
            break
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False))
    capture.release()
    if not frames:
        raise SystemExit(f"no frame can be read from {video}")
    return frames


def write_lossless(video: Path, frames: Sequence[Image]) -> None:
    """Write gray frames of even size so that reading them gives the same pixels."""
    height, width = frames[0].shape
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"FFV1"), 25.0, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()


def run_facemap(python: str, video: Path, crop: Crop | None, weights: Path, home: Path) -> dict[str, Any]:
    """Run Facemap on a video and return its keypoints, the frames' check sums and the run's facts."""
    models = home / ".facemap" / "models"
    models.mkdir(parents=True, exist_ok=True)
    for name in (STATE_NAME, PARAMS_NAME):
        (models / name).write_bytes((weights / name).read_bytes())
    out = video.with_suffix(".npz")
    command = [python, str(_REFERENCE), str(video), str(out)]
    if crop is not None:
        edges = (crop.y, crop.y + crop.height, crop.x, crop.x + crop.width)
        command += ["--bbox", *map(str, edges)]
    environment = {**os.environ, "HOME": str(home), "MPLBACKEND": "agg"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Facemap failed on {video.name}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    with np.load(out, allow_pickle=False) as saved:
        return {
            "keypoints": saved["keypoints"],
            "crc32": saved["frames_crc32"],
            "facts": json.loads(str(saved["facts"])),
        }
