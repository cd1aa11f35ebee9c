"""Keypoints of a whole recording in memory, and the builder that gathers them frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import UsageError
from rtface.core.records import FloatArray, Pose

NO_TIME = -1
"""Stands in the times of a `PoseTable` where they are not known."""

_Kind = TypeVar("_Kind", bound=np.generic)

_FIRST_ROWS = 1024
_MOST_ROWS_AT_ONCE = 1_000_000


@dataclass(frozen=True, eq=False)
class PoseTable:
    """The keypoints of N frames, K to a frame.

    Attributes
    ----------
    names : tuple of str, length K
        The keypoints; no two alike, none empty.
    trained : tuple of bool, length K
        Whether the network was trained to find the keypoint.
    xy : ndarray, shape (N, K, 2), float32
        x and y in pixels of the full camera frame (`rtface.core.records`); NaN for a keypoint never trained.
    score : ndarray, shape (N, K), float32
        Its meaning is `score_definition`; 0 for a keypoint never trained.
    outside : ndarray, shape (N, K), bool
        The point lies outside the camera frame. All False where a file does not hold it.
    frame_id : ndarray, shape (N,), int64
        Number of the frame, as the camera or the video counts.
    exposure_ns, arrival_ns : ndarray, shape (N,), int64
        Nanoseconds of the host's monotonic clock, as in `rtface.core.records.FrameMeta`; `NO_TIME` where not known.
        Of a video that was not played at its own pace it is when it was read, not when it was filmed.
    camera_ns : ndarray, shape (N,), int64
        Nanoseconds of the camera's own clock, or since the first frame of a video: the time axis of a recording.
        `NO_TIME` where not known.
    likelihood : ndarray, shape (N, K), float32, or None
        Facemap's legacy likelihood, from engines that have one.
    published_ns : ndarray, shape (N,), int64, or None
        When the pose had been published, on the clock of `exposure_ns`; `NO_TIME` where not known. None where poses
        were not published.
    source : str
        Path or label of the video or the camera.
    engine : str
        Id of the engine that found the keypoints.
    score_definition : str
        What the score means, from the engine's manifest.
    provenance : mapping of str to str
        Whatever else is to be kept: versions, hashes, settings.
    first_frame : int
        Number of the frame that is row 0 of files whose rows are frame numbers: 0 for a video file, the number
        of the first recorded frame for a camera that counts from elsewhere.
    view_ok : ndarray, shape (N,), float32, or None
        As of `rtface.core.records.Pose`; NaN where not known, None where no frame has it.

    Raises
    ------
    UsageError
        A shape or a dtype is not as above, a name is empty or twice there, or a keypoint that was never
        trained has coordinates or a score.
    """

    names: tuple[str, ...]
    trained: tuple[bool, ...]
    xy: FloatArray
    score: FloatArray
    outside: NDArray[np.bool_]
    frame_id: NDArray[np.int64]
    exposure_ns: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    camera_ns: NDArray[np.int64]
    likelihood: FloatArray | None = None
    published_ns: NDArray[np.int64] | None = None
    source: str = ""
    engine: str = ""
    score_definition: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    first_frame: int = 0
    view_ok: FloatArray | None = None

    def __post_init__(self) -> None:
        _check_names(self.names, self.trained)
        rows, points = len(self.frame_id), len(self.names)
        for name, dtype, shape in (
            ("xy", np.float32, (rows, points, 2)),
            ("score", np.float32, (rows, points)),
            ("outside", np.bool_, (rows, points)),
            ("likelihood", np.float32, (rows, points)),
            ("frame_id", np.int64, (rows,)),
            ("exposure_ns", np.int64, (rows,)),
            ("arrival_ns", np.int64, (rows,)),
            ("camera_ns", np.int64, (rows,)),
            ("published_ns", np.int64, (rows,)),
            ("view_ok", np.float32, (rows,)),
        ):
            array = getattr(self, name)
            if array is None and name in ("likelihood", "published_ns", "view_ok"):
                continue
            if array.shape != shape or array.dtype != dtype:
                raise UsageError(
                    f"PoseTable.{name} is {array.dtype} of shape {array.shape}, "
                    f"not {np.dtype(dtype)} of shape {shape}"
                )
        never = ~np.asarray(self.trained, dtype=bool)
        if np.isfinite(self.xy[:, never]).any() or self.score[:, never].any():
            raise UsageError("PoseTable: a keypoint that was never trained has coordinates or a score")

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frame_id)


class PoseTableBuilder:
    """Gathers poses into arrays that double when they are full, so that appending a frame is a few copies.

    Parameters
    ----------
    names, trained : sequence
        The keypoints, as in `PoseTable`.
    expected : int or None
        How many frames will come, where that is known; more or fewer may.

    Raises
    ------
    UsageError
        A name is empty or twice there, or the two lengths differ.
    """

    def __init__(self, names: Sequence[str], trained: Sequence[bool], expected: int | None) -> None:
        self._names, self._trained = tuple(names), tuple(bool(each) for each in trained)
        _check_names(self._names, self._trained)
        rows = min(max(1, _FIRST_ROWS if expected is None else expected), _MOST_ROWS_AT_ONCE)
        points = len(self._names)
        self._count = 0
        self._xy: FloatArray = np.empty((rows, points, 2), np.float32)
        self._score: FloatArray = np.empty((rows, points), np.float32)
        self._outside: NDArray[np.bool_] = np.empty((rows, points), np.bool_)
        self._times: NDArray[np.int64] = np.empty((4, rows), np.int64)
        self._likelihood: FloatArray | None = None
        self._views: FloatArray = np.empty(rows, np.float32)

    def __len__(self) -> int:
        """Return the number of frames so far."""
        return self._count

    def append(self, pose: Pose) -> None:
        """Copy one frame's keypoints to the end.

        Raises
        ------
        UsageError
            The pose has another number of keypoints, or has a legacy likelihood where the earlier ones had
            none, or the other way round. The table stays as it was.
        """
        row, points = self._count, len(self._names)
        legacy = pose.likelihood
        if (
            pose.xy.shape != (points, 2)
            or pose.score.shape != (points,)
            or pose.outside.shape != (points,)
            or (legacy is not None and legacy.shape != (points,))
        ):
            raise UsageError(
                f"frame {pose.frame.frame_id}: keypoints of shape {pose.xy.shape} for a table of {points}"
            )
        if row == 0:
            self._likelihood = None if legacy is None else np.empty_like(self._score)
        elif (legacy is None) != (self._likelihood is None):
            raise UsageError(
                f"frame {pose.frame.frame_id}: some poses of one table have a legacy likelihood and some have not"
            )
        if row == len(self._score):
            self._grow()
        self._xy[row] = pose.xy
        self._score[row] = pose.score
        self._outside[row] = pose.outside
        self._times[0, row] = pose.frame.frame_id
        self._times[1, row] = pose.frame.exposure_ns
        self._times[2, row] = pose.frame.arrival_ns
        self._times[3, row] = NO_TIME if pose.frame.camera_ns is None else pose.frame.camera_ns
        if legacy is not None and self._likelihood is not None:
            self._likelihood[row] = legacy
        self._views[row] = pose.view_ok
        self._count = row + 1

    def build(
        self,
        *,
        source: str = "",
        engine: str = "",
        score_definition: str = "",
        provenance: Mapping[str, str] | None = None,
        first_frame: int = 0,
    ) -> PoseTable:
        """Return the table so far, keypoints never trained set to NaN and score 0.

        The arrays are read-only views of the builder's; poses appended later do not change them. The
        parameters are attributes of `PoseTable`.
        """
        rows = slice(0, self._count)
        never = ~np.asarray(self._trained, dtype=bool)
        self._xy[rows, never] = np.nan
        self._score[rows, never] = 0
        self._outside[rows, never] = False
        frame_id, exposure_ns, arrival_ns, camera_ns = (_frozen(times) for times in self._times[:, rows])
        return PoseTable(
            names=self._names,
            trained=self._trained,
            xy=_frozen(self._xy[rows]),
            score=_frozen(self._score[rows]),
            outside=_frozen(self._outside[rows]),
            frame_id=frame_id,
            exposure_ns=exposure_ns,
            arrival_ns=arrival_ns,
            camera_ns=camera_ns,
            likelihood=None if self._likelihood is None else _frozen(self._likelihood[rows]),
            source=source,
            engine=engine,
            score_definition=score_definition,
            provenance=dict(provenance or {}),
            first_frame=first_frame,
            view_ok=None if np.isnan(self._views[rows]).all() else _frozen(self._views[rows]),
        )

    def _grow(self) -> None:
        more = len(self._score)
        self._xy = _longer(self._xy, more)
        self._score = _longer(self._score, more)
        self._outside = _longer(self._outside, more)
        self._views = _longer(self._views, more)
        self._times = np.concatenate([self._times, np.empty_like(self._times)], axis=1)
        if self._likelihood is not None:
            self._likelihood = _longer(self._likelihood, more)


def _check_names(names: tuple[str, ...], trained: tuple[bool, ...]) -> None:
    if len(names) != len(trained):
        raise UsageError(f"{len(names)} keypoint names but {len(trained)} values of trained")
    if len(set(names)) != len(names) or "" in names:
        raise UsageError(f"keypoint names must differ and not be empty: {', '.join(map(repr, names))}")


def _longer(array: NDArray[_Kind], rows: int) -> NDArray[_Kind]:
    longer: NDArray[_Kind] = np.empty((len(array) + rows, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


def _frozen(array: NDArray[_Kind]) -> NDArray[_Kind]:
    view = array.view()
    view.flags.writeable = False
    return view
