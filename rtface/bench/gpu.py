"""What a frame costs from host memory to keypoints in host memory, stage by stage, at once and at a steady rate.

Made for GPUs; any back end can be measured, and stages that one cannot time are absent from the result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rtface.acquire.factory import make_camera
from rtface.bench.clock_samples import ClockSamples
from rtface.bench.measuring import Nowhere, lost_between, wait_measuring
from rtface.bench.random_engine import random_facemap_engine
from rtface.config import BackendSettings, SimulatedCameraSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK
from rtface.core.geometry import whole_frame
from rtface.core.latency import Histogram, StageSummary
from rtface.core.machine import run_facts
from rtface.core.realtime import realtime_process
from rtface.core.records import Image
from rtface.live.pipeline import Pipeline
from rtface.live.served import describe_backend
from rtface.simulate.face import MouseFace
from rtface.track.backends.base import Backend, BackendInfo, Itemises
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.gpu.libcuda import probe
from rtface.track.gray_levels import levels
from rtface.track.store import Engine
from rtface.track.tracker import Tracker

_DIFFERENT_FRAMES = 64
_WARM_UP_FRAMES = 200
_WARM_UP_S = 1.0
_MOST_PACED_FRAMES = 2000
_PROGRESS_EVERY = 500
_NO_LEVELS = np.zeros(2, np.float32)


@dataclass(frozen=True, slots=True)
class GpuQuestion:
    """What to measure.

    Attributes
    ----------
    frames : int
        Frames one after another, from host to host.
    itemised : int
        Frames stage by stage.
    seconds, rate_hz : float
        How long a simulated camera of this rate is kept up with; 0 seconds leaves that out, and the frames that come at
        this rate.
    width, height : int
        Of the frames.
    engine : str
        As of `load_engine`; not read if there are `widths`.
    widths : tuple of int or None
        Of a Facemap network of random weights.
    backend : BackendSettings
        What runs it.
    """

    frames: int = 100_000
    itemised: int = 1000
    seconds: float = 60.0
    rate_hz: float = 1000.0
    width: int = 640
    height: int = 480
    engine: str = "default"
    widths: tuple[int, ...] | None = None
    backend: BackendSettings = field(default_factory=BackendSettings)


def measure_gpu(
    question: GpuQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    """Measure an engine on a back end, alone and behind a simulated camera, in one run.

    Parameters
    ----------
    question : GpuQuestion
        What to measure.
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; what was measured until then is the result.

    Returns
    -------
    dict
        Date, command, machine and GPUs; ``frame_to_keypoints``, from a frame in the back end's host memory to keypoints
        in host memory, levels included, one right after another, with its ``jitter_ms``; ``at_rate``, the same with
        frames that come at the camera's rate, between which a GPU may clock down; ``clocks``, the GPU's in each of these
        passes, or why they cannot be read, absent where there is no GPU; ``device_stages``, by the device's own clock, as far as
        the back end can time them, ``rest_p50_ms``, what the medians of these leave of the median of the whole
        (launch and wait), and ``over_network``, the whole in units of the network, both absent without stages;
        ``memory``, absent where there is none of its own; ``sustained``, the camera's frames, lost ones and stages.

    Raises
    ------
    RtfaceError
        The engine or the back end is not there, or failed.
    """
    with _engine(question) as engine, realtime_process(), ClockSamples.opened() as clocks:
        measured = _one_by_one(engine, question, lambda share: progress(share / 2), ending, clocks)
        if question.seconds > 0 and not ending.is_set():

            def passed(share: float) -> None:
                clocks.take("sustained")
                progress(0.5 + share / 2)

            kept_up, took = _sustained(engine, question, passed, ending)
            measured["sustained"] = kept_up
            measured["distribution"] |= {"sustained_end_to_end": took}
        measured |= clocks.report()
        facts = run_facts()
        facts["machine"] |= {"gpus": [str(gpu) for gpu in probe().gpus]}
        return (
            facts
            | {
                "question": "a frame in host memory to keypoints in host memory",
                "frame": f"{question.width}x{question.height}",
                "engine": engine.manifest.name,
                "engine_sha256": engine.sha256,
            }
            | measured
        )


@contextmanager
def _engine(question: GpuQuestion) -> Iterator[Engine]:
    if question.widths is None:
        yield engine_for(question.engine, question.backend)
        return
    with random_facemap_engine(question.widths) as engine:
        yield engine


def _one_by_one(
    engine: Engine,
    question: GpuQuestion,
    progress: Callable[[float], None],
    ending: threading.Event,
    clocks: ClockSamples,
) -> dict[str, Any]:
    backend = make_backend(engine, question.backend)
    try:
        info = backend.open()
        clocks.look_at(info.device)
        backend.prepare((question.height, question.width), whole_frame(question.width, question.height))
        frames = _frames(backend, question)
        used = [_memory(backend)]
        run = _Run(backend, engine, frames)

        def passed(share: float) -> None:
            clocks.take("back_to_back")
            progress(share * (1 if question.seconds == 0 else 0.8))

        took = _host_to_host(run, question.frames, passed, ending)
        paced = _paced(run, question, lambda: clocks.take("at_rate"), ending)
        stages = _itemised(backend, frames, question.itemised, ending)
        used.append(_memory(backend))
        ran = replace(info, plan=backend.plan)
    finally:
        backend.close()
    return _report(ran, took, stages, used, question.rate_hz, paced)


def _frames(backend: Backend, question: GpuQuestion) -> list[Image]:
    """Render different frames where the back end reads them fastest, as the ring's slots are."""
    face = MouseFace(question.width, question.height, question.rate_hz, 0)
    frames = [backend.host_memory((question.height, question.width)) for _ in range(_DIFFERENT_FRAMES)]
    for index, frame in enumerate(frames):
        face.render(index, frame)
    return frames


