"""A camera, a back end, a sink, a handler and an engine that do what a test scripts for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtface.acquire.base import EndOfStream
from rtface.core.clock import Clock
from rtface.core.clockfit import ClockLine
from rtface.core.errors import CameraError
from rtface.core.records import CameraInfo, Crop, FloatArray, FrameMeta, Image, Losses, Pose
from rtface.core.status import CameraStatus, Gap
from rtface.live.handler import NetworkInUse, PoseHandler
from rtface.track.backends.base import BackendInfo
from rtface.track.manifest import (
    MODEL_FILE,
    DecodeSpec,
    FileEntry,
    InputSpec,
    KeypointEntry,
    LevelsSpec,
    Manifest,
    ResampleSpec,
    ScoreSpec,
    preprocessing_hash,
)
from rtface.track.store import Engine
from support.waits import LONG_S

END = EndOfStream()


def meta(frame_id: int) -> FrameMeta:
    """Identity of a frame whose exposure and arrival follow from its number."""
    return FrameMeta(frame_id, 1_000 * frame_id, 1_000 * frame_id + 100)


class CountingClock:
    """Every look at it is one nanosecond later than the one before, unless it is moved on."""

    def __init__(self, start_ns: int = 10**9) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        self._now_ns += 1
        return self._now_ns

    def advance_ns(self, duration_ns: int) -> None:
        self._now_ns += duration_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        self._now_ns = max(self._now_ns, deadline_ns)


class FakeCamera:
    """Delivers what it is fed: a frame number (the picture is full of it), or an error to raise.

    `fails` maps a call (open, start, stop, close) to the error that it raises once it has been logged. `asked` is
    set whenever the camera waits with nothing to deliver. `gone`, where there is one, keeps it from being opened again
    until it is set.
    """

    def __init__(
        self,
        *feed: int | BaseException,
        live: bool = False,
        width: int = 32,
        height: int = 24,
        log: list[str] | None = None,
        fails: dict[str, BaseException] | None = None,
    ) -> None:
        self.log = [] if log is None else log
        self.fails = {} if fails is None else fails
        self.asked = threading.Event()
        self.lost_at_camera = 0
        self.lost_in_transport = 0
        self.transport_known = True
        self.clock_line: ClockLine | None = None
        self.status = CameraStatus()
        self.stuck: threading.Event | None = None
        self.gone: threading.Event | None = None
        self._info = CameraInfo("fake", "fake 1", width, height, None, None, live, "camera", {})
        self._feed: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
        self.feed(*feed)

    def feed(self, *items: int | BaseException) -> None:
        for item in items:
            self._feed.put(item)

    def _call(self, name: str) -> None:
        self.log.append(f"camera.{name}")
        if name in self.fails:
            raise self.fails[name]

    def open(self) -> CameraInfo:
        self._call("open")
        self.lost_at_camera = self.lost_in_transport = 0
        self.transport_known = True
        if self.gone is not None and not self.gone.is_set() and self.log.count("camera.open") > 1:
            raise CameraError("it is not there")
        return self._info

    def start(self) -> None:
        self._call("start")

    def fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        if self.stuck is not None:
            self.asked.set()
            self.stuck.wait(LONG_S)
            return None
        if self._feed.empty():
            self.asked.set()
        try:
            item = self._feed.get(timeout=min(timeout_s, 0.01))
        except queue.Empty:
            return None
        if isinstance(item, BaseException):
            raise item
        out[:] = item % 256
        return meta(item)

    def stop(self) -> None:
        self._call("stop")

    def close(self) -> None:
        self._call("close")


class FakeBackend:
    """Finds the same network pixels in every frame; keeps a copy of the frames that it was shown.

    `gate`, where set, is acquired before each answer. `prepared` holds what was prepared for.
    """

    computes_levels = False
    plan = None

    def __init__(
        self,
        found: Sequence[Sequence[float]] = ((1.0, 2.0, 0.5),),
        *,
        log: list[str] | None = None,
        fails: dict[str, BaseException] | None = None,
    ) -> None:
        self.found: FloatArray = np.array(found, np.float32)
        self.log = [] if log is None else log
        self.fails = {} if fails is None else fails
        self.gate: threading.Semaphore | None = None
        self.waiting = threading.Event()
        self.prepared: list[tuple[tuple[int, int], Crop]] = []
        self.levels: list[tuple[float, ...]] = []
        self.values: list[int] = []

    def _call(self, name: str) -> None:
        self.log.append(f"backend.{name}")
        if name in self.fails:
            raise self.fails[name]

    def open(self) -> BackendInfo:
        self._call("open")
        return BackendInfo("fake", "1", "nowhere", "f32", None, "a test")

    def host_memory(self, shape: tuple[int, int]) -> Image:
        return np.zeros(shape, np.uint8)

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        self._call("prepare")
        self.prepared.append((frame_shape, crop))

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        if "infer" in self.fails:
            raise self.fails["infer"]
        self.waiting.set()
        if self.gate is not None:
            assert self.gate.acquire(timeout=LONG_S)
        assert frame.min() == frame.max(), "a torn frame"
        self.values.append(int(frame[0, 0]))
        self.levels.append(tuple(levels.tolist()))
        return self.found

    def close(self) -> None:
        self._call("close")


class FakeSink:
    """Keeps what it is given; `gate`, where set, is acquired before each pose is taken."""

    def __init__(
        self,
        clock: Clock,
        *,
        log: list[str] | None = None,
        fails: dict[str, BaseException] | None = None,
    ) -> None:
        self.lost = 0
        self.log = [] if log is None else log
        self.fails = {} if fails is None else fails
        self.gate: threading.Semaphore | None = None
        self.waiting = threading.Event()
        self.poses: list[Pose] = []
        self.losses: list[Losses] = []
        self._clock = clock
        self._changed = threading.Condition()

    def _call(self, name: str) -> None:
        self.log.append(f"sink.{name}")
        if name in self.fails:
            raise self.fails[name]

    @property
    def ids(self) -> list[int]:
        return [pose.frame.frame_id for pose in self.poses]

    def open(self) -> None:
        self._call("open")

    def publish(self, pose: Pose, losses: Losses) -> int:
        if "publish" in self.fails:
            raise self.fails["publish"]
        self.waiting.set()
        if self.gate is not None:
            assert self.gate.acquire(timeout=LONG_S)
        with self._changed:
            self.poses.append(pose)
            self.losses.append(losses)
            self._changed.notify_all()
        return self._clock.now_ns()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.poses) >= count, LONG_S), f"only {self.ids}"

    def close(self) -> None:
        self._call("close")


def engine_fields(
    *,
    keypoints: Sequence[tuple[str, bool]] = (("nose", True),),
    size: int = 64,
    half_pixel: bool = True,
    columns: tuple[str, ...] = ("x", "y", "score"),
    row_step: int = 1,
) -> dict[str, Any]:
    """The fields that `write_engine` is given for a small network."""
    return {
        "description": "a test",
        "created": "2025-01-01",
        "licence": "CC0-1.0",
        "architecture": {"name": "none"},
        "keypoints": tuple(KeypointEntry(name=name, trained=trained) for name, trained in keypoints),
        "input": InputSpec(size=size),
        "normalise": LevelsSpec(row_step=row_step),
        "resample": ResampleSpec(half_pixel=half_pixel),
        "decode": DecodeSpec(method="none", columns=columns),
        "score": ScoreSpec(definition="made up", calibrated=False),
    }


def fake_engine(**changes: Any) -> Engine:
    """An engine without files, for back ends that need none; arguments as of `engine_fields`."""
    fields = engine_fields(**changes)
    digest = preprocessing_hash(fields["input"], fields["normalise"], fields["resample"], fields["decode"])
    files = {MODEL_FILE: FileEntry(sha256="0" * 64, bytes=1)}
    manifest = Manifest(**fields, name="fake", files=files, preprocessing_sha256=digest)
    return Engine(Path("nowhere"), manifest)


class FakeHandler(PoseHandler):
    """Writes down when it was called; `fails` as of `FakeCamera`."""

    def __init__(self, log: list[str], fails: dict[str, BaseException] | None = None) -> None:
        self.log = log
        self.fails = {} if fails is None else fails
        self.closed_with: list[BaseException | None] = []
        self.idled = threading.Event()

    def _call(self, name: str) -> None:
        self.log.append(f"handler.{name}")
        if name in self.fails:
            raise self.fails[name]

    def open(self, camera: CameraInfo, network: NetworkInUse) -> None:
        self._call("open")

    def handle(self, pose: Pose) -> None:
        self._call("handle")

    def published(self, image: Image, pose: Pose, published_ns: int) -> None:
        assert image[0, 0] == pose.frame.frame_id % 256, "the frame that the pose is of"
        self._call("published")

    def network_changed(self, network: NetworkInUse) -> None:
        self._call("network_changed")

    def gap(self, gap: Gap) -> None:
        self._call(f"gap {gap.event}")

    def idle(self) -> None:
        self.idled.set()

    def tick(self, status: Any) -> None:
        self._call("tick")

    def close(self, error: BaseException | None) -> None:
        self.closed_with.append(error)
        self._call("close")
