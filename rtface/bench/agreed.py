"""The parity that arming requires, measured on a simulated camera's own frames where there is no record of it."""

from __future__ import annotations

from rtface.config import BackendSettings, CameraSettings, SimulatedCameraSettings
from rtface.core.errors import EngineError
from rtface.track.backends.factory import make_backend
from rtface.track.parity import require_parity, store_parity
from rtface.track.store import Engine

_FRAMES = 60


def ensure_parity(engine: Engine, settings: BackendSettings, camera: CameraSettings) -> None:
    """Hold an engine against its reference, unless its record is there.

    Parameters
    ----------
    engine : Engine
    settings : BackendSettings
        What runs it.
    camera : CameraSettings
        A simulated one gives the frames; for another the user must have run `rtface engines verify`.

    Raises
    ------
    EngineError
        It does not agree, or there is no record and no simulated camera.
    """
    backend = make_backend(engine, settings)
    try:
        info = backend.open()
    finally:
        backend.close()
    try:
        require_parity(engine, info)
    except EngineError:
        if not isinstance(camera, SimulatedCameraSettings):
            raise
        from rtface.acquire.sampling import rig_frames
        from rtface.track.verify import verify

        comparison, record = verify(engine, settings, rig_frames(camera, _FRAMES), "the simulated mouse")
        store_parity(record, comparison.sample)
        require_parity(engine, info)
