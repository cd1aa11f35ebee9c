"""A rig whose crop is `auto`: the face is found once, before anything starts."""

from __future__ import annotations

import logging

from rtface.acquire.sampling import rig_frames
from rtface.config import BackendSettings, CameraSettings, CropSettings, Rig
from rtface.core.records import Crop, Image
from rtface.track.facefinder import FRAMES, DoubtfulFaceError, FoundFace, find_face
from rtface.track.store import Engine

_log = logging.getLogger(__name__)
_FIRST_S = 1.0


def with_crop(rig: Rig, engine: Engine) -> tuple[Rig, FoundFace | None]:
    """Return a rig whose crop is in numbers, and the face that was sought for it; None where the crop is not `auto`.

    A camera is opened for its first second and closed again; a recording is read once, from beginning to end.

    Raises
    ------
    CameraError
        The camera cannot be opened.
    DataError
        No face, or more than one.
    UsageError
        The engine has no points that a face is known by.
    """
    if rig.crop != "auto":
        return rig, None
    _, found, doubt = seek_face(rig.camera, engine, rig.backend)
    if doubt is not None:
        raise doubt
    _log.warning("%s", found.in_words())
    return rig.model_copy(update={"crop": crop_settings(found.crop)}), found


def seek_face(
    camera: CameraSettings, engine: Engine, backend: BackendSettings
) -> tuple[list[Image], FoundFace, DoubtfulFaceError | None]:
    """Return a few frames of a camera or a recording, the face in them, and what speaks against it; errors as of `with_crop`.

    A doubtful face is for a person to look at.
    """
    frames = list(rig_frames(camera, FRAMES, _FIRST_S).values())
    try:
        return frames, find_face(engine, frames, backend), None
    except DoubtfulFaceError as doubt:
        return frames, doubt.found, doubt


def crop_settings(crop: Crop) -> CropSettings:
    """Return a crop as a rig's file has it."""
    return CropSettings(x=crop.x, y=crop.y, width=crop.width, height=crop.height, mirrored=crop.mirrored)
