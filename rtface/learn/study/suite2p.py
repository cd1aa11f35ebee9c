"""A folder of suite2p: one plane, or ``plane0``, ``plane1``, ... whose neurons are brought onto one clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.labels.formats.plainpickle import read_npy_object
from rtface.learn.study.contents import Content, Float64Array, Stated
from rtface.learn.study.numpy_files import NpyMatrix

TRACES = "spks.npy"
CELLS = "iscell.npy"
PLACES = "stat.npy"
OPTIONS = "ops.npy"
OWN = (TRACES, CELLS, PLACES, OPTIONS, "F.npy", "Fneu.npy")
"""Files of a plane that are suite2p's."""


def is_plane(folder: Path) -> bool:
    """Return whether a folder is one plane of suite2p: its traces and what is a cell, of as many regions."""
    return (folder / TRACES).is_file() and (folder / CELLS).is_file()


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane: its traces, which regions are cells, their times in seconds (None: not known) and places in pixels."""

    folder: Path
    traces: NpyMatrix
    cells: NDArray[np.bool_]
    times: Float64Array | None
    places: Float64Array | None


class PlanesMatrix:
    """The cells of several planes at the samples of the first: others are interpolated between theirs."""

    def __init__(
        self, planes: tuple[Plane, ...], samples: int, times: tuple[Float64Array, ...] | None
    ) -> None:
        self._planes, self._times = planes, times
        self._shape = (sum(int(plane.cells.sum()) for plane in planes), samples)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and samples."""
        return self._shape

    def blocks(self) -> Iterator[tuple[slice, slice, FloatArray]]:
        """Yield parts with their rows and columns; see `Matrix`."""
        samples, done = self._shape[1], 0
        for number, plane in enumerate(self._planes):
            for rows, columns, values in plane.traces.blocks():
                if columns != slice(0, plane.traces.shape[1]):
                    raise DataError(f"{plane.folder / TRACES} is laid by columns, which suite2p never does")
                part = values[plane.cells[rows]]
                if self._times is not None and number:
                    own, wanted = self._times[number], self._times[0][:samples]
                    part = (
                        np.stack([np.interp(wanted, own, each[: len(own)]) for each in part])
                        if len(part)
                        else part
                    )
                yield slice(done, done + len(part)), slice(0, samples), part[:, :samples].astype(np.float32)
                done += len(part)


def suite2p_content(folders: list[Path], stated: Stated) -> Content:
    """Return the neurons of one plane or of several of one recording.

    Times are a file of rising numbers in the plane's folder, one a sample; without one they follow from the stated rate
    of the volumes, a plane being taken after another.

    Raises
    ------
    DataError
        A file of a plane is missing, damaged, or of other regions; planes differ by more than one sample.
    """
    planes = tuple(_plane(folder) for folder in folders)
    lengths = [plane.traces.shape[1] for plane in planes]
    samples, remarks = min(lengths), []
    root = folders[0] if len(folders) == 1 else folders[0].parent
    if max(lengths) - samples > 1:
        raise DataError(
            f"{root}: its planes have {', '.join(map(str, lengths))} samples: more than one apart"
        )
    if max(lengths) != samples:
        remarks.append(f"{root.name}: planes of {samples} and {max(lengths)} samples were cut to {samples}")
    known = [plane.times for plane in planes]
    times: tuple[Float64Array, ...] | None = None
    if all(each is not None for each in known):
        times = tuple(each[:samples] for each in known if each is not None)
    elif any(each is not None for each in known):
        lacking = next(plane.folder for plane in planes if plane.times is None)
        raise DataError(f"{lacking} holds no times, but another plane does")
    elif stated.neural_rate is not None:
        late = 1 / (stated.neural_rate * len(planes))
        times = tuple(np.arange(samples) / stated.neural_rate + index * late for index in range(len(planes)))
        if len(planes) > 1:
            remarks.append(f"{root.name}: planes are taken to follow each other by {1000 * late:.4g} ms")
    if times is not None and len(planes) > 1:
        remarks.append(f"{root.name}: {len(planes)} planes were interpolated to the times of the first")
    left_out = sum(int((~plane.cells).sum()) for plane in planes)
    if left_out:
        remarks.append(f"{root.name}: {left_out} regions are no cells (iscell) and were left out")
    vectors: dict[str, Float64Array] = {} if times is None else {"tneural": times[0]}
    if all(plane.places is not None for plane in planes):
        remarks.append(f"{root.name}: places are in pixels of suite2p, planes side by side as one")
        places = np.concatenate([plane.places[plane.cells] for plane in planes if plane.places is not None])
        vectors |= {"ypos": places[:, 0], "xpos": places[:, 1]}
    neurons = PlanesMatrix(planes, samples, times)
    return Content(root, "suite2p", neurons, vectors=vectors, remarks=tuple(remarks))


def _plane(folder: Path) -> Plane:
    traces = NpyMatrix(folder / TRACES)
    try:
        told = np.load(folder / CELLS, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{folder / CELLS} cannot be read: {error}") from error
    if told.ndim != 2 or len(told) != traces.shape[0]:
        raise DataError(
            f"{folder / CELLS} has the shape {told.shape} for {traces.shape[0]} regions in {TRACES}"
        )
    return Plane(
        folder, traces, told[:, 0] > 0.5, _times(folder, traces.shape[1]), _places(folder, len(told))
    )


def _times(folder: Path, samples: int) -> Float64Array | None:
    for path in sorted(folder.glob("*.npy")):
        if path.name in OWN:
            continue
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            continue
        if values.ndim == 1 and abs(len(values) - samples) <= 1 and values.dtype.kind in "iuf":
            times = np.asarray(values, np.float64)
            if np.isfinite(times).all() and (np.diff(times) > 0).all():
                return times
    return None


def _places(folder: Path, regions: int) -> Float64Array | None:
    path = folder / PLACES
    if not path.is_file():
        return None
    stat = read_npy_object(path)
    stat = [stat] if isinstance(stat, dict) else stat
    if not isinstance(stat, list) or len(stat) != regions:
        raise DataError(f"{path} has {len(stat)} regions, but {TRACES} has {regions}")
    if any(not isinstance(each, dict) or len(np.ravel(each.get("med", ()))) != 2 for each in stat):
        return None
    return np.array([np.ravel(each["med"]) for each in stat], np.float64)
