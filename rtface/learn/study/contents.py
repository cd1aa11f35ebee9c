"""What one file of a study holds, whatever it is called: neurons, keypoints, movie components, times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError, UsageError
from rtface.core.records import FloatArray

Float64Array = NDArray[np.float64]
Film = Literal["movie", "motion"]

BLOCK_BYTES = 16 * 1024 * 1024
"""Of a matrix that is read in parts."""

FIELDS = {
    "spks": ("spks",),
    "tneural": ("tneural",),
    "tcam": ("tcam",),
    "run": ("run", "running", "running_speed"),
    "pupil": ("pupil", "pupil_area"),
    "xpos": ("xpos",),
    "ypos": ("ypos",),
    "keypoints": ("keypoints",),
    "keypoint_names": ("keypoint_names", "keypoint_labels"),
}
"""What rtface takes from a file of named arrays, and the names that it knows for it."""

VECTORS = ("tneural", "tcam", "run", "pupil", "xpos", "ypos")


@dataclass(frozen=True, slots=True)
class Stated:
    """What the user states of a study's files.

    Attributes
    ----------
    frame_rate, neural_rate : float or None
        A clock for recordings without times, in 1/s: samples are evenly spaced and begin together.
    fields : mapping of str to str
        The name in the files for one of `FIELDS`.
    match : str
        Only files of keypoints and films whose path contains it are taken.
    """

    frame_rate: float | None = None
    neural_rate: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    match: str = ""

    def __post_init__(self) -> None:
        for name, value in (("frame_rate", self.frame_rate), ("neural_rate", self.neural_rate)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}: it must be a number above 0")
        if unknown := [name for name in self.fields if name not in FIELDS]:
            raise UsageError(f"no field is called {unknown[0]!r}; there are {', '.join(FIELDS)}")

    def names_of(self, what: str) -> tuple[str, ...]:
        """Return the names under which one of `FIELDS` is looked for."""
        return (self.fields[what],) if what in self.fields else FIELDS[what]


class Matrix(Protocol):
    """Neurons x samples in a file, read in parts."""

    @property
    def shape(self) -> tuple[int, int]:
        """Neurons and samples."""

    def blocks(self) -> Iterator[tuple[slice, slice, FloatArray]]:
        """Yield parts with their rows and columns, each place once; `DataError` where the file breaks off."""


@dataclass(frozen=True, eq=False)
class Points:
    """Keypoints of T frames: their names, and what reads them as (T, K, 2) in pixels.

    `filtered` ones went through Facemap's own filter; they are preferred. `times` are the file's own, in seconds.
    """

    names: tuple[str, ...]
    frames: int
    read: Callable[[], FloatArray]
    filtered: bool = False
    times: Float64Array | None = None


@dataclass(frozen=True, eq=False)
class FilmTraces:
    """Principal components of a film (``movie``) or of its motion (``motion``): T frames x `count`, and what reads them."""

    kind: Film
    frames: int
    count: int
    read: Callable[[], FloatArray]


@dataclass(frozen=True, eq=False)
class Content:
    """What a file, or a folder of suite2p, holds.

    Attributes
    ----------
    path : Path
    what : str
        The format in a word or two.
    neurons : Matrix, optional
    points : Points, optional
    films : tuple of FilmTraces
    vectors : mapping of str to ndarray
        Of `VECTORS`: times in seconds, places in micrometres, running and pupil.
    unnamed : ndarray, optional
        Rising numbers of which the file does not say whose times they are.
    simulated : bool
        The file says that it was simulated.
    remarks : tuple of str
        What had to be corrected.
    """

    path: Path
    what: str
    neurons: Matrix | None = None
    points: Points | None = None
    films: tuple[FilmTraces, ...] = ()
    vectors: Mapping[str, Float64Array] = field(default_factory=dict)
    unnamed: Float64Array | None = None
    simulated: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def frames(self) -> int | None:
        """Frames of the camera that it knows of."""
        if self.points is not None:
            return self.points.frames
        if self.films:
            return self.films[0].frames
        return len(self.vectors["tcam"]) if "tcam" in self.vectors else None


class NamedArrays(Protocol):
    """A file of named arrays."""

    path: Path
    what: str

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each array, by its name; () of one that is no array of numbers."""

    def read(self, name: str) -> NDArray[np.generic]:
        """Return an array; `DataError` where it cannot be read."""

    def matrix(self, name: str) -> Matrix:
        """Return a matrix that is read in parts."""


def content_of(arrays: NamedArrays, stated: Stated) -> Content | None:
    """Return what a file of named arrays holds, None if nothing that a study needs.

    Raises
    ------
    DataError
        An array is not what its name says; file and name are named.
    """

    def found(what: str) -> str | None:
        return next((name for name in stated.names_of(what) if name in arrays.shapes), None)

    vectors = {what: vector_of(arrays, name) for what in VECTORS if (name := found(what)) is not None}
    matrix = None
    if (name := found("spks")) is not None:
        if len(arrays.shapes[name]) != 2:
            raise DataError(
                f"{arrays.path}: {name} has the shape {arrays.shapes[name]}, not neurons x samples"
            )
        matrix = arrays.matrix(name)
    points = _points(arrays, found("keypoints"), found("keypoint_names"))
    if matrix is None and points is None and not vectors:
        return None
    simulated = "simulated" in arrays.shapes and bool(np.any(arrays.read("simulated")))
    return Content(arrays.path, arrays.what, matrix, points, (), vectors, simulated=simulated)


def vector_of(arrays: NamedArrays, name: str) -> Float64Array:
    """Return numbers of one axis; `DataError` where they are not."""
    values = np.squeeze(arrays.read(name))
    if values.dtype.kind not in "iufb" or values.ndim != 1:
        raise DataError(
            f"{arrays.path}: {name} is {values.dtype} of shape {values.shape}, not numbers of one axis"
        )
    return np.asarray(values, np.float64)


def _points(arrays: NamedArrays, name: str | None, names: str | None) -> Points | None:
    if name is None:
        return None
    shape = arrays.shapes[name]
    if len(shape) != 3 or shape[2] != 2 or names is None:
        raise DataError(
            f"{arrays.path}: {name} has the shape {shape}; keypoints are frames x points x 2, with keypoint_names"
        )
    told = tuple(str(each).strip() for each in np.ravel(arrays.read(names)))
    if len(told) != shape[1]:
        raise DataError(f"{arrays.path}: {names} names {len(told)} points, but {name} has {shape[1]}")
    return Points(told, shape[0], lambda: np.asarray(arrays.read(name), np.float32))
