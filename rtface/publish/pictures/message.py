"""A picture of the camera with what was found on it, as it is published for whoever looks on. No socket, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgpack
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import WireError
from rtface.core.records import Crop, FloatArray, Stamps
from rtface.publish.commands import crop_in, crop_map
from rtface.publish.keypoints import points_in, points_map, stamps_in, stamps_map
from rtface.publish.wire import (
    MAX_SESSION,
    PROTOCOL,
    Fields,
    as_bytes,
    known,
    number_or_nan,
    pack,
    read,
)

Shows = Literal["frame", "crop"]
"""What a picture shows: the whole frame of the camera, or the part that the network is given."""
SHOWS: tuple[Shows, ...] = get_args(Shows)

TOPICS: dict[Shows, bytes] = {"frame": b"picture.frame", "crop": b"picture.crop"}

MAX_JPEG = 8 << 20
"""Largest picture in bytes."""

LEVELS = 64
"""Bins of a histogram: of four gray levels each."""

_COUNT = np.dtype("<u4")
_MAX_SIDE = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class PictureMessage:
    """A picture, the keypoints of its own frame, and what is measured on it.

    The picture is never mirrored. The centre of its pixel (u, v) lies at the camera's pixel
    ``area.x + (u + 0.5) * area.width / width - 0.5``, and likewise for the rows.

    Attributes
    ----------
    shows : str
        ``frame``: all that the camera sees; ``crop``: the part that the network is given.
    frame_id, camera_ns : int, int or None
        As in `rtface.core.records.FrameMeta`.
    stamps : Stamps
        When the frame passed each stage: nanoseconds of the monotonic clock of the service's host.
    copied_ns : int
        When its pixels were copied, after its keypoints had been published; same clock.
    published_ns : int
        When the message was ready to be sent, the picture encoded; same clock.
    width, height : int
        Pixels of the picture.
    area : Crop
        The part of the camera's frame that it shows.
    frame_width, frame_height : int
        Pixels of the camera's frame.
    crop : Crop
        The part of the frame that the network was given.
    xy, score, outside : ndarray
        As in `rtface.publish.keypoints.Keypoints`: of this frame, in pixels of the camera's frame.
    view_ok : float
        As in `rtface.publish.keypoints.Keypoints`.
    saturated : int
        Pixels of `area` at gray level 255.
    histogram : ndarray, shape (64,), uint32
        How many pixels of `area` have gray levels 4 i to 4 i + 3, before it was scaled.
    focus : float
        How sharp the crop is: see `rtface.publish.pictures.measures.focus_of`. NaN where it is too small or black.
    jpeg : bytes
        The picture: gray, 8 bits, JPEG.
    session : str
        Names one life of the service.
    seq : int
        Number of the message in its session and topic, from 0; a jump is a loss between service and reader.
    received_ns, age_ns, missed, skipped, restarted
        The subscriber's own, as in `rtface.publish.keypoints.Keypoints`.
    """

    shows: Shows
    frame_id: int
    camera_ns: int | None
    stamps: Stamps
    copied_ns: int
    published_ns: int
    width: int
    height: int
    area: Crop
    frame_width: int
    frame_height: int
    crop: Crop
    xy: FloatArray
    score: FloatArray
    outside: NDArray[np.bool_]
    view_ok: float
    saturated: int
    histogram: NDArray[np.uint32]
    focus: float
    jpeg: bytes
    session: str = ""
    seq: int = 0
    received_ns: int = 0
    age_ns: int | None = None
    missed: int = 0
    skipped: int = 0
    restarted: bool = False


def encode_picture(packer: msgpack.Packer, message: PictureMessage) -> tuple[bytes, bytes, bytes]:
    """Return the three parts of a message: topic, header, picture.

    Raises
    ------
    WireError
        Its arrays do not belong together, or it is too large.
    """
    if message.histogram.shape != (LEVELS,):
        raise WireError(f"a histogram of shape {message.histogram.shape}; it has {LEVELS} bins")
    if len(message.jpeg) > MAX_JPEG:
        raise WireError(f"the picture would have {len(message.jpeg)} bytes; at most {MAX_JPEG} may be sent")
    times = stamps_map(message.stamps) | {"copied": message.copied_ns, "published": message.published_ns}
    header: dict[str, Any] = {
        "v": PROTOCOL,
        "session": message.session,
        "seq": message.seq,
        "frame_id": message.frame_id,
        "camera_ns": message.camera_ns,
        "t": times,
        "shows": message.shows,
        "width": message.width,
        "height": message.height,
        "area": crop_map(message.area),
        "frame": {"width": message.frame_width, "height": message.frame_height},
        "crop": crop_map(message.crop),
        **points_map(message.xy, message.score, message.outside),
        "saturated": message.saturated,
        "histogram": as_bytes(message.histogram, _COUNT),
    }
    header |= known("focus", message.focus) | known("view_ok", message.view_ok)
    return TOPICS[message.shows], pack(packer, header), message.jpeg


def decode_picture(parts: Sequence[bytes]) -> PictureMessage:
    """Return the message in `parts`; its arrays are views of the header and cannot be written.

    The picture itself is not looked into: it is untrusted, and whoever decodes it must take it for that.

    Raises
    ------
    WireError
        `parts` are no such message; the text names the field.
    """
    if len(parts) != 3:
        raise WireError(f"a message with a picture has three parts, not {len(parts)}")
    topic, header, jpeg = parts
    if len(jpeg) > MAX_JPEG:
        raise WireError(f"picture of {len(jpeg)} bytes; at most {MAX_JPEG} are allowed")
    fields = read(header)
    shows = fields.choice("shows", SHOWS)
    if topic != TOPICS[shows]:
        raise WireError(f"topic {topic!r:.40} is not that of a picture that shows the {shows}")
    xy, score, outside = points_in(fields)
    histogram = fields.numbers("histogram", _COUNT, LEVELS)
    if len(histogram) != LEVELS:
        raise WireError(f"histogram has {len(histogram)} bins; there are {LEVELS}")
    times, frame = fields.nested("t"), fields.nested("frame")
    return PictureMessage(
        shows=shows,
        frame_id=fields.integer("frame_id"),
        camera_ns=None if fields.is_nil("camera_ns") else fields.integer("camera_ns"),
        stamps=stamps_in(times),
        copied_ns=times.integer("copied"),
        published_ns=times.integer("published"),
        width=_side(fields, "width"),
        height=_side(fields, "height"),
        area=crop_in(fields.nested("area"), smallest=1),
        frame_width=_side(frame, "width"),
        frame_height=_side(frame, "height"),
        crop=crop_in(fields.nested("crop"), smallest=1),
        xy=xy,
        score=score,
        outside=outside,
        view_ok=number_or_nan(fields, "view_ok"),
        saturated=fields.integer("saturated", low=0),
        histogram=histogram,
        focus=number_or_nan(fields, "focus"),
        jpeg=jpeg,
        session=fields.text("session", MAX_SESSION),
        seq=fields.integer("seq", low=0),
    )


def _side(fields: Fields, name: str) -> int:
    return fields.integer(name, 1, _MAX_SIDE)
