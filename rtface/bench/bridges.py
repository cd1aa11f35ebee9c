"""What bridges cost the loop, all of them on and each read by somebody: in one run, in pairs.

A pair has both conditions once, in random order: without bridges, and with JSON, OSC (over ZeroMQ and UDP) and, where pylsl is
installed, LSL, in their processes, and one process that reads all of them. The second is compared with the first of its own pair,
so that what changes over minutes takes no part.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zmq

from rtface.acquire.factory import make_camera
from rtface.bench.measurer import Measurer, measurer_process
from rtface.bench.pairs import ratio_of_pairs
from rtface.bench.screen import GOALS, TimedSink
from rtface.config import (
    BackendSettings,
    BridgeSettings,
    JsonBridgeSettings,
    LslBridgeSettings,
    OscBridgeSettings,
    SimulatedCameraSettings,
)
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, monotonic_ns
from rtface.core.errors import DataError
from rtface.core.extras import is_installed
from rtface.core.latency import Histogram
from rtface.core.machine import run_facts
from rtface.core.realtime import realtime_process
from rtface.live.pipeline import Pipeline
from rtface.live.service import describe_backend
from rtface.publish.bridges.lsl import source_of
from rtface.publish.bridges.processes import BridgeProcesses
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.tracker import Tracker

_PICTURES_RENDERED = 64
_SETTLE_S = 0.5
_FOUND_WITHIN_NS = 10 * NS_PER_S
_LOOK_NS = 20 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class BridgesQuestion:
    """What to measure: a simulated camera, an engine, and pairs of the two conditions, `seconds` each."""

    pairs: int = 20
    seconds: float = 2.5
    rate_hz: float = 200.0
    width: int = 640
    height: int = 480
    engine: str = "default"
    backend: BackendSettings = field(default_factory=BackendSettings)
    lsl: bool = True
    warm_up_s: float = 4.0


@dataclass(slots=True)
class _Slots:
    """What was measured under one condition, slot by slot."""

    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    lost: int = 0
    frames: int = 0
    all_frames: Histogram = field(default_factory=Histogram)
    received: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    missed: int = 0
    failed: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "frames": self.frames,
            "lost_in_the_ring": self.lost,
            "p50_ms": round(float(np.median(self.p50_ms)), 4),
            "p99_ms": round(float(np.median(self.p99_ms)), 4),
            "all_frames": self.all_frames.summary().as_dict(),
        }


def measure_bridges(
    question: BridgesQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    """Measure what bridges cost, in pairs.

    Parameters
    ----------
    question : BridgesQuestion
        What to measure.
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; the pairs that were complete until then are the result.

    Returns
    -------
    dict
        Date, command and machine; by condition the loop's percentiles; the ratio of those with bridges to those without, with its
        interval; what the reader received, and what the bridges dropped.

    Raises
    ------
    DataError
        A reader fails, or it was ended before one pair was complete.
    """
    engine = engine_for(question.engine, question.backend)
    camera = make_camera(
        SimulatedCameraSettings(
            width=question.width, height=question.height, rate_hz=question.rate_hz, repeat=_PICTURES_RENDERED
        )
    )
    names = tuple(point.name for point in engine.manifest.skeleton)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sink = TimedSink(context)
    tracker = Tracker(engine, make_backend(engine, question.backend), SYSTEM_CLOCK)
    pipeline = Pipeline(camera, tracker, sink)
    without, on = _Slots(), _Slots()
    with_lsl = question.lsl and is_installed("pylsl")
    with ExitStack() as stack:
        stack.callback(context.destroy)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(realtime_process())
        stack.callback(pipeline.stop)
        pipeline.start()
        pipeline.wait(question.warm_up_s)
        random = np.random.default_rng(0)
        pairs = 0
        while pairs < question.pairs and not ending.is_set():
            for with_bridges in random.permutation([False, True]):
                if not with_bridges:
                    _measure(question, without, pipeline, sink)
                    continue
                with _bridged(sink, pipeline, names, folder, with_lsl) as (bridges, reader):
                    reader.tell("begin")
                    _count(on, bridges, -1)
                    _measure(question, on, pipeline, sink)
                    reader.tell("end")
                    on.received.update(reader.answer())
                    _count(on, bridges, 1)
            pairs += 1
            progress(pairs / question.pairs)
        if not pairs:
            raise DataError("nothing was measured: it was ended before one pair was complete")
        described = describe_backend(pipeline.backend)
    return run_facts() | {
        "question": "exposure to published with all bridges on and read, simulated camera, pairs in random order",
        "camera": f"{question.width}x{question.height} at {question.rate_hz:g} per second",
        "engine": engine.manifest.name,
        "engine_sha256": engine.sha256,
        "backend": described,
        "bridges": ["json", "osc", "lsl"] if with_lsl else ["json", "osc"],
        "pairs": pairs,
        "seconds_each": question.seconds,
        "conditions": {"no_bridges": without.as_dict(), "all_bridges": on.as_dict()},
        "ratio_p50": ratio_of_pairs(on.p50_ms, without.p50_ms, GOALS["p50"]),
        "ratio_p99": ratio_of_pairs(on.p99_ms, without.p99_ms, GOALS["p99"]),
        "received": dict(on.received),
        "dropped": on.dropped,
        "missed": on.missed,
        "failed": on.failed,
        "distribution": {
            "no_bridges": without.all_frames.distribution(),
            "all_bridges": on.all_frames.distribution(),
        },
    }


@contextmanager
def _bridged(
    sink: TimedSink, pipeline: Pipeline, names: tuple[str, ...], folder: str, with_lsl: bool
) -> Iterator[tuple[BridgeProcesses, Measurer]]:
    """Lend opened bridges with a reader that has had something from each of them."""
    port = _free_port()
    places = {"json": f"ipc://{folder}/json", "osc": f"ipc://{folder}/osc"}
    settings: list[BridgeSettings] = [
        JsonBridgeSettings(kind="json", address=places["json"]),
        OscBridgeSettings(kind="osc", address=places["osc"], udp=(f"127.0.0.1:{port}",)),
    ]
    if with_lsl:
        settings.append(LslBridgeSettings(kind="lsl"))
    bridges = BridgeProcesses(settings)
    source = source_of(sink.address, "keypoints") if with_lsl else None
    try:
        bridges.open(sink.address, names)
        with measurer_process("listener", json.dumps(places | {"udp": port, "lsl": source})) as reader:
            pipeline.wait(_SETTLE_S)
            yield bridges, reader
    finally:
        bridges.close()
    deadline_ns = monotonic_ns() + _FOUND_WITHIN_NS
    while sink.count_subscribers():
        if monotonic_ns() > deadline_ns:
            raise DataError("bridges that have ended still subscribe")
        SYSTEM_CLOCK.sleep_until_ns(monotonic_ns() + _LOOK_NS)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _measure(question: BridgesQuestion, slots: _Slots, pipeline: Pipeline, sink: TimedSink) -> None:
    pipeline.wait(_SETTLE_S)
    lost, began = pipeline.status().losses.ring, len(sink.durations_ns)
    pipeline.wait(question.seconds)
    durations = np.array(sink.durations_ns[began:], np.int64)
    slots.lost += pipeline.status().losses.ring - lost
    if pipeline.error is not None:
        raise pipeline.error
    if not len(durations):
        raise DataError("no frame came while it was measured")
    slots.all_frames.add_all(durations)
    slots.frames += len(durations)
    p50, p99 = np.percentile(durations, [50, 99]) / NS_PER_MS
    slots.p50_ms.append(float(p50))
    slots.p99_ms.append(float(p99))


def _count(slots: _Slots, bridges: BridgeProcesses, sign: int) -> None:
    """Count what the bridges have reported: taken off before it is measured, added after."""
    for state in bridges.state():
        slots.dropped += sign * state["dropped"]
        slots.missed += sign * state["missed"]
        slots.failed += sign * state["failed"]
