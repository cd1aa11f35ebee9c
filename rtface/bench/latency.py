"""Latency from a frame's exposure until a client in another process holds its keypoints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rtface.bench.measuring import FREE_ADDRESSES, WARM_UP_S, lost_between, wait_measuring
from rtface.bench.subscriber import subscriber_process
from rtface.config import BackendSettings, LatencySettings, Rig, SimulatedCameraSettings
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.machine import run_facts
from rtface.core.realtime import realtime_process
from rtface.live.served import describe_backend
from rtface.live.service import Service


@dataclass(frozen=True, slots=True)
class LatencyQuestion:
    """What to measure: a simulated camera at a size and rate, an engine, and for how long."""

    seconds: float
    rate_hz: float = 200.0
    width: int = 640
    height: int = 480
    engine: str = "default"
    backend: BackendSettings = field(default_factory=BackendSettings)
    deadline_ms: float = 10.0


def measure_latency(
    question: LatencyQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    """Run the service with a simulated camera and a subscriber in another process.

    Parameters
    ----------
    question : LatencyQuestion
        What to measure.
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; what was measured until then is the result.

    Returns
    -------
    dict
        Date, command and machine; the question; percentiles per stage and end to end; losses; what the
        subscriber received and missed. Frames of the warm-up are left out on both sides.
    """
    rig = Rig(
        camera=SimulatedCameraSettings(
            width=question.width, height=question.height, rate_hz=question.rate_hz
        ),
        engine=question.engine,
        backend=question.backend,
        publish=FREE_ADDRESSES,
        latency=LatencySettings(deadline_ms=question.deadline_ms),
    )
    with Service(rig) as service, realtime_process():
        begin_ns = monotonic_ns() + round(WARM_UP_S * NS_PER_S)
        with subscriber_process(service.keypoints_address, service.control_address, begin_ns) as subscriber:
            service.wait(max(0, begin_ns - monotonic_ns()) / NS_PER_S)
            service.pipeline.reset_latency()
            before = service.pipeline.status()
            measured_s = wait_measuring(service.wait, question.seconds, progress, ending)
            service.pipeline.stop()
            if service.pipeline.error is not None:
                raise service.pipeline.error
            after = service.pipeline.status()
            received = subscriber.collect()
        return run_facts() | {
            "question": "exposure to subscriber in another process, simulated camera",
            "camera": f"{question.width}x{question.height} at {question.rate_hz:g} per second",
            "seconds": round(measured_s, 1),
            "engine": service.engine.manifest.name,
            "engine_sha256": service.engine.sha256,
            "backend": describe_backend(service.pipeline.backend),
            "deadline_ms": question.deadline_ms,
            "frames": after.frames - before.frames,
            "lost": lost_between(before, after),
            "stages": {stage: summary.as_dict() for stage, summary in after.latency.items()},
            "subscriber": {key: value for key, value in received.items() if key != "distribution"},
            "distribution": service.pipeline.latency_distribution()
            | {"exposure_to_subscriber": received["distribution"]},
            "frame_period_ms": 1e3 / question.rate_hz,
        }
