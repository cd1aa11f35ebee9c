"""MATLAB files up to version 7.2 of a study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray


class Matlab5Arrays:
    """A MATLAB file; scipy reads a variable as a whole, and none is larger than 2 GB in this version."""

    what = "MATLAB"

    def __init__(self, path: Path) -> None:
        from scipy.io import whosmat

        self.path = path
        try:
            self.shapes: dict[str, tuple[int, ...]] = {name: tuple(shape) for name, shape, _ in whosmat(path)}
        except Exception as error:  # scipy raises nearly anything for a damaged file
            raise DataError(f"{path} cannot be read as a MATLAB file: {error}") from error

    def read(self, name: str) -> NDArray[Any]:
        """Return an array, texts as texts; `DataError` where it cannot be read."""
        from scipy.io import loadmat

        try:
            values: NDArray[Any] = loadmat(self.path, variable_names=[name], chars_as_strings=True)[name]
        except Exception as error:
            raise DataError(f"{self.path}: {name} cannot be read: {error}") from error
        if values.dtype == object:
            return np.array([str(np.squeeze(each)) for each in values.ravel()])
        return values

    def matrix(self, name: str) -> HeldMatrix:
        """Return a matrix that is read when it is needed."""
        shape = self.shapes[name]
        return HeldMatrix(self, name, (shape[0], shape[1]))


class HeldMatrix:
    """A matrix that is read as a whole, when its blocks are asked for."""

    def __init__(self, arrays: Matlab5Arrays, name: str, shape: tuple[int, int]) -> None:
        self._arrays, self._name, self._shape = arrays, name, shape

    @property
    def shape(self) -> tuple[int, int]:
        """Neurons and samples."""
        return self._shape

    def blocks(self) -> Iterator[tuple[slice, slice, FloatArray]]:
        """Yield the whole; see `Matrix`."""
        values = self._arrays.read(self._name)
        if values.dtype.kind not in "iufb":
            raise DataError(f"{self._arrays.path}: {self._name} holds {values.dtype}, not numbers")
        yield slice(0, self._shape[0]), slice(0, self._shape[1]), values.astype(np.float32)
