"""The stored proof that a rig's engine runs here as it was made, whoever had it made: this page, the page Teach, a terminal."""

from __future__ import annotations

from datetime import datetime

from rtface.config import BackendSettings, Rig
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


def _allows(settings: BackendSettings, record: ParityRecord) -> bool:
    ran = record.ran
    return (
        settings.name in ("auto", ran.name)
        and settings.precision in ("engine", ran.precision)
        and (settings.device is None or ran.device.startswith(settings.device))
    )
