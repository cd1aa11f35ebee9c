"""NVIDIA's driver library: loading it, calling its functions as they are declared, and translating its errors."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any, Self

from rtface.core.errors import BackendError
from rtface.track.gpu.driver.declarations import DECLARATIONS
from rtface.track.gpu.driver.lost import lose, why_lost

LIBRARY = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"

ORDER = "CUDA_DEVICE_ORDER"
"""In the environment: how the driver numbers GPUs. By itself the fastest is 0; by ``PCI_BUS_ID`` they have the numbers that
nvidia-smi gives them. It is read once a process, when the driver starts."""


class Driver:
    """The functions of the driver that rtface calls, with their errors translated.

    Parameters
    ----------
    library : object
        The loaded library, or a stand-in with the same functions; Python's lock is free during its calls.
    at_once : object or None
        The same, but keeping Python's lock, for functions that return at once; `library` when None.
    """

    def __init__(self, library: Any, at_once: Any = None) -> None:
        self._library = library
        self._at_once = library if at_once is None else at_once
        self._functions: dict[str, Callable[..., int]] = {}

    @classmethod
    def load(cls) -> Self | None:
        """Return the driver's library; None where no driver is installed."""
        os.environ.setdefault(ORDER, "PCI_BUS_ID")
        try:
            return cls(*_libraries())
        except OSError:
            return None

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function of the driver, one of `DECLARATIONS`.

        Raises
        ------
        BackendError
            It did not return success (the message has the driver's name of the error), is older than the function, or
            lost the GPU before: then nothing is called any more.
        """
        result = self.try_call(function, *arguments)
        if result != 0:
            raise self.refused(function, result)

    def try_call(self, function: str, *arguments: Any) -> int:
        """Call a function and return its result, 0 for success; `BackendError` as of `call`, but for the result."""
        if why := why_lost():
            raise BackendError(why)
        return (self._functions.get(function) or self._find(function))(*arguments)

    def refused(self, function: str, result: int, details: str = "") -> BackendError:
        """Return the error of a call that did not return success, and note if it lost the GPU."""
        what = f"the GPU's driver refused {function}: {self.name_of(result)}{details}"
        return BackendError(why_lost() if lose(result, what) else what)

    def name_of(self, result: int) -> str:
        """Return the driver's name of an error and its number."""
        text = ctypes.c_char_p()
        if self._find("cuGetErrorName")(result, ctypes.byref(text)) != 0 or text.value is None:
            return f"error {result}"
        return f"{text.value.decode()} ({result})"

    def _find(self, function: str) -> Callable[..., int]:
        declared = DECLARATIONS[function]
        try:
            found: Any = getattr(self._library if declared.waits else self._at_once, function)
        except AttributeError as error:
            raise BackendError(
                f"the GPU's driver is too old: it has no {function}, which needs CUDA 11.4"
            ) from error
        found.argtypes, found.restype = declared.arguments, ctypes.c_int
        self._functions[function] = found
        return found  # type: ignore[no-any-return]


@cache
def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    return ctypes.CDLL(LIBRARY), ctypes.PyDLL(LIBRARY)
