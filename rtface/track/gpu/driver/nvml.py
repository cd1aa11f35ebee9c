"""NVIDIA's management library, which comes with the driver: clocks, and the number that nvidia-smi gives a GPU."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_uint, c_ulonglong, c_void_p
from typing import Any

from rtface.track.gpu.driver.declarations import Declaration

LIBRARY = "nvml.dll" if os.name == "nt" else "libnvidia-ml.so.1"

MANAGEMENT = {
    name: Declaration(arguments, True)
    for name, arguments in {
        "nvmlInit_v2": (),
        "nvmlShutdown": (),
        "nvmlDeviceGetHandleByPciBusId_v2": (c_char_p, POINTER(c_void_p)),
        "nvmlDeviceGetIndex": (c_void_p, POINTER(c_uint)),
        "nvmlDeviceGetClockInfo": (c_void_p, c_uint, POINTER(c_uint)),
        "nvmlDeviceGetMaxClockInfo": (c_void_p, c_uint, POINTER(c_uint)),
        "nvmlDeviceGetPersistenceMode": (c_void_p, POINTER(c_uint)),
        "nvmlDeviceGetCurrentClocksThrottleReasons": (c_void_p, POINTER(c_ulonglong)),
    }.items()
}
"""Its functions, as nvml.h declares them; see `rtface.track.gpu.driver.declarations`."""


class Nvml:
    """The functions of the library; what it does not know of a GPU is None.

    Parameters
    ----------
    library : object
        The loaded library, or a stand-in with the same functions.
    """

    def __init__(self, library: Any) -> None:
        self._library = library

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Nvml | None]:
        """Start the library, and end it after; None where it is not there or does not start."""
        try:
            nvml = cls(_library())
        except OSError:
            yield None
            return
        if not nvml.has_done("nvmlInit_v2"):
            yield None
            return
        try:
            yield nvml
        finally:
            nvml.has_done("nvmlShutdown")

    def has_done(self, function: str, *arguments: Any) -> bool:
        """Call a function and return whether it succeeded; one that this library lacks does not."""
        work = getattr(self._library, function, None)
        if work is None:
            return False
        work.argtypes, work.restype = MANAGEMENT[function].arguments, ctypes.c_int
        return bool(work(*arguments) == 0)

    def device(self, pci: str) -> ctypes.c_void_p | None:
        """Return the handle of a GPU by where it is plugged in."""
        handle = ctypes.c_void_p()
        found = self.has_done("nvmlDeviceGetHandleByPciBusId_v2", pci.encode(), ctypes.byref(handle))
        return handle if found else None

    def number(self, function: str, device: ctypes.c_void_p, *arguments: int) -> int | None:
        """Return what a function tells of a GPU as one number."""
        kind = MANAGEMENT[function].arguments[-1]
        value = kind._type_()  # what a pointer of ctypes points to has no other name
        done = self.has_done(function, device, *arguments, ctypes.byref(value))
        return int(value.value) if done else None


def _library() -> Any:
    return ctypes.CDLL(LIBRARY)
