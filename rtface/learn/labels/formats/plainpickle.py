"""Pickles of plain data, read without running anything that they name.

A pickle may name any function of any module and have it called. Here only numpy's arrays, dtypes and scalars are
known, by stand-ins that build them from checked bytes; any other name is refused. numpy's own unpickling is not
used either, for it trusts what it is given.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rtface.core.errors import DataError

_KINDS = frozenset({*(f"{kind}{size}" for kind in "iuf" for size in (2, 4, 8)), "i1", "u1", "b1"})
_NUMPY_MODULES = frozenset({f"numpy.{core}.multiarray" for core in ("core", "_core")})


def read_npy_object(path: Path) -> Any:
    """Return what ``numpy.save`` wrote of Python objects: dicts, lists, tuples, text, numbers and arrays.

    Raises
    ------
    DataError
        The file cannot be read, is no such file, or holds anything that is not plain data.
    """
    try:
        with path.open("rb") as file:
            shape, dtype = _npy_header(file)
            if len(shape) > 1 or not dtype.hasobject:
                raise DataError(f"{path} holds an array of {dtype} and shape {shape}, not a dict of labels")
            value = load_plain(file)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except ForbiddenError as error:
        raise DataError(
            f"{path} is refused: its pickle names {error}, which is neither data nor numpy's; "
            "a file that Facemap wrote never does"
        ) from None
    except DataError:
        raise
    except Exception as error:  # A damaged pickle may raise anything.
        raise DataError(f"{path} is damaged or no .npy file: {error}") from error
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class ForbiddenError(pickle.UnpicklingError):
    """A pickle names something that is not plain data; the text names it."""


def load_plain(file: BinaryIO) -> Any:
    """Return a pickle's plain data; an array of objects comes as the list of its elements.

    Raises
    ------
    ForbiddenError
        The pickle names anything but numpy's arrays, dtypes and scalars of numbers.
    Exception
        Whatever a damaged pickle raises.
    """
    return _built(_PlainUnpickler(file).load(), {})


def names_code(data: bytes) -> str | None:
    """Return the first module and name that unpickling these bytes would look up, None if none.

    Nothing is looked up. Bytes that are no pickle, or break off, name what comes before they do.
    """
    try:
        _NamelessUnpickler(io.BytesIO(data)).load()
    except ForbiddenError as error:
        return str(error)
    except Exception:  # As far as it went no name was asked for; a real unpickler stops at the same byte.
        return None
    return None


class _NamelessUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise ForbiddenError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise ForbiddenError("an object outside the file")


class _PlainUnpickler(_NamelessUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "dtype"):
            return _MakeDtype()
        if (module, name) == ("numpy", "ndarray"):
            return None
        if module in _NUMPY_MODULES and name == "_reconstruct":
            return _MakeArray()
        if module in _NUMPY_MODULES and name == "scalar":
            return _MakeScalar()
        if (module, name) == ("_codecs", "encode"):
            return _MakeBytes()
        return super().find_class(module, name)


class _Dtype:
    """A dtype of numbers, or of objects."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise ForbiddenError("a structured dtype")
        self.order = state[1]

    def real(self) -> np.dtype[Any]:
        if self.code not in _KINDS:
            raise ForbiddenError(f"the dtype {self.code}")
        return np.dtype(f"{self.order}{self.code}")


class _Array:
    """An array that awaits its state."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, data = state
        if dtype.code in ("O", "O8", "O4"):
            if not isinstance(data, list):
                raise ForbiddenError("an array of objects that is not a list")
            self.value = data
            return
        data = data.encode("latin1") if isinstance(data, str) else data
        flat = np.frombuffer(data, dtype.real())
        self.value = flat.reshape(shape, order="F" if by_columns else "C").copy()


# Callable objects without attributes in place of functions and classes, so that a pickle can alter none of them.
class _MakeDtype:
    __slots__ = ()

    def __call__(self, code: str, *_: Any) -> _Dtype:
        return _Dtype(str(code))


class _MakeArray:
    __slots__ = ()

    def __call__(self, *_: Any) -> _Array:
        return _Array()


class _MakeScalar:
    __slots__ = ()

    def __call__(self, dtype: _Dtype, data: bytes | str) -> Any:
        return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype.real())[0].item()


class _MakeBytes:
    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise ForbiddenError(f"the codec {encoding}")
        return str(text).encode("latin1")


def _built(value: Any, done: dict[int, Any]) -> Any:
    """Return a value with its arrays in place of what stood for them; what is there twice is built once."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _Array):
        built = _built(value.value, done)
    elif isinstance(value, dict):
        built = {key: _built(item, done) for key, item in value.items()}
    elif isinstance(value, list):
        built = [_built(item, done) for item in value]
    elif isinstance(value, tuple):
        built = tuple(_built(item, done) for item in value)
    else:
        return value
    done[id(value)] = built
    return built


def _npy_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
