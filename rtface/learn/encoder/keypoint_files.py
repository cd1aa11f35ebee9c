"""Keypoint files as an encoder takes them: a row a frame, and the frames' times where the file has them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.labels.formats.plainpickle import read_npy_object
from rtface.record import formats
from rtface.record.table import NO_TIME

Seconds = NDArray[np.float64]

MOST_FILLED = 3
"""Rows for each frame that is there from which lost frames are taken for an error."""


def read_keypoints(path: Path) -> tuple[tuple[str, ...], FloatArray, Seconds | None]:
    """Read keypoints with one row a frame, lost frames among them.

    Parameters
    ----------
    path : Path
        Any keypoint file that rtface reads, Facemap's filtered keypoints (npy), or an npz file with ``keypoints`` (T, K, 2),
        ``keypoint_names`` and, if it has them, ``tcam``.

    Returns
    -------
    names : tuple of str
        K of them.
    xy : ndarray, shape (T, K, 2), float32
        Pixels; NaN where a point is not known or the frame was lost.
    times : ndarray, shape (T,), float64, or None
        Seconds, where the file has them.

    Raises
    ------
    DataError
        The file cannot be read, or its frames are not in order; it is named with what is wrong.
    """
    begin = _first_bytes(path)
    if begin.startswith(b"PK") or path.suffix == ".npz":
        return _read_npz(path)
    if begin == b"\x93NUMPY" or path.suffix == ".npy":
        kept = read_npy_object(path)
        xy = kept.get("xy") if isinstance(kept, dict) else None
        names = kept.get("keypoint_labels") if isinstance(kept, dict) else None
        if not isinstance(xy, np.ndarray) or xy.ndim != 3 or xy.shape[2] != 2 or names is None:
            raise DataError(f"{path}: not filtered keypoints of Facemap: xy and keypoint_labels are missing")
        if len(names) != xy.shape[1]:
            raise DataError(f"{path}: keypoint_labels names {len(names)} points, but xy has {xy.shape[1]}")
        return tuple(map(str, names)), xy.astype(np.float32), None
    table = formats.read(path)
    row = table.frame_id - table.frame_id[0] if len(table.frame_id) else table.frame_id
    if len(row) < 2:
        raise DataError(f"{path} has {len(row)} frames: too few to train on")
    if (np.diff(row) < 1).any():
        raise DataError(f"{path}: frame_id does not rise")
    if row[-1] >= MOST_FILLED * len(row):
        raise DataError(
            f"{path}: frame_id says that {row[-1] + 1 - len(row)} of {row[-1] + 1} frames are lost"
        )
    xy = np.full((int(row[-1]) + 1, len(table.names), 2), np.nan, np.float32)
    xy[row] = table.xy
    times = None
    for clock in (table.camera_ns, table.exposure_ns):
        if times is None and not (clock == NO_TIME).any() and (np.diff(clock) > 0).all():
            times = np.interp(np.arange(len(xy)), row, clock * 1e-9)
    return table.names, xy, times


def _first_bytes(path: Path) -> bytes:
    """Return what tells numpy's files; nothing of a file that cannot be read, which its reader says."""
    try:
        with path.open("rb") as file:
            return file.read(6)
    except OSError:
        return b""


def _read_npz(path: Path) -> tuple[tuple[str, ...], FloatArray, Seconds | None]:
    """Return names, places and times of an npz file with ``keypoints`` (T, K, 2), ``keypoint_names`` and ``tcam``."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = {
                name: kept[name] for name in ("keypoints", "keypoint_names", "tcam") if name in kept.files
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if missing := [name for name in ("keypoints", "keypoint_names") if name not in arrays]:
        raise DataError(f"{path} has no field {missing[0]}: an npz file of keypoints has it")
    xy, names = arrays["keypoints"], tuple(str(name) for name in arrays["keypoint_names"].ravel())
    if xy.ndim != 3 or xy.shape[1:] != (len(names), 2) or xy.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: keypoints has the shape {xy.shape}, but keypoint_names has {len(names)} names"
        )
    times = arrays.get("tcam")
    return names, xy.astype(np.float32), times if times is None or len(times) == len(xy) else None