def _memory(backend: Backend) -> int | None:
    return backend.memory_used() if isinstance(backend, Itemises) else None


@dataclass(frozen=True, slots=True)
class _Run:
    """A back end that is ready, and the frames that it is given in turn."""

    backend: Backend
    engine: Engine
    frames: list[Image]

    def take_ns(self, index: int) -> int:
        """Run one frame, its levels included where the host takes them, and return how long it took."""
        spec, frame = self.engine.manifest.normalise, self.frames[index % len(self.frames)]
        began_ns = SYSTEM_CLOCK.now_ns()
        ready = self.backend.computes_levels
        level = _NO_LEVELS if ready else levels(frame, spec.low, spec.high, spec.row_step)
        self.backend.infer(frame, level)
        return SYSTEM_CLOCK.now_ns() - began_ns


def _host_to_host(
    run: _Run, count: int, progress: Callable[[float], None], ending: threading.Event
) -> Histogram:
    took = Histogram()
    for index in range(-min(_WARM_UP_FRAMES, count), count):
        took_ns = run.take_ns(index)
        if index >= 0:
            took.add(took_ns)
        if index % _PROGRESS_EVERY == 0:
            progress(max(0, index) / count)
            if ending.is_set():
                break
    return took


def _paced(
    run: _Run, question: GpuQuestion, sample: Callable[[], None], ending: threading.Event
) -> Histogram | None:
    """Run frames that come at the camera's rate; None where no time is given to it."""
    rate_hz = question.rate_hz
    count = min(_MOST_PACED_FRAMES, round(question.seconds * rate_hz))
    if count < 1 or ending.is_set():
        return None
    took = Histogram()
    warm_up, every = min(round(_WARM_UP_S * rate_hz), count), max(1, round(rate_hz / 2))
    due_ns = SYSTEM_CLOCK.now_ns()
    for index in range(-warm_up, count):
        SYSTEM_CLOCK.sleep_until_ns(due_ns)
        due_ns = max(due_ns + round(NS_PER_S / rate_hz), SYSTEM_CLOCK.now_ns())
        took_ns = run.take_ns(index)
        if index < 0:
            continue
        took.add(took_ns)
        if index % every == 0:
            sample()
            if ending.is_set():
                break
    return took


