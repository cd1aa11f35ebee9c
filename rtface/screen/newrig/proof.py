"""The stored proof that a rig's engine runs here as it was made, whoever had it made: this page, the page Teach, a terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath

from rtface.config import BackendSettings, Rig
from rtface.screen.newrig.places import RigPlaces
from rtface.track.backends.factory import engine_for
from rtface.track.parity import LIMITS, ParityRecord, records_of


def stored_proof(rig: Rig) -> ParityRecord | None:
    """Return the newest parity record of a rig's engine that its back end's settings allow; None where there is none.

    No network is opened for it: whether what runs the engine is still the same to the letter, `rtface check` and arming see.

    Raises
    ------
    EngineError, BackendError
        The engine is missing or damaged.
    """
    engine = engine_for(rig.engine, rig.backend)
    found = [
        each
        for each in records_of(engine.sha256)
        if each.preprocessing_sha256 == engine.manifest.preprocessing_sha256
        and each.limits == LIMITS
        and _allows(rig.backend, each)
    ]
    return max(found, key=lambda each: datetime.fromisoformat(each.date), default=None)


def is_of(proof: ParityRecord, places: RigPlaces, rig: Rig) -> bool:
    """Return whether a proof was made on pictures of a rig, with its crop: of its camera, or of what it plays or recorded."""
    recording = places.recording(rig)
    sources = {f"the camera of {places.path.name}", PurePosixPath(recording).name if recording else ""}
    frames, box = proof.frames, rig.fixed_crop
    if box is not None:
        fits = frames.crop == (box.x, box.y, box.width, box.height)
    else:
        fits = rig.crop is not None or frames.crop == (0, 0, frames.width, frames.height)
    return frames.source in sources and fits


def _allows(settings: BackendSettings, record: ParityRecord) -> bool:
    ran = record.ran
    return (
        settings.name in ("auto", ran.name)
        and settings.precision in ("engine", ran.precision)
        and (settings.device is None or ran.device.startswith(settings.device))
    )
