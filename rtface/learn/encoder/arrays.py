"""Arrays of npy and npz files, read without pickles and without a second copy in another precision."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray

_CHUNK_BYTES = 64 * 1024 * 1024


def npz_fields(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays of an npz file; of an npy file none.

    Raises
    ------
    DataError
        The file is missing, or is no npy or npz file.
    """
    try:
        if path.suffix != ".npz":
            return ()
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as npz: {error}") from error


def read_vector(path: Path, field: str | None = None) -> NDArray[np.float64]:
    """Return numbers of one axis, from an npy file or a field of an npz file.

    Raises
    ------
    DataError
        The file or the field cannot be read, or is not such numbers.
    """
    values = _read(path, field)
    where = _where(path, field)
    if values.dtype.kind not in "iufb":
        raise DataError(f"{where} holds {values.dtype}, not numbers")
    values = np.squeeze(values)
    if values.ndim != 1:
        raise DataError(f"{where} has the shape {values.shape}, not one axis")
    return values.astype(np.float64)


def read_flag(path: Path, field: str) -> bool:
    """Return a field of an npz file that is true or false; errors as of `read_vector`."""
    return bool(_read(path, field).any())


def read_matrix(path: Path, field: str | None = None) -> FloatArray:
    """Return a matrix in float32; of an npy file a view of the file where it is float32 already.

    Raises
    ------
    DataError
        As `read_vector`, or the matrix has more or fewer than two axes.
    """
    where = _where(path, field)
    try:
        if field is None:
            kept = np.load(path, mmap_mode="r", allow_pickle=False)
            values: FloatArray = kept if kept.dtype == np.float32 else kept.astype(np.float32)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(f"{field}.npy") as stream:
                values = _stream_matrix(stream, where)
    except DataError:
        raise
    except KeyError:
        raise DataError(
            f"{path} has no field {field}; there are: {', '.join(npz_fields(path)) or 'none'}"
        ) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{where} cannot be read: {error}") from error
    if values.ndim != 2:
        raise DataError(f"{where} has the shape {values.shape}, not two axes")
    return values


def _read(path: Path, field: str | None) -> NDArray[Any]:
    try:
        kept = np.load(path, allow_pickle=False)
        if isinstance(kept, np.ndarray):
            return kept
        with kept:
            if field is None or field not in kept:
                raise DataError(f"{path} has no field {field}; there are: {', '.join(kept.files) or 'none'}")
            values: NDArray[Any] = kept[field]
            return values
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{_where(path, field)} cannot be read: {error}") from error


def _where(path: Path, field: str | None) -> str:
    return str(path) if field is None else f"{path}: {field}"


def npy_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order (whether by columns) and type of the numbers that follow in an npy stream.

    Raises
    ------
    DataError
        They are no numbers, or the version of the format is not known.
    ValueError
        It is no npy stream.
    """
    version = np.lib.format.read_magic(stream)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if header is None:
        raise DataError(f"{where} is of version {version} of the npy format, which rtface does not read")
    shape, fortran, dtype = header(stream)
    if dtype.kind not in "iufb":
        raise DataError(f"{where} holds {dtype}, not numbers")
    return shape, fortran, dtype


def _stream_matrix(stream: IO[bytes], where: str) -> FloatArray:
    """Read an npy stream in float32, a part at a time: a matrix of doubles never lies in memory whole."""
    shape, fortran, dtype = npy_header(stream, where)
    flat: FloatArray = np.empty(int(np.prod(shape)), np.float32)
    step = max(1, _CHUNK_BYTES // dtype.itemsize)
    for first in range(0, flat.size, step):
        part = flat[first : first + step]
        data = stream.read(part.size * dtype.itemsize)
        if len(data) != part.size * dtype.itemsize:
            raise DataError(f"{where} breaks off")
        part[:] = np.frombuffer(data, dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
