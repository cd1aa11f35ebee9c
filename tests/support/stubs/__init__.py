"""NVIDIA's libraries, built from C files that its own headers check, with Python behind them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parent
TOOLKIT = Path("/usr/local/cuda/include")

KINDS: dict[Any, str] = {
    ctypes.c_int: "i",
    ctypes.c_uint: "u",
    ctypes.c_size_t: "zq",
    ctypes.c_ulonglong: "zq",
    ctypes.c_void_p: "hpv",
    ctypes.c_char_p: "bcv",
    ctypes.POINTER(ctypes.c_int): "I",
    ctypes.POINTER(ctypes.c_uint): "U",
    ctypes.POINTER(ctypes.c_size_t): "ZQ",
    ctypes.POINTER(ctypes.c_ulonglong): "ZQ",
    ctypes.POINTER(ctypes.c_float): "F",
    ctypes.POINTER(ctypes.c_char_p): "C",
    ctypes.POINTER(ctypes.c_void_p): "HP",
}
"""Which of the C types of told.h each of ctypes' types is right for."""


class Argument(ctypes.Structure):
    """What a function was given, as its C type has it."""

    _fields_ = (("kind", ctypes.c_char), ("value", ctypes.c_uint64))


Answer = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.POINTER(Argument))


class Out:
    """Where a function writes, as ``ctypes.byref`` of it."""

    def __init__(self, obj: Any) -> None:
        self._obj = obj


class Stub:
    """A library with Python behind it.

    Parameters
    ----------
    path : Path
        Of `build`.
    declarations : mapping
        What Python takes its functions to be.
    answer : callable
        Given a function's name and its arguments, decoded by `as_declared`, returns the function's result.

    Attributes
    ----------
    calls : list
        Name, kinds and values of all calls, and whether Python's lock was held.
    wrong : list
        What went wrong: it cannot be raised through C.
    answer_only : int or None
        What every function returns, its arguments unseen.
    """

    def __init__(self, path: Path, declarations: Mapping[str, Any], answer: Callable[..., int]) -> None:
        self.library, self.at_once = ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
        self.calls: list[tuple[str, str, list[int], bool]] = []
        self.wrong: list[str] = []
        self.answer_only: int | None = None
        self._declarations, self._answer = declarations, answer
        self._kept = Answer(self._told)
        self.library.stub_answers(self._kept)

    def _told(self, name: bytes, locked: int, count: int, arguments: Any) -> int:
        given = [(arguments[i].kind.decode(), int(arguments[i].value)) for i in range(count)]
        kinds, values = "".join(kind for kind, _ in given), [value for _, value in given]
        function = name.decode()
        self.calls.append((function, kinds, values, bool(locked)))
        if self.answer_only is not None:
            return self.answer_only
        try:
            taken = self._declarations[function].arguments
            for declared, kind in zip(taken, kinds, strict=True):
                assert kind in KINDS[declared], (function, declared, kind)
            pairs = zip(taken, given, strict=True)
            return self._answer(function, *(_decoded(declared, *pair) for declared, pair in pairs))
        except BaseException as error:
            self.wrong.append(f"{function}: {error!r}")
            return 999

    def close(self) -> None:
        """Take Python away from behind it."""
        self.library.stub_answers(None)


def as_declared(declared: Any, given: Any) -> Any:
    """Return an argument as Python's side of a call gives it, in the form that `Stub` decodes C's side to."""
    if declared in (ctypes.c_int, ctypes.c_uint, ctypes.c_size_t, ctypes.c_ulonglong):
        return getattr(given, "value", given)
    if declared is ctypes.c_void_p:
        return ctypes.c_void_p(getattr(given, "value", given))
    return given


def _decoded(declared: Any, kind: str, value: int) -> Any:
    if kind in "iuzq":
        return ctypes.c_int(value).value if kind == "i" else value
    if declared is ctypes.c_void_p:
        return ctypes.c_void_p(value)
    if kind == "b":
        return (ctypes.c_char * 96).from_address(value)
    if declared is ctypes.c_char_p:
        return ctypes.string_at(value) + (b"\0" if kind == "v" else b"")
    return None if value == 0 else Out(declared._type_.from_address(value))


def build(name: str, package: str, header: str, folder: Path) -> Path:
    """Build a library; skip where there is no compiler or no header of NVIDIA's.

    Parameters
    ----------
    name : str
        Of its C file, and of the library.
    package, header : str
        Which package of NVIDIA's holds the header.
    folder : Path
        Where it is built.
    """
    compiler, include = shutil.which("gcc"), header_folder(package, header)
    if compiler is None or include is None:
        pytest.skip(f"gcc or {header} is not on this machine: pip install {package}")
    made = folder / f"{name}.so.1"
    command = [
        *(compiler, "-std=c11", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wmissing-prototypes"),
        *("-isystem", str(include), str(SOURCES / f"{name}.c"), "-o", str(made)),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def header_folder(package: str, header: str) -> Path | None:
    """Return where a header of NVIDIA's is: in its package, else in a toolkit that is installed."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())).parent for file in files if file.name == header]
    return next(iter(found), TOOLKIT if (TOOLKIT / header).is_file() else None)
