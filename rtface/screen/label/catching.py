"""A frame of the live picture, taken into a label set: what the page saw, and what of the camera's frame that was."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from rtface.core.errors import DataError, UsageError
from rtface.core.files import safe_name, written_whole
from rtface.learn.labels.formats.table import FRAMES_FOLDER
from rtface.screen.label.project import LabelProject

MAX_PICTURE = 700_000
"""Bytes of a picture that fits into one request."""

_MAX_SIDE = 1 << 14
_MAX_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True)
class Caught:
    """A frame that was taken in.

    Attributes
    ----------
    frame : str
        Its short name.
    stored : str
        What is stored, in words: a JPEG's losses are in it.
    """

    frame: str
    stored: str


def catch(
    project: LabelProject,
    who: str,
    picture: str,
    *,
    rig: str,
    session: str,
    frame_id: int,
    size: tuple[int, int],
) -> Caught:
    """Store a picture of a whole camera frame, and add it to the set.

    Its pixels are stored as they came, in a png: nothing more is lost than the camera's picture lost on its way to the page.

    Parameters
    ----------
    project : LabelProject
    who : str
    picture : str
        JPEG or png, as base64.
    rig, session : str
        Whose frame, of which run of the service: with `frame_id` they name it for good.
    frame_id : int
    size : tuple of int
        Width and height of the camera's frame.

    Raises
    ------
    UsageError
        It is no picture, not the whole frame at full size, or is in the set already.
    DataError
        It cannot be written.
    """
    if len(picture) > MAX_PICTURE * 4 // 3 + 4:
        raise UsageError(
            f"a picture of more than {MAX_PICTURE} bytes: record a video, and choose frames of it"
        )
    try:
        data = base64.b64decode(picture, validate=True)
    except ValueError:
        raise UsageError("the picture is not base64") from None
    lossy = data.startswith(b"\xff\xd8")
    if not lossy and not data.startswith(b"\x89PNG"):
        raise UsageError("the picture is neither JPEG nor png")
    width, height = _declared(data, lossy)
    if (width, height) != size:
        raise UsageError(
            f"the picture has {width}x{height} pixels, the camera's frame {size[0]}x{size[1]}: labels are of whole frames "
            "at full size. Show the frame unscaled, or record a video and choose frames of it"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        image = None
    if image is None or image.shape != (height, width):
        raise UsageError("the picture cannot be decoded")
    video = safe_name(f"{rig} {session}".strip()) or "live"
    name = f"frame{frame_id:06d}.png"
    file = f"{FRAMES_FOLDER}/{video}/{name}"
    stored = "as the camera gave it" if not lossy else "as the page showed it: pixels of a JPEG"
    about: dict[str, Any] = {
        "file": file,
        "video": video,
        "name": name,
        "width": width,
        "height": height,
        "from": {"live": rig, "session": session, "frame": frame_id, "lossy": lossy},
    }
    path = project.folder / file
    if any((each.video, each.name) == (video, name) for each in project.frames()):
        raise UsageError(f"frame {frame_id} is in the label set already")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, durable=True) as fresh:
            fresh.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    return Caught(project.add_frames(who, [about])[0], stored)


def _declared(data: bytes, lossy: bool) -> tuple[int, int]:
    """Return the width and height that a picture says it has, before anything of that size is made."""
    width = height = 0
    if not lossy:
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    else:
        at = 2
        while at + 9 < len(data) and data[at] == 0xFF:
            kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
            if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
                height = int.from_bytes(data[at + 5 : at + 7], "big")
                width = int.from_bytes(data[at + 7 : at + 9], "big")
                break
            at += 2 + length
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE and width * height <= _MAX_PIXELS):
        raise UsageError("the picture does not say a size that a camera has")
    return width, height
