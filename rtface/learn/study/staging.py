"""A recording's neurons as one file that is read by rows, without those that nothing can be predicted of."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.traces import StoredTraces
from rtface.core.errors import DataError
from rtface.core.files import written_whole
from rtface.learn.study.contents import Matrix

_ROWS = 500


@dataclass(frozen=True, eq=False)
class Staged:
    """Traces to predict.

    Attributes
    ----------
    traces : StoredTraces
        Of the good neurons.
    good : ndarray of int64
        Their numbers in the recording.
    dropped : dict of str to int
        How many neurons were left out, by why: ``not finite``, ``empty`` (always 0), ``constant``.
    """

    traces: StoredTraces
    good: NDArray[np.int64]
    dropped: dict[str, int]

    @property
    def remark(self) -> str | None:
        """What was dropped, in words; None where nothing was."""
        counts = [f"{count} {why}" for why, count in self.dropped.items() if count]
        total = sum(self.dropped.values())
        return f"{total} bad neurons were dropped: {', '.join(counts)}" if counts else None


def stage(
    matrix: Matrix,
    samples: int,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Staged:
    """Write the first samples of a matrix into a file, part by part, and find its good neurons.

    A file that is there already is of an earlier start, and whole: it is not written again.

    Parameters
    ----------
    matrix : Matrix
    samples : int
    path : Path
        Ends in ``.npy``.
    progress : callable
        Called with the rows checked and their number.

    Raises
    ------
    DataError
        The matrix breaks off, the file cannot be written, or no neuron is good.
    """
    neurons = matrix.shape[0]
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as fresh:
                _write(matrix, samples, fresh)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    every = StoredTraces(path)
    if every.shape != (neurons, samples):
        raise DataError(f"{path} holds {every.shape}, not {(neurons, samples)}: remove it")
    why = np.zeros(neurons, np.int8)
    for first in range(0, neurons, _ROWS):
        part = every[first : first + _ROWS]
        kinds = np.zeros(len(part), np.int8)
        kinds[(part == part[:, :1]).all(axis=1)] = 3
        kinds[(part == 0).all(axis=1)] = 2
        kinds[~np.isfinite(part).all(axis=1)] = 1
        why[first : first + _ROWS] = kinds
        progress(min(first + _ROWS, neurons), neurons)
    good = np.flatnonzero(why == 0)
    dropped = {
        name: int((why == kind).sum()) for kind, name in ((1, "not finite"), (2, "empty"), (3, "constant"))
    }
    if len(good) < 2:
        raise DataError(f"{len(good)} of {neurons} neurons are good: {dropped}")
    return Staged(every.only(good), good, dropped)


def _write(matrix: Matrix, samples: int, path: Path) -> None:
    neurons = matrix.shape[0]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (neurons, samples)}
    )
    start, width = len(header.getvalue()), 4 * samples
    with path.open("wb", buffering=0) as file:
        file.write(header.getvalue())
        file.truncate(start + neurons * width)
        for rows, columns, values in matrix.blocks():
            last = min(columns.stop, samples)
            if columns.start >= last:
                continue
            part = np.ascontiguousarray(values[:, : last - columns.start], "<f4")
            if columns.start == 0 and last == samples:
                _put(file, part, start + rows.start * width)
                continue
            for row, each in zip(range(rows.start, rows.stop), part, strict=True):
                _put(file, each, start + row * width + 4 * columns.start)


def _put(file: io.FileIO, values: NDArray[np.float32], offset: int) -> None:
    file.seek(offset)
    left = values.data.cast("B")
    while len(left):
        left = left[file.write(left) :]
