"""The keypoints of a frame, as they are published. No socket, no clock."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import msgpack
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import WireError
from rtface.core.records import FloatArray, Losses, Pose, Stamps
from rtface.publish.wire import (
    MAX_SESSION,
    PROTOCOL,
    Fields,
    as_bytes,
    known,
    losses_in,
    losses_map,
    number_or_nan,
    pack,
    read,
)

TOPIC_KEYPOINTS = b"keypoints"

MAX_KEYPOINTS = 1_024
MAX_CAMERA = 64
"""Characters of a camera's name."""

_XY, _FLAG = np.dtype("<f4"), np.dtype(np.bool_)
_NATIVE = sys.byteorder == "little"


@dataclass(frozen=True, slots=True)
class Keypoints:
    """The keypoints of one frame as a subscriber gets them; `received_ns` to `restarted` are the subscriber's own.

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
    xy : ndarray, shape (K, 2), float32
        Pixels of the full camera frame; NaN for a keypoint that the network was never trained on. Not writable.
    score : ndarray, shape (K,), float32
        In [0, 1], as the engine's manifest defines it. Not writable.
    outside : ndarray, shape (K,), bool
        The point lies outside the camera frame. Not writable.
    stamps : Stamps
        When each stage was passed: nanoseconds of the monotonic clock of the service's host.
    published_ns : int
        When the message began to be made, just before it was encoded and sent; same clock.
    lost : Losses
        Frames that the service lost so far in the session.
    received_ns : int
        When the message was received: nanoseconds of this host's monotonic clock.
    age_ns : int or None
        From exposure to reception; may be None, so test for it before you compare. It is None while the offset
        between this host's clock and the service's is not known: until `Client.hello` or `Client.ping` measured
        it, and again after a restart, since the service may have come back on a host whose clock began anew. A
        loopback address counts as this host's until it was measured: through a tunnel (``ssh -L``) the age is
        right only after that.
    missed : int
        Messages lost between the service and this reader since the keypoints before.
    skipped : int
        Messages that arrived but were passed over for this newer one.
    restarted : bool
        The service has restarted since the message before: what `Client.hello` returned is stale.
    view_ok : float
        Of the service, not of the subscriber: how far the frame shows a view that the engine knows, 0 to 1; from 0.5 on
        it does. NaN where the engine keeps no view, or the service is older.
    trigger_id : int or None
        Number of the trigger that began the exposure, as the camera counts them: frames of several cameras with the same
        number were exposed together. None from a camera that sends none.
    camera : str
        Which of several cameras; empty from a service with one. `frame_id`, `seq` and `lost` are of that camera.
    """

    session: str
    seq: int
    frame_id: int
    camera_ns: int | None
    xy: FloatArray
    score: FloatArray
    outside: NDArray[np.bool_]
    stamps: Stamps
    published_ns: int
    lost: Losses
    received_ns: int = 0
    age_ns: int | None = None
    missed: int = 0
    skipped: int = 0
    restarted: bool = False
    view_ok: float = math.nan
    trigger_id: int | None = None
    camera: str = ""


def keypoints_topic(camera: str = "") -> bytes:
    """Return the topic of a camera's keypoints; who subscribes to `TOPIC_KEYPOINTS` gets those of all."""
    return TOPIC_KEYPOINTS + b"." + camera.encode() if camera else TOPIC_KEYPOINTS


def encode_keypoints(
    packer: msgpack.Packer, session: str, seq: int, pose: Pose, losses: Losses, published_ns: int
) -> bytes:
    """Return the body of a keypoints message; `pose` is copied.

    Raises
    ------
    WireError
        The arrays of `pose` do not belong together.
    """
    points, frame = points_map(pose.xy, pose.score, pose.outside), pose.frame
    return pack(
        packer,
        {
            "v": PROTOCOL,
            "session": session,
            "seq": seq,
            "frame_id": frame.frame_id,
            "camera_ns": frame.camera_ns,
            "t": stamps_map(pose.stamps) | {"published": published_ns},
            **points,
            "lost": losses_map(losses),
        }
        | known("view_ok", pose.view_ok)
        | ({} if frame.trigger_id is None else {"trigger_id": frame.trigger_id})
        | ({"camera": frame.camera} if frame.camera else {}),
    )


