"""What is published: keypoints and status as MessagePack maps, and back. No socket, no clock.

`docs/wire.md` is the same for readers who write a client in another language.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import WireError
from rtface.core.latency import StageSummary
from rtface.core.records import CameraInfo, FloatArray, Losses, Pose, Stamps
from rtface.core.status import PipelineState
from rtface.publish.fields import PROTOCOL, Fields, pack, unpack

TOPIC_KEYPOINTS = b"keypoints"
TOPIC_STATUS = b"status"

MAX_KEYPOINTS = 1_024
MAX_SESSION = 64

_STATES = tuple(state.value for state in PipelineState)

_XY = np.dtype("<f4")
_NATIVE = sys.byteorder == "little"


@dataclass(frozen=True, slots=True)
class KeypointsMessage:
    """The keypoints of one frame as they travel.

    Attributes
    ----------
    session : str
        Names one life of the service; it changes when the service restarts.
    seq : int
        Number of the message in its session and topic, from 0; a jump is a loss between service and reader.
    frame_id : int
        The camera's number of the frame.
    camera_ns : int or None
        The camera's own time stamp in nanoseconds of its own clock.
    stamps : Stamps
        When each stage was passed: nanoseconds of the monotonic clock of the service's host.
    published_ns : int
        When the message began to be made, just before it was encoded and sent; same clock.
    xy : ndarray, shape (K, 2), float32
        Pixels of the full camera frame; NaN for a keypoint that the network was never trained on.
    score : ndarray, shape (K,), float32
        In [0, 1], as the engine's manifest defines it.
    outside : ndarray, shape (K,), bool
        The point lies outside the camera frame.
    lost : Losses
        Frames lost so far in the session.
    """

    session: str
    seq: int
    frame_id: int
    camera_ns: int | None
    stamps: Stamps
    published_ns: int
    xy: FloatArray
    score: FloatArray
    outside: NDArray[np.bool_]
    lost: Losses


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """How the service is.

    Attributes
    ----------
    state : PipelineState
    rate_hz : float
        Frames processed per second, lately.
    frames : int
        Frames processed in this session.
    losses : Losses
        Frames lost so far in the session.
    latency : dict of str to StageSummary
        Percentiles by stage of the hot path.
    engine, backend : str
        Which network, and what runs it.
    camera : dict
        What the camera says of itself; see `camera_map`. Empty while no camera is open.
    subscribers : int
        Sockets that take the keypoints now.
    error : str or None
        Why the service failed.
    loop : dict
        How the closed loop stands; see `docs/wire.md`. Empty without rules.
    """

    state: PipelineState
    rate_hz: float
    frames: int
    losses: Losses
    latency: dict[str, StageSummary]
    engine: str
    backend: str
    camera: dict[str, Any]
    subscribers: int = 0
    error: str | None = None
    loop: dict[str, Any] = field(default_factory=dict)

    def as_map(self) -> dict[str, Any]:
        """Return the status as a map for the wire."""
        return {
            "state": self.state.value,
            "rate_hz": self.rate_hz,
            "frames": self.frames,
            "losses": _losses_map(self.losses),
            "latency": {stage: summary.as_dict() for stage, summary in self.latency.items()},
            "engine": self.engine,
            "backend": self.backend,
            "camera": self.camera,
            "subscribers": self.subscribers,
            "error": self.error,
            "loop": self.loop,
        }


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A status as it travels; `t_ns` is of the monotonic clock of the service's host."""

    session: str
    seq: int
    t_ns: int
    status: ServiceStatus


class MessagePacker:
    """Turns records into message bodies; keeps a packer, so it belongs to one thread.

    Parameters
    ----------
    session : str
        Written into every message.
    """

    def __init__(self, session: str) -> None:
        if not 0 < len(session) <= MAX_SESSION:
            raise WireError(f"a session's name has 1 to {MAX_SESSION} characters, not {len(session)}")
        self._session = session
        self._packer = msgpack.Packer()

    def keypoints(self, seq: int, pose: Pose, losses: Losses, published_ns: int) -> bytes:
        """Return the body of a keypoints message; `pose` is copied.

        Raises
        ------
        WireError
            The arrays of `pose` do not belong together.
        """
        count = len(pose.score)
        if pose.xy.shape != (count, 2) or pose.outside.shape != (count,) or count > MAX_KEYPOINTS:
            raise WireError(
                f"keypoints of shapes xy {pose.xy.shape}, score {pose.score.shape}, outside "
                f"{pose.outside.shape} make no message; (K, 2), (K,) and (K,) with K up to {MAX_KEYPOINTS} do"
            )
        frame, stamps = pose.frame, pose.stamps
        return pack(
            self._packer,
            {
                "v": PROTOCOL,
                "session": self._session,
                "seq": seq,
                "frame_id": frame.frame_id,
                "camera_ns": frame.camera_ns,
                "t": {
                    "exposure": stamps.exposure_ns,
                    "arrival": stamps.arrival_ns,
                    "taken": stamps.taken_ns,
                    "prepared": stamps.prepared_ns,
                    "inferred": stamps.inferred_ns,
                    "decided": stamps.decided_ns,
                    "published": published_ns,
                },
                "xy": pose.xy.astype(_XY, copy=False).tobytes(),
                "score": pose.score.astype(_XY, copy=False).tobytes(),
                "outside": pose.outside.astype(np.bool_, copy=False).tobytes(),
                "lost": _losses_map(losses),
            },
        )

    def status(self, seq: int, status: ServiceStatus, t_ns: int) -> bytes:
        """Return the body of a status message."""
        head = {"v": PROTOCOL, "session": self._session, "seq": seq, "t_ns": t_ns}
        return pack(self._packer, head | status.as_map())


