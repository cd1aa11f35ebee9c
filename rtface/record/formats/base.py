"""What all keypoint formats share: the protocol, atomic files, HDF5 with our errors, rows that are frame numbers.

HDF5 files are built in memory and written as plain bytes: on a full disk the HDF5 library fails late, in ways
that pandas hides, whereas a plain write fails at once and cleanly.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError, UsageError
from rtface.core.files import temporary_name, written_whole
from rtface.core.records import FloatArray
from rtface.record.table import NO_TIME, PoseTable

MOST_MISSING_ROWS = 1_000_000
"""More missing frame numbers than this are taken for a wrong `PoseTable.first_frame`, not for lost frames."""

_HDF5_MEMORY_STEP = 16 * 1024 * 1024


class KeypointFormat(Protocol):
    """A kind of keypoint file.

    Attributes
    ----------
    name : str
        What it is called on the command line.
    endings : tuple of str
        Of the file names it is chosen for; a new file gets the first.
    packages : tuple of str
        What it needs of the extra lab.
    """

    name: str
    endings: tuple[str, ...]
    packages: tuple[str, ...]

    def write(self, table: PoseTable, path: Path, *, overwrite: bool = False) -> None:
        """Write the table to a new file, all of it or nothing.

        Raises
        ------
        UsageError
            The file exists and `overwrite` is False.
        DataError
            The table does not fit the format, or the file cannot be written; what stood there still does.
        """

    def read(self, path: Path) -> PoseTable:
        """Read back what the format holds.

        Raises
        ------
        DataError
            The file cannot be read or is not of this format; the message names the file and the field.
        """


@contextlib.contextmanager
def atomic_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a file that appears under its name, complete and on the disk, only when the block ends well.

    A temporary file in the same folder takes the bytes; if anything fails it is removed.

    Parameters
    ----------
    path : Path
        The file to make.
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    UsageError
        The file exists and `overwrite` is False.
    DataError
        The folder or the file cannot be written.
    """
    _refuse_existing(path, overwrite)
    try:
        with written_whole(path, durable=True) as fresh:
            with fresh.open("xb") as file:
                yield file
            _refuse_existing(path, overwrite)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def check_target(path: Path, *, overwrite: bool) -> None:
    """Fail now as `atomic_file` would fail later: for a caller with hours of work before the first write.

    Raises
    ------
    UsageError
        The file exists and `overwrite` is False.
    DataError
        The folder is missing or cannot be written.
    """
    _refuse_existing(path, overwrite)
    fresh = temporary_name(path)
    try:
        fresh.touch(exist_ok=False)
        fresh.unlink()
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise UsageError(f"{path} exists already; choose another name, or replace it by --overwrite")


def write_hdf5(path: Path, fill: Callable[[Any], None], *, overwrite: bool) -> None:
    """Write an HDF5 file atomically; `fill` gets the open `h5py.File`.

    Raises
    ------
    UsageError, DataError
        As `atomic_file`.
    """
    import h5py

    with atomic_file(path, overwrite=overwrite) as out:
        name = f"rtface-{secrets.token_hex(8)}"
        with h5py.File(name, "w", driver="core", backing_store=False, block_size=_HDF5_MEMORY_STEP) as file:
            fill(file)
            file.flush()
            out.write(file.id.get_file_image())


@contextlib.contextmanager
def reading_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file as `h5py.File` to read; HDF5's errors in the block become `DataError`."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def read_array(
    path: Path, group: Any, name: str, kind: str, shape: tuple[int | None, ...]
) -> NDArray[np.generic]:
    """Read a dataset of an open HDF5 file and check what it is.

    Parameters
    ----------
    path : Path
        The file, for messages.
    group : h5py.Group
        Where the dataset is.
    name : str
        The dataset's name in the group.
    kind : str
        The numpy kinds that are right, such as ``"iu"``.
    shape : tuple
        The right shape; None where any length is.

    Raises
    ------
    DataError
        The dataset is missing or is something else; the message names the file and the dataset.
    """
    import h5py

    where = f"{group.name.rstrip('/')}/{name}"
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{path}: no dataset {where}")
    wrong = len(dataset.shape) != len(shape) or any(
        want is not None and have != want for have, want in zip(dataset.shape, shape, strict=True)
    )
    if wrong or dataset.dtype.kind not in kind:
        wanted = " x ".join("any" if length is None else str(length) for length in shape)
        raise DataError(
            f"{path}: {where} is {dataset.dtype} of shape {dataset.shape}, not of kind {kind} and shape {wanted}"
        )
    array: NDArray[np.generic] = dataset[()]
    return array


def rows_by_frame(table: PoseTable, path: Path, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lay a table out so that row r is frame `table.first_frame` + r; frames that are missing are NaN, value 0.

    Parameters
    ----------
    table : PoseTable
        N frames whose numbers rise.
    path : Path
        The file this is for, for messages.
    values : ndarray, shape (N, K), float32
        Score or likelihood.

    Returns
    -------
    xy : ndarray, shape (F, K, 2), float32
        F is the last frame number + 1 - `table.first_frame`.
    values : ndarray, shape (F, K), float32

    Raises
    ------
    DataError
        A frame number is twice there, falls, lies before `first_frame`, or far more numbers are missing than
        frames can have been lost.
    """
    frames = table.frame_id
    points = len(table.names)
    if len(frames) and frames[0] < table.first_frame:
        raise DataError(f"{path}: frame {frames[0]} lies before the first frame, {table.first_frame}")
    falls = np.flatnonzero(frames[1:] <= frames[:-1])
    if len(falls):
        before, after = frames[falls[0]], frames[falls[0] + 1]
        raise DataError(
            f"{path}: frame {after} comes after frame {before}, but this format has one row for each frame number; "
            "use the rtface format, which keeps frames as they came"
        )
    count = int(frames[-1]) + 1 - table.first_frame if len(frames) else 0
    if count - len(frames) > MOST_MISSING_ROWS:
        raise DataError(
            f"{path}: {count - len(frames)} frame numbers between {table.first_frame} and {frames[-1]} are missing; "
            f"set the table's first_frame (the first frame that is there is {frames[0]}) or use the rtface format"
        )
    xy = np.full((count, points, 2), np.nan, np.float32)
    laid = np.zeros((count, points), np.float32)
    rows = frames - table.first_frame
    xy[rows] = table.xy
    laid[rows] = values
    return xy, laid


def from_rows(
    names: tuple[str, ...], frame_id: NDArray[np.int64], xy: FloatArray, score: FloatArray, **more: Any
) -> PoseTable:
    """Make a table of what a frame-number format holds: no times, and a keypoint that is nowhere is untrained.

    Parameters
    ----------
    names : tuple of str, length K
    frame_id : ndarray, shape (N,), int64
    xy : ndarray, shape (N, K, 2), float32
    score : ndarray, shape (N, K), float32
    **more
        Further attributes of `PoseTable`.
    """
    nowhere = np.asarray(np.isnan(xy).all(axis=(0, 2)) & ~score.any(axis=0))
    none = np.full(len(frame_id), NO_TIME, np.int64)
    return PoseTable(
        names=names,
        trained=tuple(not len(frame_id) or not each for each in nowhere.tolist()),
        xy=xy,
        score=score,
        outside=np.zeros(score.shape, np.bool_),
        frame_id=frame_id,
        exposure_ns=none,
        arrival_ns=none.copy(),
        camera_ns=none.copy(),
        **more,
    )
