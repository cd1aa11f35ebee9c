"""Milliseconds from a frame in memory to keypoints, and of the network alone: rtface's engines and the peers' own paths.

All get the same gray frames, one at a time, on the same machine; nobody is charged for reading a video. Rounds
alternate, so that a slow spell of the machine meets all. Facemap's time is the mean that it states itself
(`inference_speed`: preprocessing, network, decode); of the others each frame is timed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.facemap.peer import CHANNELS, run_facemap, write_lossless, write_weights
from bench.peers.facemap_training import SIZE
from bench.peers.sleap import run_reference, write_frames
from bench.result import percentiles
from bench.tracking import track
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.records import FACEMAP_KEYPOINTS, Image
from rtface.learn.engines.facemap_fetch import PARAMS_NAME, STATE_NAME
from rtface.learn.engines.facemap_import import import_facemap
from rtface.learn.labels.labelset import LabelSet
from rtface.networks.facemap import FacemapNetwork
from rtface.track.store import Engine

FACEMAP, FACEMAP_IN_RTFACE, SLEAP = "facemap", "facemap, run by rtface", "sleap"
_WARM_UP = 20
_MS = 1e-6


@dataclass
class Times:
    """Milliseconds of one competitor, frame by frame or, where only that is known, means of rounds."""

    how: str
    whole: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)
    frames: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return both as plain values."""
        return {
            "how": self.how,
            "frame_to_keypoints_ms": summary(self.whole, self.frames),
            "network_ms": summary(self.network, self.frames),
        }


def summary(took_ms: Sequence[float], frames: int) -> dict[str, Any]:
    """Return mean and percentiles in milliseconds; the mean alone where the times are means of rounds."""
    if len(took_ms) < frames:
        by_round = [round(each, 3) for each in took_ms]
        return {"n": frames, "mean": round(float(np.mean(took_ms)), 3), "mean_by_round": by_round}
    return percentiles(took_ms)


def measure(
    labels: LabelSet,
    video: str,
    runs: Path,
    engines: Sequence[Engine],
    facemap_python: str,
    sleap_python: str,
    count: int,
    rounds: int,
    work: Path,
) -> dict[str, Any]:
    """Time all competitors on the frames of one video.

    Parameters
    ----------
    labels : LabelSet
    video : str
        Whose frames are used; the peers' networks are those that were not trained on it.
    runs : Path
        Where the trained peers are.
    engines : sequence of Engine
    facemap_python, sleap_python : str
        Pythons of the peers' environments.
    count, rounds : int
        Frames of a round, and rounds.
    work : Path
        A folder for what is needed on the way.
    """
    images = [frame.image for frame in labels.only([video]).frames]
    frames = [images[number % len(images)] for number in range(count)]
    clip, weights = work / "clip.avi", work / "weights"
    write_lossless(clip, frames)
    network = _facemap_weights(runs / "facemap" / f"{video}.pt", weights)
    imported = import_facemap(weights / STATE_NAME, weights / PARAMS_NAME, work / "facemap")
    packed = write_frames(labels, video, work / "frames.npz")

    times = {
        FACEMAP: Times("its own prediction path, torch; the network alone as torch runs it"),
        SLEAP: Times("its predictor's layer, torch"),
        FACEMAP_IN_RTFACE: Times(""),
        **{engine.manifest.name: Times("") for engine in engines},
    }
    peers: dict[str, Any] = {}
    for _ in range(rounds):
        done = run_facemap(facemap_python, clip, None, weights, work / "home")
        peers[FACEMAP] = done["facts"]
        times[FACEMAP].whole.append(1e3 / done["facts"]["frames_per_second"])
        times[FACEMAP].network += _time_network(network, count)
        times[FACEMAP].frames += count
        out = work / "sleap.json"
        run_reference(sleap_python, "speed", packed, runs / "sleap" / video, out, "--count", count)
        found = json.loads(out.read_text(encoding="utf-8"))
        peers[SLEAP] = found["facts"]
        times[SLEAP].whole += found["frame_to_keypoints_ms"]
        times[SLEAP].network += found["network_ms"]
        times[SLEAP].frames += count
        _time_engine(imported, "f32", frames, times[FACEMAP_IN_RTFACE])
        for engine in engines:
            _time_engine(engine, "engine", frames, times[engine.manifest.name])
    return {"rounds": rounds, "peers": peers, "times": {name: each.as_dict() for name, each in times.items()}}


def _time_engine(engine: Engine, precision: str, frames: Sequence[Image], times: Times) -> None:
    tracked = track(engine, precision, [*frames[:_WARM_UP], *frames])
    stamps = [pose.stamps for pose in tracked.poses[-len(frames) :]]
    times.whole += [took_ns * _MS for took_ns in tracked.took_ns[-len(frames) :]]
    times.network += [(each.inferred_ns - each.prepared_ns) * _MS for each in stamps]
    times.frames += len(frames)
    times.how = f"Tracker.track, {tracked.backend}; its network includes resize and decode"


@torch.inference_mode()
def _time_network(network: FacemapNetwork, count: int) -> list[float]:
    sample, took = torch.rand(1, 1, SIZE, SIZE), []
    for number in range(_WARM_UP + count):
        began_ns = SYSTEM_CLOCK.now_ns()
        network(sample)
        if number >= _WARM_UP:
            took.append((SYSTEM_CLOCK.now_ns() - began_ns) * _MS)
    return took


def _facemap_weights(state: Path, folder: Path) -> FacemapNetwork:
    """Write trained weights as Facemap's two files and return the network."""
    network = FacemapNetwork(CHANNELS, len(FACEMAP_KEYPOINTS))
    network.load_state_dict(torch.load(state, weights_only=True))
    write_weights(network, CHANNELS, folder)
    return network.eval()