def decode_keypoints(body: bytes) -> KeypointsMessage:
    """Return the keypoints message in `body`; its arrays are views of it and cannot be written.

    Raises
    ------
    WireError
        `body` is no such message; the text names the field.
    """
    fields = Fields(unpack(body))
    fields.check_version()
    score, xy, outside = fields.binary("score"), fields.binary("xy"), fields.binary("outside")
    count, rest = divmod(len(score), 4)
    if rest or count > MAX_KEYPOINTS:
        raise WireError(f"score has {len(score)} bytes; 4 a keypoint, {MAX_KEYPOINTS} keypoints at most")
    for name, data, size in (("xy", xy, 8), ("outside", outside, 1)):
        if len(data) != size * count:
            raise WireError(f"{name} has {len(data)} bytes; {count} scores go with {size * count}")
    if outside.translate(None, b"\x00\x01"):
        raise WireError("outside holds a byte that is neither 0 nor 1")
    times = fields.nested("t")
    return KeypointsMessage(
        session=fields.text("session", MAX_SESSION),
        seq=fields.integer("seq", low=0),
        frame_id=fields.integer("frame_id"),
        camera_ns=None if fields.is_nil("camera_ns") else fields.integer("camera_ns"),
        stamps=Stamps(
            times.integer("exposure"),
            times.integer("arrival"),
            times.integer("taken"),
            times.integer("prepared"),
            times.integer("inferred"),
            times.integer("decided"),
        ),
        published_ns=times.integer("published"),
        xy=_floats(xy).reshape(count, 2),
        score=_floats(score),
        outside=np.frombuffer(outside, np.bool_),
        lost=_losses(fields.nested("lost")),
    )


def decode_status(body: bytes) -> StatusMessage:
    """Return the status message in `body`.

    Raises
    ------
    WireError
        `body` is no such message; the text names the field.
    """
    fields = Fields(unpack(body))
    fields.check_version()
    return StatusMessage(
        session=fields.text("session", MAX_SESSION),
        seq=fields.integer("seq", low=0),
        t_ns=fields.integer("t_ns"),
        status=parse_status(fields),
    )


def parse_status(fields: Fields) -> ServiceStatus:
    """Return the status whose fields stand in a message of any kind."""
    state = PipelineState(fields.choice("state", _STATES))
    latency = fields.nested("latency")
    return ServiceStatus(
        state=state,
        rate_hz=fields.number("rate_hz"),
        frames=fields.integer("frames", low=0),
        losses=_losses(fields.nested("losses")),
        latency={stage: _summary(latency.nested(stage)) for stage in fields.mapping("latency")},
        engine=fields.text("engine"),
        backend=fields.text("backend"),
        camera=fields.mapping("camera"),
        subscribers=fields.integer("subscribers", low=0),
        error=None if fields.is_nil("error") else fields.text("error"),
        loop=fields.mapping("loop"),
    )


def camera_map(info: CameraInfo) -> dict[str, Any]:
    """Return what a camera says of itself as a map for the wire; settings of foreign types become text."""
    basic = (bool, int, float, str, type(None))
    settings = {
        name: value if isinstance(value, basic) else str(value) for name, value in info.settings.items()
    }
    return asdict(info) | {"settings": settings}


def _summary(fields: Fields) -> StageSummary:
    return StageSummary(
        n=fields.integer("n", low=0),
        p50_ms=fields.number("p50_ms"),
        p95_ms=fields.number("p95_ms"),
        p99_ms=fields.number("p99_ms"),
        p999_ms=fields.number("p999_ms"),
        max_ms=fields.number("max_ms"),
        misses=None if fields.is_nil("misses") else fields.integer("misses", low=0),
    )


def _losses_map(losses: Losses) -> dict[str, int]:
    return {
        "camera": losses.camera,
        "transport": losses.transport,
        "ring": losses.ring,
        "publish": losses.publish,
    }


def _losses(fields: Fields) -> Losses:
    return Losses(
        camera=fields.integer("camera", low=0),
        transport=fields.integer("transport", low=0),
        ring=fields.integer("ring", low=0),
        publish=fields.integer("publish", low=0),
    )


def _floats(data: bytes) -> FloatArray:
    values = np.frombuffer(data, _XY)
    return values if _NATIVE else values.astype(np.float32)
