"""A recording for an encoder: what the face did, what the neurons did, and when.

Neural data are as Facemap takes them: an npz file with ``spks`` (neurons x samples) and, if it has them, ``tneural``,
``tcam``, ``xpos``, ``ypos``, ``run``; or an npy file of the matrix alone. Keypoints are any file that rtface reads, or
Facemap's filtered ones (npy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.traces import Traces
from rtface.core.errors import DataError, UsageError
from rtface.core.files import file_hash
from rtface.core.records import FloatArray
from rtface.encode.grid import rows_of
from rtface.learn.encoder.arrays import npz_fields, read_flag, read_matrix, read_vector
from rtface.learn.encoder.keypoint_files import MOST_FILLED, Seconds, read_keypoints

EXCLUDED = ("paw",)
"""Keypoints that are not taken unless asked for: the paw is behaviour, but not of the face."""

_OFF = 0.01
"""Share by which the number of camera times may differ from that of frames before it is an error."""


@dataclass(frozen=True, eq=False)
class Recording:
    """The face at a camera's rate, neurons at theirs, on one clock.

    Attributes
    ----------
    keypoints, extras : tuple of str
        K points and E other inputs.
    raw : ndarray, shape (T, 2 K + E), float32
        x0, y0, x1, ... in pixels, then the extras; NaN: not known. Lost frames are rows of NaN, so rows are evenly
        spaced in time.
    frame_times : ndarray, shape (T,), float64
        Seconds.
    neurons : ndarray or StoredTraces, shape (N, S), float32
    neural_times : ndarray, shape (S,), float64
        Seconds, on the same clock.
    positions : ndarray, shape (N, 2), float64, or None
        Of the neurons, in the file's unit (micrometres in Facemap's).
    sources : mapping of str to mapping
        For each file its name, size and SHA-256.
    remarks : tuple of str
        What had to be corrected.
    simulated : bool
        The neural file says that its neurons are simulated.
    """

    keypoints: tuple[str, ...]
    extras: tuple[str, ...]
    raw: FloatArray
    frame_times: Seconds
    neurons: Traces
    neural_times: Seconds
    positions: NDArray[np.float64] | None
    sources: Mapping[str, Mapping[str, Any]]
    remarks: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return float(1 / np.median(np.diff(self.frame_times)))

    @property
    def neural_rate(self) -> float:
        """Neural samples a second."""
        return float(1 / np.median(np.diff(self.neural_times)))

    def frames_at(self, delay_s: float) -> NDArray[np.int64]:
        """Return for each neural sample the newest frame that is at least `delay_s` seconds older; -1: none is."""
        # A nanosecond in favour of the frame: times on a grid are equal but for rounding.
        return np.searchsorted(self.frame_times, self.neural_times - delay_s + 1e-9, side="right") - 1


@dataclass(frozen=True, slots=True)
class RecordingFiles:
    """Where a recording's parts are found.

    Attributes
    ----------
    keypoints, neurons : Path
    frame_times, neural_times : Path, optional
        Files of seconds; else what the neural file says, the keypoint file's camera times, or the rates.
    frame_rate, neural_rate : float, optional
        Of evenly spaced samples that begin together; where no times are known.
    exclude : sequence of str
        Keypoints not to use.
    rate : float, optional
        Rows a second, where there are to be fewer than frames: chosen as the stream chooses them.
    extras : mapping of str to Path or None
        Further inputs, each a file, or None for a field of the neural file: one value a frame, or one a
        neural sample that is held until the next.
    """

    keypoints: Path
    neurons: Path
    frame_times: Path | None = None
    neural_times: Path | None = None
    frame_rate: float | None = None
    neural_rate: float | None = None
    rate: float | None = None
    exclude: Sequence[str] = EXCLUDED
    extras: Mapping[str, Path | None] | None = None


def read_recording(files: RecordingFiles) -> Recording:
    """Read a recording and bring its parts onto one clock.

    Raises
    ------
    DataError
        A file or a field cannot be read or does not fit the others; both are named.
    UsageError
        Times are not known and no rate was given, or there are fewer frames than rows were asked for.
    """
    remarks: list[str] = []
    names, xy, own_times = read_keypoints(files.keypoints)
    used = _usable(names, xy, files, remarks)
    fields = npz_fields(files.neurons)
    neurons = read_matrix(files.neurons, "spks" if fields else None)
    neural_times = _neural_times(files, fields, neurons.shape)
    frame_times = _frame_times(files, fields, len(xy), own_times, remarks)
    extras = dict(files.extras or {})
    columns = [xy[:, used].reshape(len(xy), -1)]
    columns += [
        _extra(name, path, files.neurons, frame_times, neural_times)[:, None] for name, path in extras.items()
    ]
    raw = np.concatenate(columns, axis=1)
    if files.rate is None:
        raw, frame_times = evenly(raw, frame_times, files.keypoints.name, remarks)
    else:
        raw, frame_times = _rows(raw, 2 * len(used), frame_times, files.rate, files.keypoints, remarks)
    if frame_times[0] > neural_times[-1] or frame_times[-1] < neural_times[0]:
        raise DataError(
            f"{files.keypoints} (from {frame_times[0]:.1f} to {frame_times[-1]:.1f} s) and {files.neurons} "
            f"(from {neural_times[0]:.1f} to {neural_times[-1]:.1f} s) share no time: their clocks differ"
        )
    paths = [files.keypoints, files.neurons, files.frame_times, files.neural_times, *extras.values()]
    return Recording(
        keypoints=tuple(names[index] for index in used),
        extras=tuple(extras),
        raw=raw,
        frame_times=frame_times,
        neurons=neurons,
        neural_times=neural_times,
        positions=_positions(files.neurons, fields, len(neurons)),
        sources={str(path): _source(path) for path in paths if path is not None},
        remarks=tuple(remarks),
        simulated="simulated" in fields and read_flag(files.neurons, "simulated"),
    )


def _usable(names: Sequence[str], xy: FloatArray, files: RecordingFiles, remarks: list[str]) -> list[int]:
    """Return the numbers of the points to use: those not excluded that were ever seen."""
    if unknown := [name for name in files.exclude if name not in names and name not in EXCLUDED]:
        raise UsageError(
            f"{files.keypoints} has no keypoint {unknown[0]!r} to exclude; it has {', '.join(names)}"
        )
    wanted = [index for index, name in enumerate(names) if name not in files.exclude]
    seen = [index for index in wanted if np.isfinite(xy[:, index]).all(axis=1).any()]
    if blind := [names[index] for index in wanted if index not in seen]:
        remarks.append(f"never seen in {files.keypoints.name} and not used: {', '.join(blind)}")
    if not seen:
        raise DataError(f"{files.keypoints} has no keypoint to use: none was ever seen")
    return seen


def _neural_times(files: RecordingFiles, fields: Sequence[str], shape: tuple[int, ...]) -> Seconds:
    neurons, samples = shape
    if files.neural_times is not None:
        times, named = read_vector(files.neural_times), str(files.neural_times)
    elif "tneural" in fields:
        times, named = read_vector(files.neurons, "tneural"), f"{files.neurons}: tneural"
    elif files.neural_rate is not None:
        return np.arange(samples) / files.neural_rate
    else:
        raise UsageError(f"{files.neurons} has no tneural: give the neural samples' times or their rate")
    if len(times) != samples:
        turned = " (the matrix is neurons x samples: is it turned round?)" if len(times) == neurons else ""
        raise DataError(
            f"{named} has {len(times)} times, but {files.neurons} has {samples} samples of {neurons} neurons"
            f"{turned}"
        )
    return _rising(times, named)


def _frame_times(
    files: RecordingFiles, fields: Sequence[str], frames: int, own: Seconds | None, remarks: list[str]
) -> Seconds:
    if files.frame_times is not None:
        times, named = read_vector(files.frame_times), str(files.frame_times)
    elif "tcam" in fields:
        times, named = read_vector(files.neurons, "tcam"), f"{files.neurons}: tcam"
    elif files.frame_rate is not None:
        return np.arange(frames) / files.frame_rate
    elif own is not None:
        remarks.append(
            f"the frames' times are those of {files.keypoints.name}, taken to be on the neurons' clock"
        )
        return own
    else:
        raise UsageError(f"{files.keypoints} has no times: give the frames' times or their rate")
    times = _rising(times, named)
    if len(times) == frames:
        return times
    if abs(len(times) - frames) > _OFF * frames:
        raise DataError(f"{named} has {len(times)} times, but {files.keypoints} has {frames} frames")
    remarks.append(
        f"{named} has {len(times)} times for {frames} frames: spread evenly over them, as Facemap does"
    )
    place = np.linspace(0, len(times) - 1, frames)
    return np.interp(place, np.arange(len(times)), times)


def _rising(times: Seconds, named: str) -> Seconds:
    if len(times) < 2 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise DataError(f"{named} are not rising seconds")
    return times


def _extra(
    name: str, path: Path | None, neurons: Path, frame_times: Seconds, neural_times: Seconds
) -> FloatArray:
    values = read_vector(neurons, name) if path is None else read_vector(path)
    if len(values) == len(frame_times):
        return values.astype(np.float32)
    if abs(len(values) - len(neural_times)) <= 1:
        held = np.searchsorted(neural_times[: len(values)], frame_times, side="right") - 1
        return np.where(held < 0, np.nan, values[np.maximum(held, 0)]).astype(np.float32)
    raise DataError(
        f"{path or neurons}: {name} has {len(values)} values; it needs one a frame ({len(frame_times)}) or one a "
        f"neural sample ({len(neural_times)})"
    )


def evenly(values: FloatArray, times: Seconds, named: str, remarks: list[str]) -> tuple[FloatArray, Seconds]:
    """Put a row of NaN where the times say that frames were lost.

    Raises
    ------
    DataError
        More frames would be lost than there are.
    """
    interval = float(np.median(np.diff(times)))
    steps = np.maximum(np.round(np.diff(times) / interval).astype(np.int64), 1)
    row = np.concatenate([[0], np.cumsum(steps)])
    lost = int(row[-1]) + 1 - len(row)
    if not lost:
        return values, times
    if row[-1] >= MOST_FILLED * len(row):
        raise DataError(f"the frames' times of {named} say that {lost} frames were lost: more than there are")
    remarks.append(f"{lost} frames are missing between the times of {named}: they count as not seen")
    filled = np.full((int(row[-1]) + 1, values.shape[1]), np.nan, np.float32)
    filled[row] = values
    return filled, np.interp(np.arange(len(filled)), row, times)


def _rows(
    values: FloatArray, coordinates: int, times: Seconds, rate: float, path: Path, remarks: list[str]
) -> tuple[FloatArray, Seconds]:
    """Return the rows that the stream would see at a lower rate; rows between two of its streams are not seen."""
    there = np.isfinite(values[:, :coordinates]).any(
        axis=1
    )  # the others were lost: the stream never gets them
    values, times = values[there], times[there]
    camera_hz = float(1 / np.median(np.diff(times)))
    parts = rows_of(values, np.round(times * 1e9).astype(np.int64), rate, camera_hz)
    frames: list[NDArray[np.int64]] = []
    for _, part in parts:
        if frames:
            lost = round((times[part[0]] - times[frames[-1][-1]]) * rate) - 1
            frames.append(np.full(max(0, lost), -1))
        frames.append(part)
    chosen = np.concatenate(frames)
    seen = np.flatnonzero(chosen >= 0)
    rows = np.full((len(chosen), values.shape[1]), np.nan, np.float32)
    rows[seen] = values[chosen[seen]]
    remarks.append(f"{len(values)} frames of {path.name} became {len(rows)} rows at {rate:g} a second")
    return rows, np.interp(np.arange(len(rows)), seen, times[chosen[seen]])


def _positions(path: Path, fields: Sequence[str], neurons: int) -> NDArray[np.float64] | None:
    if not {"xpos", "ypos"} <= set(fields):
        return None
    x, y = (read_vector(path, field) for field in ("xpos", "ypos"))
    if not len(x) == len(y) == neurons:
        raise DataError(f"{path}: xpos and ypos have {len(x)} and {len(y)} values for {neurons} neurons")
    return np.stack([x, y], axis=1)


def _source(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_hash(path)}
