"""What tests of publishing share: a pose, a status, a handler of commands, a ZeroMQ context, subscribers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import zmq

from rtface.core.latency import StageSummary
from rtface.core.records import Crop, FrameMeta, Keypoint, Losses, Pose, Stamps
from rtface.core.status import PipelineState
from rtface.publish.commands import Hello
from rtface.publish.features import FeaturesMessage
from rtface.publish.neural import NeuralMessage
from rtface.publish.pictures.message import PictureMessage, Shows
from rtface.publish.publisher import Publisher
from rtface.publish.sockets import Context
from rtface.publish.status import ServiceStatus
from support.waits import LONG_S

LOSSES = Losses(camera=1, transport=2, ring=3, publish=4)

STATUS = ServiceStatus(
    state=PipelineState.RUNNING,
    rate_hz=199.5,
    frames=1234,
    losses=LOSSES,
    latency={
        "network": StageSummary(10, 1.0, 2.0, 3.0, 4.0, 5.0),
        "end_to_end": StageSummary(10, 6.0, 7.0, 8.0, 9.0, 10.0, 2),
    },
    engine="facemap-quick",
    backend="openvino f32",
    camera={"kind": "simulated", "settings": {"gain": 1.5}},
    subscribers=3,
    error=None,
    loop={"state": "armed", "armed_by": "Ada"},
)

HELLO = Hello(
    session="a session",
    skeleton=(Keypoint("nose(tip)"), Keypoint("paw", trained=False)),
    width=640,
    height=480,
    crop=Crop(10, 20, 300, 200),
    engine="facemap-quick",
    engine_hash="sha256:00",
    score_definition="within 5 pixels",
    keypoints_address="tcp://127.0.0.1:5570",
    control_address="tcp://127.0.0.1:5571",
    camera={"kind": "simulated"},
)


def make_pose(frame_id: int = 0, keypoints: int = 15, exposure_ns: int = 1_000) -> Pose:
    """Return a pose whose numbers are all different; its last keypoint was never trained."""
    xy = np.arange(2 * keypoints, dtype=np.float32).reshape(keypoints, 2) + frame_id
    score = np.linspace(0, 1, keypoints, dtype=np.float32)
    if keypoints:
        xy[-1], score[-1] = np.nan, 0
    stamps = Stamps(exposure_ns, *(exposure_ns + step for step in range(1, 6)))
    frame = FrameMeta(frame_id, exposure_ns, exposure_ns + 1, camera_ns=77)
    return Pose(frame, stamps, xy, score, np.arange(keypoints) % 2 == 1)


PREDICTION = NeuralMessage(
    frame_id=12,
    exposure_ns=5_000,
    encoder="cortex",
    model="ab" * 32,
    simulated=True,
    kind="components",
    outputs=np.array([1.5, -2, 0.25], np.float32),
    uncertainty=np.array([0.5, 1, 2], np.float32),
    neurons=np.array([7, 8], np.float32),
    chosen=np.array([3, 49_999], np.int32),
    state=1,
    probability=np.array([0.25, 0.75], np.float32),
    look_ahead_ns=2_000_000_000,
    delay_ns=-333_000_000,
    warm=True,
    strange=1.25,
    score=0.75,
    session="a",
    seq=4,
    published_ns=6_000,
)

FEATURES = FeaturesMessage(
    frame_id=12,
    exposure_ns=5_000,
    names=("eye_open", "view.ok"),
    units=("px", "1"),
    values=np.array([1.5, np.nan]),
    scores=np.array([0.9, 1.0]),
    rules={
        "blink": {
            "state": "armed",
            "when": "eye_open < 3",
            "withheld": "low_score",
            "values": {"eye_open": 1.5, "rule.other": None},
        }
    },
    session="a",
    seq=4,
    published_ns=6_000,
)


def make_picture(pose: Pose, shows: Shows = "frame", jpeg: bytes = b"a picture") -> PictureMessage:
    """Return a picture with the keypoints of a pose."""
    return PictureMessage(
        shows=shows,
        frame_id=pose.frame.frame_id,
        camera_ns=pose.frame.camera_ns,
        stamps=pose.stamps,
        copied_ns=7_000,
        published_ns=8_000,
        width=320,
        height=240,
        area=Crop(0, 0, 640, 480),
        frame_width=640,
        frame_height=480,
        crop=Crop(100, 80, 400, 300, mirrored=True),
        xy=pose.xy,
        score=pose.score,
        outside=pose.outside,
        view_ok=0.75,
        saturated=12,
        histogram=np.arange(64, dtype=np.uint32),
        focus=0.5,
        jpeg=jpeg,
        session="a",
        seq=4,
    )


PICTURE = make_picture(make_pose(5))


class Handler:
    """A service that remembers its calls and raises what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.failure: Exception | None = None
        self.result: Mapping[str, Any] = {"done": True}

    def _called(self, op: str, args: object = None) -> Mapping[str, Any]:
        self.calls.append((op, args))
        if self.failure is not None:
            raise self.failure
        return self.result

    def hello(self) -> Mapping[str, Any]:
        self._called("hello")
        return HELLO.as_map()

    def status(self) -> Mapping[str, Any]:
        self._called("status")
        return STATUS.as_map()

    def start(self) -> Mapping[str, Any]:
        return self._called("start")

    def stop(self, who: str = "") -> Mapping[str, Any]:
        return self._called("stop", who)

    def set_crop(self, crop: Crop | None, camera: str = "") -> Mapping[str, Any]:
        return self._called("set_crop", crop)

    @property
    def arming(self) -> Handler:
        return self

    def self_test(self) -> Mapping[str, Any]:
        return self._called("self_test")

    def arm(self, who: str) -> Mapping[str, Any]:
        return self._called("arm", who)

    def disarm(self, who: str, why: str) -> Mapping[str, Any]:
        return self._called("disarm", (who, why))

    def emergency_stop(self, who: str) -> Mapping[str, Any]:
        return self._called("emergency_stop", who)

    def clear(self, who: str) -> Mapping[str, Any]:
        return self._called("clear", who)

    def baseline(self, who: str) -> Mapping[str, Any]:
        return self._called("baseline", who)

    def mark(self, who: str, text: str, details: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._called("mark", (who, text, details))


@contextmanager
def zmq_context() -> Iterator[Context]:
    """Lend a context, and fail where a socket of it was left open."""
    context: Context = zmq.Context()
    try:
        yield context
        left = [socket for socket in context._sockets if not socket.closed]
    finally:
        context.destroy(0)
    assert not left, f"the test left sockets open: {left}"


def received(socket: zmq.Socket[bytes]) -> list[bytes]:
    """Return the next message, and fail where none comes."""
    assert socket.poll(int(LONG_S * 1000)), "no message came"
    return socket.recv_multipart(zmq.NOBLOCK)


def wait_for_subscribers(publisher: Publisher, count: int) -> None:
    """Wait until `count` sockets take the keypoints, and fail where they do not come."""
    deadline = time.monotonic() + LONG_S
    while publisher.count_subscribers() < count:
        left_s = deadline - time.monotonic()
        assert left_s > 0, f"{count} subscribers never came"
        publisher._opened().poll(left_s * 1000)
