"""Milliseconds from a frame in memory to keypoints, and of the network alone: rtface's engines and the peers' own paths.

All get the same gray frames, one at a time, on the same machine; nobody is charged for reading a video. Rounds
alternate, so that a slow spell of the machine meets all. Facemap's time is the mean that it states itself
(`inference_speed`: preprocessing, network, decode); of the others each frame is timed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parity_facemap import run_facemap, write_lossless
from peers_facemap import CHANNELS, SIZE
from peers_sleap import run_reference, write_frames

from rtface.config import BackendSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.records import FACEMAP_KEYPOINTS, Image
from rtface.learn.engines.facemap_fetch import PARAMS_NAME, STATE_NAME
from rtface.learn.engines.facemap_import import import_facemap
from rtface.learn.labels.labelset import LabelSet
from rtface.networks.facemap import FacemapNetwork
from rtface.track.pictures import PictureTracker
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
    took = np.array(took_ms)
    result: dict[str, Any] = {"n": frames, "mean": round(float(took.mean()), 3)}
    if len(took) < frames:
        return result | {"mean_by_round": [round(each, 3) for each in took_ms]}
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    return result | {"p50": round(p50, 3), "p95": round(p95, 3), "p99": round(p99, 3)}


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


def track_all(
    engine: Engine, precision: str, frames: Sequence[Image], seen: Callable[[Any, int], None]
) -> str:
    """Track frames of one size one by one, hand each pose and the nanoseconds it took to `seen`; name the back end."""
    settings = BackendSettings.model_validate({"name": "openvino", "precision": precision})
    with PictureTracker(engine, settings) as tracker:
        info = tracker.backend
        tracker.prepare(frames[0].shape)
        for frame in frames:
            began_ns = SYSTEM_CLOCK.now_ns()
            pose = tracker.track(frame)
            seen(pose, SYSTEM_CLOCK.now_ns() - began_ns)
    return f"{info.name} {info.precision}, {info.threads} threads"


def _time_engine(engine: Engine, precision: str, frames: Sequence[Image], times: Times) -> None:
    warm_up = frames[:_WARM_UP]
    left = len(warm_up)

    def seen(pose: Any, took_ns: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            times.whole.append(took_ns * _MS)
            times.network.append((pose.stamps.inferred_ns - pose.stamps.prepared_ns) * _MS)
            times.frames += 1

    described = track_all(engine, precision, [*warm_up, *frames], seen)
    times.how = f"Tracker.track, {described}; its network includes resize and decode"


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
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({name: each.contiguous() for name, each in network.state_dict().items()}, folder / STATE_NAME)
    params = {"params": {"channels": list(CHANNELS), "bodyparts": list(FACEMAP_KEYPOINTS)}}
    torch.save(params, folder / PARAMS_NAME)
    return network.eval()
