"""What it costs, and what it saves, that a camera's driver runs in a process of its own: in one run, in pairs.

A pair is the same camera in this process and in one of its own, one after the other in random order, each in a pipeline of
its own that is paused while the other runs; so what changes over minutes takes no part. Once with a driver that lets others
run while it waits, once with one that holds the interpreter's lock, as the bindings of GenICam do in every call.
"""

from __future__ import annotations

import ctypes
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zmq

from rtface.acquire.base import Camera
from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.simulated import SimulatedCamera
from rtface.bench.measurer import Measurer, measurer_process
from rtface.bench.measuring import TimedSink
from rtface.bench.pairs import difference_of_pairs, ratio_of_pairs
from rtface.config import BackendSettings, SimulatedCameraSettings
from rtface.core.clock import NS_PER_MS, SYSTEM_CLOCK
from rtface.core.errors import DataError
from rtface.core.latency import Histogram
from rtface.core.machine import run_facts
from rtface.core.realtime import prefer_this_thread, realtime_process
from rtface.core.records import FrameMeta, Image
from rtface.live.pipeline import Pipeline
from rtface.live.served import describe_backend
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.store import Engine
from rtface.track.tracker import Tracker

GOAL_MS = 0.15
"""Of exposure to subscriber with the camera outside, at p50: at most so much more."""
GOAL_RATIO = 1.0
"""Of p99.9 with a driver that holds the lock: no more than inside."""

_PICTURES_RENDERED = 64
_PLACES = "inside", "outside"
_CUTS = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
_SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class CameraQuestion:
    """What to measure: a simulated camera, an engine, and pairs of `seconds` for each place.

    Attributes
    ----------
    held_ms : float
        How long the driver that holds the lock does so, before each frame.
    fifo : bool
        Whether to ask the system to run all threads, and the camera's process, before ordinary ones (SCHED_FIFO).
    """

    pairs: int = 20
    seconds: float = 4.0
    rate_hz: float = 200.0
    width: int = 640
    height: int = 480
    held_ms: float = 3.0
    fifo: bool = False
    engine: str = "default"
    backend: BackendSettings = field(default_factory=BackendSettings)
    warm_up_s: float = 4.0


class HoldingCamera(SimulatedCamera):
    """A simulated camera whose driver holds the interpreter's lock for a while before each frame."""

    def __init__(self, settings: SimulatedCameraSettings, held_ms: float) -> None:
        super().__init__(settings, SYSTEM_CLOCK)
        self._held_us = round(held_ms * 1000)
        self._usleep = ctypes.PyDLL(None).usleep  # unlike CDLL this keeps the lock

    def fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        """As `Camera.fill`."""
        if self._held_us:
            self._usleep(self._held_us)
        return super().fill(out, timeout_s)


def holding_camera(settings: Mapping[str, Any], held_ms: float) -> HoldingCamera:
    """Make the camera from plain values, in whatever process."""
    return HoldingCamera(SimulatedCameraSettings.model_validate(settings), held_ms)


@dataclass(slots=True)
class _Place:
    """A pipeline with the camera in one place, and what was measured there."""

    pipeline: Pipeline
    sink: TimedSink
    reader: Measurer
    cuts_ms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _CUTS})
    published_ms: list[float] = field(default_factory=list)
    all_frames: Histogram = field(default_factory=Histogram)
    frames: int = 0
    lost: int = 0

    def measure(self, question: CameraQuestion) -> None:
        """Run for the question's seconds, and keep how old keypoints were at the subscriber."""
        self.pipeline.resume()
        self.pipeline.wait(_SETTLE_S)
        self.reader.tell("begin")
        lost, began = self.pipeline.status().losses, len(self.sink.durations_ns)
        self.pipeline.wait(question.seconds)
        self.reader.tell("end")
        ages = np.array(self.reader.answer(), np.int64)
        after = self.pipeline.status().losses
        self.published_ms.append(_median_ms(self.sink.durations_ns[began:]))
        if self.pipeline.error is not None:
            raise self.pipeline.error
        self.pipeline.pause()
        if not len(ages):
            raise DataError("no frame came while it was measured")
        self.lost += after.ring + after.transport - lost.ring - lost.transport
        self.frames += len(ages)
        self.all_frames.add_all(ages)
        for name, value in zip(_CUTS, np.percentile(ages, list(_CUTS.values())) / NS_PER_MS, strict=True):
            self.cuts_ms[name].append(float(value))

    def as_dict(self) -> dict[str, Any]:
        """Return what was measured, as plain values."""
        return {
            "frames": self.frames,
            "lost_in_ring_and_transport": self.lost,
            "published_p50_ms": round(float(np.median(self.published_ms)), 4),
            **{f"{name}_ms": round(float(np.median(each)), 4) for name, each in self.cuts_ms.items()},
            "all_frames": self.all_frames.summary().as_dict(),
        }


