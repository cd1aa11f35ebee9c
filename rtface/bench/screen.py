"""What viewers of pictures cost the loop, and how old the pictures are that they get: in one run, interleaved.

A round has each condition once, in random order: nothing offered to the publisher of pictures, and 0, 1 and 3 viewers. Each is
compared with the first of its own round, so that what changes over minutes takes no part. Durations are exact, not those of
the service's histograms, whose buckets are as wide as the goals.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zmq

from rtface.acquire.factory import make_camera
from rtface.bench.measurer import Measurer, measurer_process
from rtface.bench.measuring import FREE, GOALS, LoopSlots, TimedSink
from rtface.bench.pairs import ratio_of_pairs
from rtface.config import BackendSettings, PicturesSettings, SimulatedCameraSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, monotonic_ns
from rtface.core.errors import DataError
from rtface.core.machine import run_facts
from rtface.core.realtime import realtime_process
from rtface.core.records import Crop, Image, Pose
from rtface.live.pipeline import Pipeline
from rtface.live.served import describe_backend
from rtface.publish.pictures.publisher import PicturePublisher
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.tracker import Tracker

_PICTURES_RENDERED = 64
_SETTLE_S = 0.3
_FOUND_WITHIN_NS = 10 * NS_PER_S
_LOOK_NS = 20 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class ScreenQuestion:
    """What to measure: a simulated camera, an engine, and rounds of the conditions, `seconds` each."""

    rounds: int = 20
    seconds: float = 4.0
    rate_hz: float = 200.0
    width: int = 640
    height: int = 480
    engine: str = "default"
    backend: BackendSettings = field(default_factory=BackendSettings)
    pictures: PicturesSettings = field(default_factory=PicturesSettings)
    viewers: tuple[int, ...] = (0, 1, 3)
    warm_up_s: float = 4.0


class _Offered:
    """Offers frames to the publisher of pictures while it is told to."""

    def __init__(self, pictures: PicturePublisher) -> None:
        self._pictures = pictures
        self.on = False

    def __call__(self, image: Image, pose: Pose, crop: Crop) -> None:
        if self.on:
            self._pictures.offer(image, pose, crop)


@dataclass(slots=True)
class _Condition:
    """What was measured with so many viewers (None: with nothing offered), slot by slot."""

    viewers: int | None
    loop: LoopSlots = field(default_factory=LoopSlots)
    seconds: float = 0.0
    ages_ms: list[float] = field(default_factory=list)
    missed: int = 0
    skipped: int = 0

    @property
    def name(self) -> str:
        return "no_pictures" if self.viewers is None else f"viewers_{self.viewers}"

    def as_dict(self, plain: _Condition) -> dict[str, Any]:
        """Return it as plain values, compared with what was measured without pictures."""
        found: dict[str, Any] = {"viewers": self.viewers} | self.loop.as_dict()
        if self.viewers is not None:
            found["ratio_p50"] = ratio_of_pairs(self.loop.p50_ms, plain.loop.p50_ms, GOALS["p50"])
            found["ratio_p99"] = ratio_of_pairs(self.loop.p99_ms, plain.loop.p99_ms, GOALS["p99"])
        if self.viewers:
            age = np.percentile(self.ages_ms, [50, 95, 99]) if self.ages_ms else np.full(3, np.nan)
            found["pictures"] = {
                "per_second_and_viewer": round(len(self.ages_ms) / self.seconds / self.viewers, 2),
                "n": len(self.ages_ms),
                "missed": self.missed,
                "skipped": self.skipped,
                "age_ms": {
                    name: None if np.isnan(each) else round(float(each), 3)
                    for name, each in zip(("p50", "p95", "p99"), age, strict=True)
                },
            }
        return found


def measure_screen(
    question: ScreenQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    """Measure what viewers of pictures cost, in rounds.

    Parameters
    ----------
    question : ScreenQuestion
        What to measure.
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; the rounds that were complete until then are the result.

    Returns
    -------
    dict
        Date, command and machine; by condition the loop's percentiles, their ratio to those of the same round without
        pictures with its interval, and pictures a second and their age at the viewers.

    Raises
    ------
    DataError
        A viewer fails, or it was ended before one round was complete.
    """
    engine = engine_for(question.engine, question.backend)
    camera = make_camera(
        SimulatedCameraSettings(
            width=question.width, height=question.height, rate_hz=question.rate_hz, repeat=_PICTURES_RENDERED
        )
    )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    settings = question.pictures
    pictures = PicturePublisher(
        FREE,
        "bench",
        context,
        per_second=settings.per_second,
        quality=settings.quality,
        longest=settings.width,
    )
    sink, offered = TimedSink(context), _Offered(pictures)
    tracker = Tracker(engine, make_backend(engine, question.backend), SYSTEM_CLOCK)
    pipeline = Pipeline(camera, tracker, sink, show=offered)
    with ExitStack() as stack:
        stack.callback(context.destroy)
        stack.enter_context(realtime_process())
        stack.callback(pictures.close)
        pictures.open()
        stack.callback(pipeline.stop)
        pipeline.start()
        viewers = [
            stack.enter_context(measurer_process("viewer", pictures.address))
            for _ in range(max(question.viewers))
        ]
        pipeline.wait(question.warm_up_s)
        conditions = [_Condition(None), *(_Condition(count) for count in question.viewers)]
        random = np.random.default_rng(0)
        rounds = 0
        while rounds < question.rounds and not ending.is_set():
            for place in random.permutation(len(conditions)):
                _measure(question, conditions[place], pipeline, sink, offered, pictures, viewers)
            rounds += 1
            progress(rounds / question.rounds)
        if not rounds:
            raise DataError("nothing was measured: it was ended before one round was complete")
        described, state = describe_backend(pipeline.backend), pictures.state()
    return run_facts() | {
        "question": "exposure to published with viewers of pictures, simulated camera, rounds in random order",
        "camera": f"{question.width}x{question.height} at {question.rate_hz:g} per second",
        "engine": engine.manifest.name,
        "engine_sha256": engine.sha256,
        "backend": described,
        "pictures": settings.model_dump(exclude={"address"}),
        "rounds": rounds,
        "seconds_each": question.seconds,
        "displaced": state["displaced"],
        "failed": state["failed"],
        "conditions": {each.name: each.as_dict(conditions[0]) for each in conditions},
        "distribution": {each.name: each.loop.all_frames.distribution() for each in conditions},
    }


def _measure(
    question: ScreenQuestion,
    condition: _Condition,
    pipeline: Pipeline,
    sink: TimedSink,
    offered: _Offered,
    pictures: PicturePublisher,
    viewers: Sequence[Measurer],
) -> None:
    looking = viewers[: condition.viewers or 0]
    offered.on = condition.viewers is not None
    for viewer in viewers:
        viewer.tell("on" if viewer in looking else "off")
    deadline_ns = monotonic_ns() + _FOUND_WITHIN_NS
    while pictures.state()["subscribers"] != len(looking):
        if monotonic_ns() > deadline_ns:
            raise DataError("the viewers were not found by the publisher of pictures")
        SYSTEM_CLOCK.sleep_until_ns(monotonic_ns() + _LOOK_NS)
    pipeline.wait(_SETTLE_S)
    for viewer in looking:
        viewer.tell("begin")
    condition.seconds += condition.loop.measure(pipeline, sink, question.seconds)
    for viewer in looking:
        viewer.tell("end")
    for said in [viewer.answer() for viewer in looking]:
        condition.ages_ms += said["ages_ms"]
        condition.missed += said["missed"]
        condition.skipped += said["skipped"]
