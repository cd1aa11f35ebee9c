"""HDF5 files of a study: keypoints of Facemap and DeepLabCut, MATLAB's of version 7.3; NWB is `rtface.learn.study.nwb`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.labels.formats.deeplabcut_tables import read_h5_table
from rtface.learn.study.contents import BLOCK_BYTES, Content, Points, Stated, content_of
from rtface.record.formats.facemap import GROUP, Facemap

_MATLAB_CLASS = "MATLAB_class"


class ColumnMatrix:
    """A dataset of samples x neurons, as MATLAB and NWB lay a matrix of neurons x samples, read in parts."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        with opened(path) as file:
            shape = file[name].shape
        if len(shape) != 2:
            raise DataError(f"{path}: {name} has the shape {shape[::-1]}, not neurons x samples")
        self._shape = (int(shape[1]), int(shape[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Neurons and samples."""
        return self._shape

    def blocks(self) -> Iterator[tuple[slice, slice, FloatArray]]:
        """Yield parts with their rows and columns; see `Matrix`."""
        neurons, samples = self._shape
        step = max(1, BLOCK_BYTES // max(1, 4 * neurons))
        with opened(self._path) as file:
            for first in range(0, samples, step):
                last = min(first + step, samples)
                try:
                    part = np.asarray(file[self._name][first:last], np.float32)
                except (OSError, ValueError, TypeError) as error:
                    raise DataError(f"{self._path}: {self._name} cannot be read: {error}") from error
                yield slice(0, neurons), slice(first, last), part.T


class Matlab73Arrays:
    """A MATLAB file of version 7.3; axes are turned to be as MATLAB shows them."""

    what = "MATLAB 7.3"

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path) as file:
            self.shapes = {
                name: tuple(node.shape[::-1]) for name, node in file.items() if isinstance(node, h5py.Dataset)
            }

    def read(self, name: str) -> NDArray[Any]:
        """Return an array, texts as texts; `DataError` where it cannot be read."""
        with opened(self.path) as file:
            node = file[name]
            try:
                if node.attrs.get(_MATLAB_CLASS) in (b"cell", "cell"):
                    return np.array([_text(file[each]) for each in np.ravel(node[()].T)])
                values: NDArray[Any] = np.asarray(node[()]).T
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise DataError(f"{self.path}: {name} cannot be read: {error}") from error
        return values

    def matrix(self, name: str) -> ColumnMatrix:
        """Return a matrix that is read in parts."""
        return ColumnMatrix(self.path, name)


def hdf5_content(path: Path, stated: Stated) -> Content | None:
    """Return what an HDF5 file holds, None if nothing that a study needs; `DataError` names what is wrong with it."""
    with opened(path) as file:
        matlab = file.userblock_size >= 512 and any(_MATLAB_CLASS in node.attrs for node in file.values())
        groups = isinstance(file.get(GROUP), h5py.Group) and not _is_pandas(file[GROUP])
        pandas = any(_is_pandas(node) for node in file.values())
    if matlab:
        return content_of(Matlab73Arrays(path), stated)
    if groups:
        table = Facemap().read(path)
        return Content(
            path,
            "Facemap's keypoints",
            points=Points(table.names, len(table), lambda: Facemap().read(path).xy),
        )
    if pandas:
        names, xy = _pandas_points(path)
        return Content(
            path, "keypoints as a table", points=Points(names, len(xy), lambda: _pandas_points(path)[1])
        )
    return None


def opened(path: Path) -> h5py.File:
    """Open a file to read; `DataError` where it is no HDF5 file or breaks off."""
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path} cannot be read as HDF5: {error}") from error


def _pandas_points(path: Path) -> tuple[tuple[str, ...], FloatArray]:
    columns, _, values = read_h5_table(path)
    place = {column[-2:]: index for index, column in enumerate(columns) if len(column) >= 2}
    names = tuple(dict.fromkeys(column[-2] for column in columns if len(column) >= 2))
    if not names or any((name, axis) not in place for name in names for axis in "xy"):
        raise DataError(f"{path}: its table has no columns x and y for each keypoint")
    chosen = [place[name, axis] for name in names for axis in "xy"]
    return names, values[:, chosen].astype(np.float32).reshape(len(values), len(names), 2)


def _is_pandas(node: Any) -> bool:
    return isinstance(node, h5py.Group) and "pandas_type" in node.attrs


def _text(node: Any) -> str:
    return "".join(map(chr, np.ravel(np.asarray(node[()]).T).tolist()))
