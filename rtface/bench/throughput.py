"""Frames per second, and the cost of everything that is not the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rtface.acquire.factory import make_camera
from rtface.bench.measuring import Nowhere
from rtface.config import BackendSettings, SimulatedCameraSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK
from rtface.core.geometry import whole_frame
from rtface.core.latency import Histogram
from rtface.core.machine import run_facts
from rtface.core.realtime import realtime_process
from rtface.live.pipeline import Pipeline
from rtface.live.served import describe_backend
from rtface.simulate.face import MouseFace
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.gray_levels import levels
from rtface.track.store import Engine
from rtface.track.tracker import Tracker

_POLL_S = 0.2
_DIFFERENT_FRAMES = 64


@dataclass(frozen=True, slots=True)
class ThroughputQuestion:
    """What to measure: frames of a size through an engine, `frames` of them."""

    frames: int
    width: int = 640
    height: int = 480
    engine: str = "default"
    backend: BackendSettings = field(default_factory=BackendSettings)


def measure_throughput(
    question: ThroughputQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    """Measure the network alone, then camera to keypoints, on the same frames and in one run.

    Parameters
    ----------
    question : ThroughputQuestion
        What to measure.
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; what was measured until then is the result.

    Returns
    -------
    dict
        Date, command and machine; the network alone and with its preparation, one call after another; the whole
        pipeline from an unpaced simulated camera, whose rendering takes part in its rate but not in its stages.
    """
    engine = engine_for(question.engine, question.backend)
    with realtime_process():
        alone, described = _network_alone(engine, question, ending)
        progress(0.5)
        pipeline = _whole_pipeline(engine, question, lambda share: progress(0.5 + share / 2), ending)
    progress(1.0)
    return (
        run_facts()
        | {
            "question": "frames per second, network alone and camera to keypoints",
            "frame": f"{question.width}x{question.height}",
            "engine": engine.manifest.name,
            "engine_sha256": engine.sha256,
            "backend": described,
            "network_alone": alone.summary().as_dict(),
            "network_alone_per_second": 1e3 / alone.summary().p50_ms,
            "distribution": {"network_alone": alone.distribution()},
        }
        | pipeline
    )


def _network_alone(
    engine: Engine, question: ThroughputQuestion, ending: threading.Event
) -> tuple[Histogram, str]:
    backend = make_backend(engine, question.backend)
    face = MouseFace(question.width, question.height, 200.0, 0)
    frames = np.zeros((_DIFFERENT_FRAMES, question.height, question.width), np.uint8)
    for index, frame in enumerate(frames):
        face.render(index, frame)
    each_levels = [levels(frame) for frame in frames]
    took = Histogram()
    try:
        info = backend.open()
        backend.prepare((question.height, question.width), whole_frame(question.width, question.height))
        described = describe_backend(replace(info, plan=backend.plan))
        for index in range(question.frames):
            pick = index % _DIFFERENT_FRAMES
            began_ns = SYSTEM_CLOCK.now_ns()
            backend.infer(frames[pick], each_levels[pick])
            took.add(SYSTEM_CLOCK.now_ns() - began_ns)
            if ending.is_set():
                break
    finally:
        backend.close()
    return took, described


def _whole_pipeline(
    engine: Engine, question: ThroughputQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    camera = make_camera(
        SimulatedCameraSettings(
            width=question.width, height=question.height, paced=False, frames=question.frames
        )
    )
    tracker = Tracker(engine, make_backend(engine, question.backend), SYSTEM_CLOCK)
    pipeline = Pipeline(camera, tracker, Nowhere())
    pipeline.start()
    began_ns = SYSTEM_CLOCK.now_ns()
    try:
        while not pipeline.wait(_POLL_S) and not ending.is_set():
            progress(pipeline.status().frames / question.frames)
    finally:
        pipeline.stop()
    elapsed_s = (SYSTEM_CLOCK.now_ns() - began_ns) / NS_PER_S
    status = pipeline.status()
    if pipeline.error is not None:
        raise pipeline.error
    return {
        "pipeline_frames": status.frames,
        "pipeline_per_second": status.frames / elapsed_s,
        "stages": {
            stage: status.latency[stage].as_dict() for stage in ("prepare", "network", "decide", "publish")
        },
    }
