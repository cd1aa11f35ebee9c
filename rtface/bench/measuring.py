"""What the benchmarks of a running pipeline share."""

from __future__ import annotations

import secrets
import threading
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zmq

from rtface.config import PublishSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, monotonic_ns
from rtface.core.errors import DataError
from rtface.core.latency import Histogram
from rtface.core.records import Losses, Pose
from rtface.core.status import PipelineStatus
from rtface.live.pipeline import Pipeline
from rtface.publish.publisher import Publisher

WARM_UP_S = 4.0
FREE = "tcp://127.0.0.1:*"
FREE_ADDRESSES = PublishSettings(keypoints=FREE, control=FREE)
GOALS = {"p50": 1.02, "p99": 1.05}
"""Of exposure to published with somebody who looks on, as a part of that without."""

_TICK_S = 0.2


class Nowhere:
    """A sink that takes poses and does nothing with them, where only what comes before is measured."""

    lost = 0

    def open(self) -> None:
        """Do nothing."""

    def publish(self, pose: Pose, losses: Losses) -> int:
        """Return when the pose came."""
        return SYSTEM_CLOCK.now_ns()

    def close(self) -> None:
        """Do nothing."""


class TimedSink(Publisher):
    """Publishes keypoints, and keeps how long each pose took from exposure until it was published."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        super().__init__(FREE, secrets.token_hex(8), context)
        self.durations_ns = array("q")

    def publish(self, pose: Pose, losses: Losses) -> int:
        """As `Publisher.publish`."""
        published_ns = super().publish(pose, losses)
        self.durations_ns.append(published_ns - pose.stamps.exposure_ns)
        return published_ns


@dataclass(slots=True)
class LoopSlots:
    """Exposure to published under one condition, slot by slot."""

    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    lost: int = 0
    frames: int = 0
    all_frames: Histogram = field(default_factory=Histogram)

    def measure(self, pipeline: Pipeline, sink: TimedSink, seconds: float) -> float:
        """Measure one more slot of a pipeline that runs; return the seconds that it lasted.

        Raises
        ------
        DataError
            No frame came.
        RtfaceError
            The pipeline has failed.
        """
        lost, began, began_ns = pipeline.status().losses.ring, len(sink.durations_ns), monotonic_ns()
        pipeline.wait(seconds)
        durations = np.array(sink.durations_ns[began:], np.int64)
        lasted_s = (monotonic_ns() - began_ns) / NS_PER_S
        self.lost += pipeline.status().losses.ring - lost
        if pipeline.error is not None:
            raise pipeline.error
        if not len(durations):
            raise DataError("no frame came while it was measured")
        self.all_frames.add_all(durations)
        self.frames += len(durations)
        p50, p99 = np.percentile(durations, [50, 99]) / NS_PER_MS
        self.p50_ms.append(float(p50))
        self.p99_ms.append(float(p99))
        return lasted_s

    def as_dict(self) -> dict[str, Any]:
        """Return medians over the slots and the percentiles of all frames, as plain values."""
        return {
            "frames": self.frames,
            "lost_in_the_ring": self.lost,
            "p50_ms": round(float(np.median(self.p50_ms)), 4),
            "p99_ms": round(float(np.median(self.p99_ms)), 4),
            "all_frames": self.all_frames.summary().as_dict(),
        }


def wait_measuring(
    wait: Callable[[float], bool],
    seconds: float,
    progress: Callable[[float], None],
    ending: threading.Event,
) -> float:
    """Wait for so long, or until `wait` returns that the source has ended, or `ending` is set; return the seconds."""
    began_ns = SYSTEM_CLOCK.now_ns()
    passed_s = 0.0
    while passed_s < seconds and not ending.is_set():
        progress(passed_s / seconds)
        ended = wait(min(_TICK_S, seconds - passed_s))
        passed_s = (SYSTEM_CLOCK.now_ns() - began_ns) / NS_PER_S
        if ended:
            break
    return passed_s


def lost_between(before: PipelineStatus, after: PipelineStatus) -> dict[str, int]:
    """Return how many frames were lost between two moments, by place."""
    return {
        place: getattr(after.losses, place) - getattr(before.losses, place)
        for place in ("camera", "transport", "ring", "publish")
    }