def _itemised(
    backend: Backend, frames: list[Image], count: int, ending: threading.Event
) -> dict[str, Histogram]:
    stages: dict[str, Histogram] = {}
    if not isinstance(backend, Itemises):
        return stages
    for index in range(-min(_WARM_UP_FRAMES, count), count):
        if ending.is_set():
            break
        found = backend.itemise(frames[index % len(frames)])
        if index >= 0:
            for stage, took_ns in found.items():
                stages.setdefault(stage, Histogram()).add(took_ns)
    return stages


def _report(
    ran: BackendInfo,
    took: Histogram,
    stages: Mapping[str, Histogram],
    used: list[int | None],
    rate_hz: float,
    paced: Histogram | None,
) -> dict[str, Any]:
    whole = took.summary()
    report: dict[str, Any] = {
        "backend": describe_backend(ran),
        "ran": ran.as_dict(),
        "frame_to_keypoints": whole.as_dict(),
        "jitter_ms": _jitter(whole),
        "distribution": {"frame_to_keypoints": took.distribution()},
    }
    if paced is not None:
        at_rate = paced.summary()
        report["at_rate"] = {
            "rate_hz": rate_hz,
            "frame_to_keypoints": at_rate.as_dict(),
            "jitter_ms": _jitter(at_rate),
            "p50_over_back_to_back": at_rate.p50_ms / whole.p50_ms,
        }
        report["distribution"] |= {"at_rate": paced.distribution()}
    if stages:
        summaries = {stage: each.summary() for stage, each in stages.items()}
        report["device_stages"] = {stage: each.as_dict() for stage, each in summaries.items()}
        report["rest_p50_ms"] = whole.p50_ms - sum(each.p50_ms for each in summaries.values())
        report["distribution"] |= {f"device_{stage}": each.distribution() for stage, each in stages.items()}
        if "network" in summaries:
            report["over_network"] = whole.p50_ms / summaries["network"].p50_ms
    if None not in used:
        report["memory"] = {
            "what": "bytes in use on the GPU, by whomever, before and after the frames",
            "before": used[0],
            "after": used[1],
        }
    return report


def _jitter(whole: StageSummary) -> dict[str, float]:
    """Return how far the slow frames lie from the median."""
    slow = {"p99": whole.p99_ms, "p999": whole.p999_ms, "max": whole.max_ms}
    return {f"{name}_over_p50": value - whole.p50_ms for name, value in slow.items()}


def _sustained(
    engine: Engine, question: GpuQuestion, progress: Callable[[float], None], ending: threading.Event
) -> tuple[dict[str, Any], list[tuple[float, int]]]:
    """Keep up with a camera; return what was kept up with, and the distribution from exposure to handed over."""
    camera = make_camera(
        SimulatedCameraSettings(
            width=question.width, height=question.height, rate_hz=question.rate_hz, repeat=_DIFFERENT_FRAMES
        )
    )
    pipeline = Pipeline(
        camera, Tracker(engine, make_backend(engine, question.backend), SYSTEM_CLOCK), Nowhere()
    )
    pipeline.start()
    try:
        pipeline.wait(_WARM_UP_S)
        pipeline.reset_latency()
        before = pipeline.status()
        seconds = wait_measuring(pipeline.wait, question.seconds, progress, ending)
        after = pipeline.status()
        distribution = pipeline.latency_distribution()
    finally:
        pipeline.stop()
    if pipeline.error is not None:
        raise pipeline.error
    lost = lost_between(before, after)
    del lost["publish"]
    frames = after.frames - before.frames
    kept_up = {
        "rate_hz": question.rate_hz,
        "seconds": round(seconds, 2),
        "frames": frames,
        "frames_per_second": frames / seconds,
        "lost": lost,
        "stages": {stage: summary.as_dict() for stage, summary in after.latency.items()},
    }
    return kept_up, distribution["end_to_end"]