def measure_camera(
    question: CameraQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    """Measure a camera inside and outside in pairs.

    Parameters
    ----------
    question : CameraQuestion
        What to measure.
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; the pairs that were complete until then are the result.

    Returns
    -------
    dict
        Date, command and machine; by driver (``lets_go``, ``holds``) and place the percentiles from exposure to a
        subscriber in another process, and the pairs' differences and ratios with their intervals.

    Raises
    ------
    DataError
        It was ended before a pair of each driver was complete, or a subscriber fails.
    """
    scheduling = prefer_this_thread() if question.fifo else "normal"
    engine = engine_for(question.engine, question.backend)
    drivers: dict[str, Any] = {}
    described = ""
    for number, (name, held_ms) in enumerate({"lets_go": 0.0, "holds": question.held_ms}.items()):
        with ExitStack() as stack:
            stack.enter_context(realtime_process())
            places = _places(question, engine, held_ms, stack)
            described = describe_backend(places["inside"].pipeline.backend)
            random, pairs = np.random.default_rng(number), 0
            while pairs < question.pairs and not ending.is_set():
                for place in random.permutation(_PLACES):
                    places[place].measure(question)
                pairs += 1
                progress((number + pairs / question.pairs) / 2)
            if not pairs:
                raise DataError(
                    "nothing was measured: it was ended before a pair of each driver was complete"
                )
            drivers[name] = _compared(places) | {"held_ms": held_ms, "pairs": pairs}
    distribution = {
        f"{name}_{place}": drivers[name].pop(f"distribution_{place}") for name in drivers for place in _PLACES
    }
    return run_facts() | {
        "question": "exposure to subscriber, camera in this process and in one of its own, simulated camera, pairs",
        "camera": f"{question.width}x{question.height} at {question.rate_hz:g} per second",
        "engine": engine.manifest.name,
        "engine_sha256": engine.sha256,
        "backend": described,
        "scheduling": scheduling,
        "seconds_each": question.seconds,
        "drivers": drivers,
        "distribution": distribution,
    }


def _places(question: CameraQuestion, engine: Engine, held_ms: float, stack: ExitStack) -> dict[str, _Place]:
    """Open a pipeline with the camera in each place, warm and paused."""
    settings = SimulatedCameraSettings(
        width=question.width, height=question.height, rate_hz=question.rate_hz, repeat=_PICTURES_RENDERED
    )
    arguments: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "held_ms": held_ms}
    maker = f"{__name__}:{holding_camera.__name__}"
    cameras: Sequence[Camera] = holding_camera(**arguments), OutsideCamera("simulated", maker, arguments)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stack.callback(context.destroy)
    places = {}
    for name, camera in zip(_PLACES, cameras, strict=True):
        sink = TimedSink(context)
        tracker = Tracker(engine, make_backend(engine, question.backend), SYSTEM_CLOCK)
        pipeline = Pipeline(camera, tracker, sink)
        stack.callback(pipeline.stop)
        pipeline.start()
        reader = stack.enter_context(measurer_process("reader", sink.address))
        pipeline.wait(question.warm_up_s)
        pipeline.pause()
        places[name] = _Place(pipeline, sink, reader)
    return places


def _compared(places: Mapping[str, _Place]) -> dict[str, Any]:
    inside, outside = (places[name] for name in _PLACES)
    found: dict[str, Any] = {name: places[name].as_dict() for name in _PLACES}
    for cut in _CUTS:
        after, before = outside.cuts_ms[cut], inside.cuts_ms[cut]
        found[f"difference_{cut}_ms"] = difference_of_pairs(after, before, GOAL_MS)
        found[f"ratio_{cut}"] = ratio_of_pairs(after, before, GOAL_RATIO)
    return found | {f"distribution_{name}": places[name].all_frames.distribution() for name in _PLACES}


def _median_ms(durations_ns: array[int]) -> float:
    return float(np.median(durations_ns)) / NS_PER_MS if len(durations_ns) else float("nan")
