"""numpy's files of a study: npz of named arrays, Facemap's pickled dicts, and bare arrays."""

from __future__ import annotations

import mmap
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.encoder.arrays import npy_header
from rtface.learn.encoder.keypoint_files import read_keypoints
from rtface.learn.labels.formats.plainpickle import read_npy_object
from rtface.learn.study.contents import BLOCK_BYTES, Content, Film, FilmTraces, Points

_FILMS: tuple[tuple[Film, str], ...] = (("movie", "movSVD"), ("motion", "motSVD"))


class NpzArrays:
    """An npz file; of its arrays only the headers are read until one is asked for."""

    what = "npz"

    def __init__(self, path: Path) -> None:
        self.path = path
        shapes: dict[str, tuple[int, ...]] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    name = entry.removesuffix(".npy")
                    with archive.open(entry) as stream:
                        try:
                            shapes[name] = npy_header(stream, f"{path}: {name}")[0]
                        except DataError:  # texts and objects: of no use but for their names
                            shapes[name] = ()
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} cannot be read as npz: {error}") from error
        self.shapes: Mapping[str, tuple[int, ...]] = shapes

    def read(self, name: str) -> NDArray[Any]:
        """Return an array; `DataError` where it cannot be read."""
        try:
            with np.load(self.path, allow_pickle=False) as kept:
                values: NDArray[Any] = kept[name]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
            raise DataError(f"{self.path}: {name} cannot be read: {error}") from error
        return values

    def matrix(self, name: str) -> NpyMatrix:
        """Return a matrix that is read in parts."""
        return NpyMatrix(self.path, name)


class NpyMatrix:
    """A matrix of an npy file, or of a field of an npz file, read in parts."""

    def __init__(self, path: Path, field: str | None = None) -> None:
        self._path, self._field = path, field
        try:
            with self._open() as stream:
                shape, self._by_columns, self._dtype = npy_header(stream, self._where)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
            raise DataError(f"{self._where} cannot be read: {error}") from error
        if len(shape) != 2:
            raise DataError(f"{self._where} has the shape {shape}, not neurons x samples")
        self._shape = (shape[0], shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Neurons and samples."""
        return self._shape

    def blocks(self) -> Iterator[tuple[slice, slice, FloatArray]]:
        """Yield parts with their rows and columns; see `Matrix`."""
        across, along = self._shape[::-1] if self._by_columns else self._shape
        step = max(1, BLOCK_BYTES // max(1, along * self._dtype.itemsize))
        try:
            with self._open() as stream:
                npy_header(stream, self._where)
                for first in range(0, across, step):
                    last = min(first + step, across)
                    data = stream.read((last - first) * along * self._dtype.itemsize)
                    if len(data) != (last - first) * along * self._dtype.itemsize:
                        raise DataError(f"{self._where} breaks off")
                    part = np.frombuffer(data, self._dtype).reshape(last - first, along).astype(np.float32)
                    if self._by_columns:
                        yield slice(0, along), slice(first, last), part.T
                    else:
                        yield slice(first, last), slice(0, along), part
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{self._where} cannot be read: {error}") from error

    @property
    def _where(self) -> str:
        return str(self._path) if self._field is None else f"{self._path}: {self._field}"

    def _open(self) -> IO[bytes]:
        if self._field is None:
            return self._path.open("rb")
        with zipfile.ZipFile(self._path) as archive:
            return archive.open(f"{self._field}.npy")


def npy_content(path: Path) -> Content | None:
    """Return what an npy file holds: filtered keypoints, Facemap's film and pupil, rising numbers; else None.

    Raises
    ------
    DataError
        The file is damaged, or a dict of Facemap's whose parts do not go together.
    """
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(stream)
        if not dtype.hasobject:
            return _bare(path, shape, dtype)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            if whole.find(b"keypoint_labels") >= 0:
                names, xy, _ = read_keypoints(path)
                return Content(
                    path,
                    "filtered keypoints",
                    points=Points(names, len(xy), lambda: read_keypoints(path)[1], True),
                )
            if all(whole.find(name.encode()) < 0 for _, name in _FILMS):
                return None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as npy: {error}") from error
    return _processed(path)


def _bare(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Content | None:
    if len(shape) != 1 or shape[0] < 2 or dtype.kind not in "iuf":
        return None
    values = np.load(path, allow_pickle=False).astype(np.float64)
    if not np.isfinite(values).all() or (np.diff(values) <= 0).any():
        return None
    return Content(path, "times", unnamed=values)


def _processed(path: Path) -> Content:
    """Return the components, running and pupil of Facemap's processing; the pictures are let go at once."""
    kept = read_npy_object(path)
    if not isinstance(kept, dict):
        raise DataError(f"{path} names movSVD or motSVD, but is no dict of Facemap's")
    films = []
    for kind, name in _FILMS:
        found = [each for each in _listed(kept.get(name)) if isinstance(each, np.ndarray) and each.size]
        if not found:
            continue
        if found[0].ndim != 2:
            raise DataError(f"{path}: {name}[0] has the shape {found[0].shape}, not frames x components")
        frames, count = found[0].shape
        films.append(FilmTraces(kind, frames, count, partial(_film, path, name)))
    if not films:
        raise DataError(f"{path}: movSVD and motSVD are empty: process the movie with Facemap first")
    vectors = {}
    running = [np.asarray(each) for each in _listed(kept.get("running")) if np.size(each)]
    if running and running[0].ndim == 2:
        vectors["run"] = np.hypot(*np.asarray(running[0], np.float64).T[:2])
    pupil = [each for each in _listed(kept.get("pupil")) if isinstance(each, dict)]
    for name in ("area_smooth", "area"):
        area = pupil[0].get(name) if pupil else None
        if "pupil" not in vectors and isinstance(area, np.ndarray) and area.ndim == 1:
            vectors["pupil"] = area.astype(np.float64)
    return Content(path, "Facemap's processing", films=tuple(films), vectors=vectors)


def _film(path: Path, name: str) -> FloatArray:
    found = [
        each for each in _listed(read_npy_object(path)[name]) if isinstance(each, np.ndarray) and each.size
    ]
    return np.asarray(found[0], np.float32)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
