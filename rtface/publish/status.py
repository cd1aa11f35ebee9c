"""How the service is, as it is published once a second. No socket, no clock."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import msgpack

from rtface.core.latency import StageSummary
from rtface.core.records import CameraInfo, Losses
from rtface.core.status import PipelineState, PipelineStatus
from rtface.publish.wire import (
    MAX_SESSION,
    PROTOCOL,
    Fields,
    known,
    losses_in,
    losses_map,
    number_or_nan,
    pack,
    read,
)

TOPIC_STATUS = b"status"

_STATES = tuple(state.value for state in PipelineState)


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
        What the camera is; see `camera_map`. Empty while no camera is open.
    subscribers : int
        Sockets that take the keypoints now.
    error : str or None
        Why the service failed.
    loop : dict
        How the closed loop stands; see `docs/wire.md`. Empty without rules.
    view_ok : float
        Median of `rtface.core.records.Pose.view_ok` over the last second; NaN where it is not known.
    pictures : dict
        How the publishing of pictures stands; see `docs/wire.md`. Empty where there are none.
    camera_status : dict
        How the camera does; as of `rtface.core.status.CameraStatus.as_map`, and ``waits_s`` while it waits for a trigger.
        Empty where there is nothing to say.
    gap : dict
        While the camera is lost and being opened anew; see `docs/wire.md`. Else empty.
    bridges : tuple of dict
        How each bridge stands; as of `rtface.publish.bridges.processes.BridgeProcess.state`.
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
    view_ok: float = math.nan
    pictures: dict[str, Any] = field(default_factory=dict)
    camera_status: dict[str, Any] = field(default_factory=dict)
    gap: dict[str, Any] = field(default_factory=dict)
    bridges: tuple[dict[str, Any], ...] = ()

    def as_map(self) -> dict[str, Any]:
        """Return the status as a map for the wire."""
        return {
            "state": self.state.value,
            "rate_hz": self.rate_hz,
            "frames": self.frames,
            "losses": losses_map(self.losses),
            "latency": {stage: summary.as_dict() for stage, summary in self.latency.items()},
            "engine": self.engine,
            "backend": self.backend,
            "camera": self.camera,
            "subscribers": self.subscribers,
            "error": self.error,
            "loop": self.loop,
            **known("view_ok", self.view_ok),
            **({"pictures": self.pictures} if self.pictures else {}),
            **({"camera_status": self.camera_status} if self.camera_status else {}),
            **({"gap": self.gap} if self.gap else {}),
            **({"bridges": list(self.bridges)} if self.bridges else {}),
        }


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A status as it travels; `t_ns` is of the monotonic clock of the service's host."""

    session: str
    seq: int
    t_ns: int
    status: ServiceStatus


def encode_status(packer: msgpack.Packer, session: str, seq: int, t_ns: int, status: ServiceStatus) -> bytes:
    """Return the body of a status message.

    Raises
    ------
    WireError
        The status holds what MessagePack has no form for, or is too large.
    """
    return pack(packer, {"v": PROTOCOL, "session": session, "seq": seq, "t_ns": t_ns} | status.as_map())


def decode_status(body: bytes) -> StatusMessage:
    """Return the status message in `body`.

    Raises
    ------
    WireError
        `body` is no such message; the text names the field.
    """
    fields = read(body)
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
        losses=losses_in(fields.nested("losses")),
        latency={stage: _summary(latency.nested(stage)) for stage in fields.mapping("latency")},
        engine=fields.text("engine"),
        backend=fields.text("backend"),
        camera=fields.mapping("camera"),
        subscribers=fields.integer("subscribers", low=0),
        error=None if fields.is_nil("error") else fields.text("error"),
        loop=fields.mapping("loop"),
        view_ok=number_or_nan(fields, "view_ok"),
        pictures=fields.mapping("pictures") if fields.has("pictures") else {},
        camera_status=fields.mapping("camera_status") if fields.has("camera_status") else {},
        gap=fields.mapping("gap") if fields.has("gap") else {},
        bridges=fields.mappings("bridges") if fields.has("bridges") else (),
    )


def camera_map(info: CameraInfo) -> dict[str, Any]:
    """Return a camera's facts as a map for the wire; settings of foreign types become text."""
    basic = (bool, int, float, str, type(None))
    settings = {
        name: value if isinstance(value, basic) else str(value) for name, value in info.settings.items()
    }
    return asdict(info) | {"settings": settings}


def camera_status_map(status: PipelineStatus) -> dict[str, Any]:
    """Return how a camera does as a map for the wire; empty where all is well."""
    waits = {"waits_s": status.waits_s} if status.waits_s else {}
    return status.camera.as_map() | waits


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
