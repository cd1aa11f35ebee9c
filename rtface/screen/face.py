"""The face sought in what a rig's camera sees now, for a crop that is offered."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rtface.config import BackendSettings
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import AddressError, DataError, EngineError
from rtface.core.records import Crop, Image
from rtface.publish.commands import crop_map
from rtface.publish.pictures.message import PictureMessage
from rtface.publish.pictures.subscriber import PictureSubscriber
from rtface.screen.rigs import ShownRig
from rtface.track.backends.factory import engine_for
from rtface.track.facefinder import FRAMES, DoubtfulFaceError, find_face
from rtface.track.store import Engine

_WITHIN_NS = 5 * NS_PER_S
_APART_NS = NS_PER_S // 5
_THREADS = 1
"""Of the network: the service needs the others."""


def face_in_view(rig: ShownRig, pictures: str, engine: str) -> dict[str, Any]:
    """Return where the face is in a rig's pictures of the last seconds.

    Parameters
    ----------
    rig : ShownRig
    pictures : str
        Where its pictures come from.
    engine : str
        The engine that its service runs; the default one seeks where that is not on this machine.

    Returns
    -------
    dict
        ``crop``, in pixels of the camera's frame, ``confidence``, 0 to 1, and ``doubtful``: what speaks against it, for a
        person to judge; empty where nothing does.

    Raises
    ------
    AddressError
        It publishes no pictures.
    DataError
        No face is in them.
    """
    if not pictures:
        raise AddressError("this service publishes no pictures, so no face can be sought in them")
    frames = _frames(rig, pictures)
    images, doubtful = [_image(each) for each in frames], ""
    try:
        found = find_face(_engine(engine), images, BackendSettings(threads=_THREADS))
    except DoubtfulFaceError as doubt:
        found, doubtful = doubt.found, str(doubt)
    crop = _in_frame(found.crop, frames[0])
    return {"crop": crop_map(crop), "confidence": found.confidence, "doubtful": doubtful}


def _frames(rig: ShownRig, pictures: str) -> list[PictureMessage]:
    found: list[PictureMessage] = []
    end_ns = monotonic_ns() + _WITHIN_NS
    with PictureSubscriber(pictures, ("frame",), keys=rig.keys) as subscriber:
        while len(found) < FRAMES and monotonic_ns() < end_ns:
            picture = subscriber.next(0.2)
            if picture is None or (
                found and picture.stamps.exposure_ns - found[-1].stamps.exposure_ns < _APART_NS
            ):
                continue
            if found and (picture.width, picture.height) != (found[0].width, found[0].height):
                found.clear()
            found.append(picture)
    if not found:
        raise AddressError(f"no picture came from {pictures} within {_WITHIN_NS // NS_PER_S} s")
    return found


def _image(picture: PictureMessage) -> Image:
    decoded = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    if decoded is None:
        raise DataError("a picture of the service is none")
    return decoded.astype(np.uint8, copy=False)


def _engine(name: str) -> Engine:
    settings = BackendSettings(threads=_THREADS)
    try:
        return engine_for(name, settings)
    except EngineError:
        return engine_for("default", settings)


def _in_frame(crop: Crop, picture: PictureMessage) -> Crop:
    """Return a crop of a picture in pixels of the camera's frame."""
    across, down = picture.area.width / picture.width, picture.area.height / picture.height
    left, top = round(crop.x * across), round(crop.y * down)
    return Crop(
        picture.area.x + left,
        picture.area.y + top,
        min(round(crop.width * across), picture.frame_width - picture.area.x - left),
        min(round(crop.height * down), picture.frame_height - picture.area.y - top),
        crop.mirrored,
    )
