"""What the back ends on a GPU have in common: frames in locked memory, and one path from a frame to its keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from rtface.core.errors import BackendError
from rtface.core.records import FloatArray, Image
from rtface.track.backends.base import DeviceStage
from rtface.track.gpu.driver.lost import why_lost
from rtface.track.gpu.exclusive import alone
from rtface.track.gpu.locked_frames import LockedFrames
from rtface.track.store import Engine

if TYPE_CHECKING:
    from rtface.config import BackendSettings

WARM_UP_RUNS = 10


class GpuPath(Protocol):
    """What runs for frames of one shape and a crop of them."""

    staging: Image
    """Locked memory for a frame that lies in memory of another kind."""

    @property
    def recorded(self) -> bool:
        """Whether all work after the copy of the frame is one graph."""

    def run(self, frame: Image) -> FloatArray:
        """Return the keypoints of a frame in locked memory; borrowed until the next call."""

    def itemise(self) -> Mapping[DeviceStage, int]:
        """Return what each stage of the frame in `staging` took on the GPU, in nanoseconds."""


_Path = TypeVar("_Path", bound=GpuPath)


class GpuBackend(Generic[_Path]):
    """A back end on a GPU, but for what opens, prepares and closes it.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    settings : BackendSettings
        Precision and device (``cuda:1``; the first GPU when absent).
    why : str
        Why this back end was chosen, for the record.
    """

    computes_levels = True

    def __init__(self, engine: Engine, settings: BackendSettings, why: str) -> None:
        self._engine = engine
        self._settings = settings
        self._why = why
        self._frames: LockedFrames | None = None
        self._path: _Path | None = None
        self.plan: str | None = None

    def host_memory(self, shape: tuple[int, int]) -> Image:
        """Return memory with locked pages, which the GPU copies from directly."""
        with alone():
            return self._locked().lend(shape)

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        """Copy the frame to the GPU, run everything there and wait for the keypoints."""
        path = self._prepared()
        if frame.shape != path.staging.shape:
            raise BackendError(
                f"the back end was prepared for frames of {path.staging.shape}, not {frame.shape}"
            )
        if not self._locked().holds(frame):
            path.staging[:] = frame
            frame = path.staging
        self._make_current()
        return path.run(frame)

    def _make_current(self) -> None:
        """Have what is called be for this back end's GPU, where that does not come by itself."""

    def itemise(self, frame: Image) -> Mapping[DeviceStage, int]:
        """Run one frame and return what each stage took on the GPU, in nanoseconds."""
        path = self._prepared()
        path.staging[:] = frame
        with alone():
            self._make_current()
            return path.itemise()

    def _locked(self) -> LockedFrames:
        if self._frames is None:
            raise BackendError("the back end is not open")
        return self._frames

    def _prepared(self) -> _Path:
        if self._path is None:
            raise BackendError("the back end was not prepared for frames of any shape")
        if why := why_lost():
            raise BackendError(why)
        return self._path