def decode_keypoints(body: bytes) -> Keypoints:
    """Return the keypoints message in `body`; its arrays are views of it and cannot be written.

    Raises
    ------
    WireError
        `body` is no such message; the text names the field.
    """
    fields = read(body)
    xy, score, outside = points_in(fields)
    times = fields.nested("t")
    return Keypoints(
        session=fields.text("session", MAX_SESSION),
        seq=fields.integer("seq", low=0),
        frame_id=fields.integer("frame_id"),
        camera_ns=None if fields.is_nil("camera_ns") else fields.integer("camera_ns"),
        stamps=stamps_in(times),
        published_ns=times.integer("published"),
        xy=xy,
        score=score,
        outside=outside,
        lost=losses_in(fields.nested("lost")),
        view_ok=number_or_nan(fields, "view_ok"),
        trigger_id=fields.integer("trigger_id") if fields.has("trigger_id") else None,
        camera=fields.text("camera", MAX_CAMERA) if fields.has("camera") else "",
    )


def stamps_map(stamps: Stamps) -> dict[str, int]:
    """Return the times of a frame as a map for the wire."""
    return {
        "exposure": stamps.exposure_ns,
        "arrival": stamps.arrival_ns,
        "taken": stamps.taken_ns,
        "prepared": stamps.prepared_ns,
        "inferred": stamps.inferred_ns,
        "decided": stamps.decided_ns,
    }


def stamps_in(times: Fields) -> Stamps:
    """Return the times in such a map."""
    return Stamps(
        times.integer("exposure"),
        times.integer("arrival"),
        times.integer("taken"),
        times.integer("prepared"),
        times.integer("inferred"),
        times.integer("decided"),
    )


def points_map(xy: FloatArray, score: FloatArray, outside: NDArray[np.bool_]) -> dict[str, bytes]:
    """Return keypoints as fields for the wire; the arrays are copied.

    Raises
    ------
    WireError
        They do not belong together.
    """
    count = len(score)
    if xy.shape != (count, 2) or outside.shape != (count,) or count > MAX_KEYPOINTS:
        raise WireError(
            f"keypoints of shapes xy {xy.shape}, score {score.shape}, outside {outside.shape} make no message; "
            f"(K, 2), (K,) and (K,) with K up to {MAX_KEYPOINTS} do"
        )
    return {
        "xy": as_bytes(xy, _XY),
        "score": as_bytes(score, _XY),
        "outside": as_bytes(outside, _FLAG),
    }


def points_in(fields: Fields) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Return ``xy``, ``score`` and ``outside`` in such fields: views of the message, which cannot be written."""
    score, xy, outside = fields.binary("score"), fields.binary("xy"), fields.binary("outside")
    count, rest = divmod(len(score), 4)
    if rest or count > MAX_KEYPOINTS:
        raise WireError(f"score has {len(score)} bytes; 4 a keypoint, {MAX_KEYPOINTS} keypoints at most")
    for name, data, size in (("xy", xy, 8), ("outside", outside, 1)):
        if len(data) != size * count:
            raise WireError(f"{name} has {len(data)} bytes; {count} scores go with {size * count}")
    if outside.translate(None, b"\x00\x01"):
        raise WireError("outside holds a byte that is neither 0 nor 1")
    return _floats(xy).reshape(count, 2), _floats(score), np.frombuffer(outside, np.bool_)


def _floats(data: bytes) -> FloatArray:
    values = np.frombuffer(data, _XY)
    return values if _NATIVE else values.astype(np.float32)
