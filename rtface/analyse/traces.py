"""Traces of many neurons: a matrix in memory, or one in a file of which parts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray


class Traces(Protocol):
    """Neurons x samples; an ndarray of shape (N, S) is such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Neurons and samples."""

    def __len__(self) -> int:
        """Return the number of neurons."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Return some neurons' traces, shape (n, S), float32."""


class StoredTraces:
    """Traces in an npy file, read row by row when asked for: the file may be larger than the memory.

    The file is read, not mapped, so that the memory is that of the rows asked for.

    Parameters
    ----------
    path : Path
        Of a float32 matrix in C order.
    rows : ndarray of int64, optional
        Which rows of the file are its neurons; all when absent.

    Raises
    ------
    DataError
        The file is none of such a matrix.
    """

    def __init__(self, path: Path, rows: NDArray[np.int64] | None = None) -> None:
        try:
            kept = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if not isinstance(kept, np.memmap) or kept.ndim != 2 or kept.dtype != np.float32:
            raise DataError(f"{path} holds no matrix in float32")
        if not kept.flags.c_contiguous:
            raise DataError(f"{path} holds its matrix by columns")
        self._path, self._offset, self._samples = path, int(kept.offset), int(kept.shape[1])
        self._rows: NDArray[np.int64] = np.arange(len(kept)) if rows is None else np.asarray(rows, np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Neurons and samples."""
        return (len(self._rows), self._samples)

    def __len__(self) -> int:
        """Return the number of neurons."""
        return len(self._rows)

    def __getitem__(self, rows: Any, /) -> FloatArray:
        """Return some neurons' traces, shape (n, S)."""
        wanted = self._rows[rows]
        found: FloatArray = np.empty((len(wanted), self._samples), np.float32)
        runs = np.split(np.arange(len(wanted)), np.flatnonzero(np.diff(wanted) != 1) + 1)
        with self._path.open("rb", buffering=0) as file:
            for run in runs if len(wanted) else ():
                file.seek(self._offset + 4 * self._samples * int(wanted[run[0]]))
                part = found[run[0] : run[-1] + 1].data.cast("B")
                while len(part):
                    count = file.readinto(part)
                    if not count:
                        raise DataError(f"{self._path} breaks off")
                    part = part[count:]
        return found

    def only(self, rows: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> StoredTraces:
        """Return those of its neurons without reading them."""
        return StoredTraces(self._path, self._rows[rows])


def only(traces: Traces, rows: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> Traces:
    """Return some neurons: of stored traces a view, of a matrix a contiguous copy."""
    if isinstance(traces, StoredTraces):
        return traces.only(rows)
    matrix: FloatArray = np.ascontiguousarray(traces[rows])
    return matrix
