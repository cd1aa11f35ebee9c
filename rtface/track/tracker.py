"""From a frame to a pose: levels, network, geometry, flags, stamps."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import cv2
import numpy as np

from rtface.core.clock import Clock
from rtface.core.errors import UsageError
from rtface.core.geometry import NetworkFrame, check_crop, outside, seen_mirrored, whole_frame
from rtface.core.records import Crop, FloatArray, FrameMeta, Image, Pose, Stamps
from rtface.track.backends.base import Backend, BackendInfo
from rtface.track.gray_levels import levels
from rtface.track.recheck import Recheck, recheck
from rtface.track.store import Engine
from rtface.track.view import read_view
from rtface.track.viewcheck import ViewCheck

_NO_LEVELS = np.zeros(2, np.float32)
_WORD = 8
_LAST_PICTURES = 32
"""A driver that is stuck shows one buffer again and again, or all that it has in turn."""


def checksum(frame: Image, crop: Crop) -> int:
    """Return the sum of a crop's pixels as 64-bit words: for one picture the same, for any other almost surely another.

    The last columns of a crop that are less than a word are left out.

    Parameters
    ----------
    frame : ndarray, shape (height, width), uint8
        The whole camera frame.
    crop : Crop
    """
    width = crop.width - crop.width % _WORD
    rows = frame[crop.y : crop.y + crop.height, crop.x : crop.x + width]
    if rows.strides[1] != 1:
        rows = np.ascontiguousarray(rows)
    return int(rows.view(np.uint64).sum())


class Tracker:
    """Finds the keypoints of one camera's frames; used by one thread.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    backend : Backend
        What runs it; opened and closed by the tracker.
    clock : Clock
        Source of the stamps.

    Raises
    ------
    EngineError
        The view that the engine keeps is damaged or not its own.
    """

    def __init__(self, engine: Engine, backend: Backend, clock: Clock) -> None:
        self._engine = engine
        self._backend = backend
        self._clock = clock
        self._trained = np.array([entry.trained for entry in engine.manifest.keypoints])
        self._all_trained = bool(self._trained.all())
        self._has_likelihood = "likelihood" in engine.manifest.decode.columns
        view = read_view(engine)
        self._view = None if view is None else ViewCheck(view, engine.manifest.names)
        self._info: BackendInfo | None = None
        self._width = self._height = 0
        self._frame = NetworkFrame(Crop(0, 0, 1, 1), 1, True)
        self._mirror: Image | None = None
        self._pictures: deque[int] = deque(maxlen=_LAST_PICTURES)
        self._same_pictures = 1
        self._recheck = Recheck()

    @property
    def engine(self) -> Engine:
        """The engine that is run."""
        return self._engine

    @property
    def crop(self) -> Crop:
        """The part of the camera frame that the network is shown."""
        return self._frame.crop

    @property
    def scale(self) -> float:
        """Camera pixels to a pixel of the network's input."""
        return self._frame.scale

    @property
    def backend(self) -> BackendInfo:
        """What runs the network, with its plan once `prepare` was called; `UsageError` before `open`."""
        if self._info is None:
            raise UsageError("the tracker has not been opened")
        return replace(self._info, plan=self._backend.plan)

    @property
    def recheck(self) -> Recheck:
        """How the frames of the parity record came out when the back end was last prepared."""
        return self._recheck

    @property
    def keeps_view(self) -> bool:
        """Whether the engine can tell a view that it knows."""
        return self._view is not None

    def open(self) -> BackendInfo:
        """Open the back end; raises what `Backend.open` raises."""
        self._info = self._backend.open()
        return self._info

    def host_memory(self, shape: tuple[int, int]) -> Image:
        """Return memory for one frame of the kind the back end reads fastest."""
        return self._backend.host_memory(shape)

    def prepare(self, frame_shape: tuple[int, int], crop: Crop | None) -> None:
        """Fit the network to frames of one shape, (height, width), and a crop of them (None: the whole frame).

        The frames of the parity record are run once, if there are some: `recheck` tells how they came out.

        Raises
        ------
        UsageError
            The crop reaches beyond the frame; the crop in force stays.
        """
        height, width = frame_shape
        wanted = check_crop(crop or whole_frame(width, height), width, height)
        shown = seen_mirrored(wanted, width) if wanted.mirrored else wanted
        self._backend.prepare(frame_shape, shown)
        self._mirror = np.zeros(frame_shape, np.uint8) if wanted.mirrored else None
        self._width, self._height = width, height
        self._frame = self._engine.manifest.network_frame(wanted)
        if self._info is not None:
            self._recheck = recheck(self._engine, self.backend, frame_shape, shown, self._find, wanted)

    def track(self, frame: Image, meta: FrameMeta, taken_ns: int) -> Pose:
        """Find the keypoints of one frame.

        Parameters
        ----------
        frame : ndarray, shape (height, width), uint8
            The whole camera frame; not kept.
        meta : FrameMeta
            Its identity and times.
        taken_ns : int
            When it was taken out of the ring.
        """
        level = self._levels(frame)
        picture = checksum(frame, self._frame.crop)
        self._same_pictures = self._same_pictures + 1 if picture in self._pictures else 1
        self._pictures.appendleft(picture)
        if self._mirror is not None:
            cv2.flip(frame, 1, self._mirror)
            frame = self._mirror
        prepared_ns = self._clock.now_ns()
        found = self._backend.infer(frame, level)
        inferred_ns = self._clock.now_ns()
        view_ok = math.nan if self._view is None else float(np.float32(self._view.view_ok(found)))
        xy = self._frame.to_camera(found[:, :2])
        score, likelihood = self._scores(found)
        if not self._all_trained:
            xy[~self._trained] = np.nan
            score[~self._trained] = 0.0
        beyond = outside(xy, self._width, self._height)
        stamps = Stamps(
            meta.exposure_ns, meta.arrival_ns, taken_ns, prepared_ns, inferred_ns, self._clock.now_ns()
        )
        return Pose(meta, stamps, xy, score, beyond, likelihood, self._same_pictures, view_ok)

    def close(self) -> None:
        """Close the back end."""
        self._backend.close()

    def _levels(self, frame: Image) -> FloatArray:
        spec = self._engine.manifest.normalise
        return (
            _NO_LEVELS if self._backend.computes_levels else levels(frame, spec.low, spec.high, spec.row_step)
        )

    def _find(self, frame: Image) -> FloatArray:
        return self._backend.infer(frame, self._levels(frame))

    def _scores(self, found: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        return found[:, 2].copy(), found[:, 3].copy() if self._has_likelihood else None
