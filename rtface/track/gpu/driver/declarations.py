"""The functions of NVIDIA's driver that rtface calls, as ``cuda.h`` declares them, and whether they may wait.

The names are those that the library exports: where the header renames a function to one that ends in ``_v2``, that. Tests
hold names, numbers and types against the header of NVIDIA's toolkit.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Declaration:
    """One function of a C library.

    Attributes
    ----------
    arguments : tuple of types
        What it takes, as ctypes' types.
    waits : bool
        Whether it may wait or load. Python's lock is given free meanwhile. A function that only puts work on a stream,
        or answers at once, keeps it: to take it back from a busy thread may cost a whole switch interval.
    """

    arguments: tuple[Any, ...]
    waits: bool


def _waits(*arguments: Any) -> Declaration:
    return Declaration(arguments, True)


def _returns_at_once(*arguments: Any) -> Declaration:
    return Declaration(arguments, False)


_Address = c_uint64  # CUdeviceptr
_Handle = c_void_p  # of a context, module, function, stream, event or graph
_Made = POINTER(c_void_p)
_Number = POINTER(c_int)
_Size = POINTER(c_size_t)

DECLARATIONS = {
    # What there is.
    "cuInit": _waits(c_uint),
    "cuGetErrorName": _returns_at_once(c_uint, POINTER(c_char_p)),
    "cuDriverGetVersion": _returns_at_once(_Number),
    "cuDeviceGetCount": _returns_at_once(_Number),
    "cuDeviceGet": _returns_at_once(_Number, c_int),
    "cuDeviceGetName": _returns_at_once(c_char_p, c_int, c_int),
    "cuDeviceGetPCIBusId": _returns_at_once(c_char_p, c_int, c_int),
    "cuDeviceTotalMem_v2": _returns_at_once(_Size, c_int),
    "cuDeviceGetAttribute": _returns_at_once(_Number, c_uint, c_int),
    # Contexts.
    "cuDevicePrimaryCtxSetFlags_v2": _waits(c_int, c_uint),
    "cuDevicePrimaryCtxRetain": _waits(_Made, c_int),
    "cuDevicePrimaryCtxRelease_v2": _waits(c_int),
    "cuCtxPushCurrent_v2": _returns_at_once(_Handle),
    "cuCtxPopCurrent_v2": _returns_at_once(_Made),
    "cuCtxGetCurrent": _returns_at_once(_Made),
    "cuCtxGetStreamPriorityRange": _returns_at_once(_Number, _Number),
    # Memory.
    "cuMemGetInfo_v2": _waits(_Size, _Size),
    "cuMemAlloc_v2": _waits(POINTER(_Address), c_size_t),
    "cuMemFree_v2": _waits(_Address),
    "cuMemHostRegister_v2": _waits(c_void_p, c_size_t, c_uint),
    "cuMemHostUnregister": _waits(c_void_p),
    "cuMemHostGetDevicePointer_v2": _returns_at_once(POINTER(_Address), c_void_p, c_uint),
    "cuMemcpyHtoDAsync_v2": _returns_at_once(_Address, c_void_p, c_size_t, _Handle),
    "cuMemsetD32Async": _returns_at_once(_Address, c_uint, c_size_t, _Handle),
    # Streams and events.
    "cuStreamCreateWithPriority": _waits(_Made, c_uint, c_int),
    "cuStreamDestroy_v2": _waits(_Handle),
    "cuEventCreate": _waits(_Made, c_uint),
    "cuEventRecord": _returns_at_once(_Handle, _Handle),
    "cuEventRecordWithFlags": _returns_at_once(_Handle, _Handle, c_uint),
    "cuEventSynchronize": _waits(_Handle),
    "cuEventElapsedTime": _returns_at_once(POINTER(c_float), _Handle, _Handle),
    "cuEventDestroy_v2": _waits(_Handle),
    # Kernels.
    "cuModuleLoadDataEx": _waits(_Made, c_char_p, c_uint, POINTER(c_uint), _Made),
    "cuModuleGetFunction": _waits(_Made, _Handle, c_char_p),
    "cuModuleUnload": _waits(_Handle),
    "cuLaunchKernel": _returns_at_once(_Handle, *[c_uint] * 7, _Handle, _Made, _Made),
    # Graphs.
    "cuStreamBeginCapture_v2": _waits(_Handle, c_uint),
    "cuStreamEndCapture": _waits(_Handle, _Made),
    "cuGraphInstantiateWithFlags": _waits(_Made, _Handle, ctypes.c_ulonglong),
    "cuGraphUpload": _waits(_Handle, _Handle),
    "cuGraphLaunch": _returns_at_once(_Handle, _Handle),
    "cuGraphDestroy": _waits(_Handle),
    "cuGraphExecDestroy": _waits(_Handle),
}
"""By the name that the library exports."""
