"""Commands to a GPU through the driver's own library: nothing to install, nothing to compile."""

from __future__ import annotations

import ctypes
from typing import Any

from numpy.typing import NDArray

from rtface.track.gpu.driver.commands import NON_BLOCKING
from rtface.track.gpu.driver.library import Driver
from rtface.track.gpu.owner import Owner

_WITHOUT_TIME = 2


class DriverCommands:
    """See `rtface.track.gpu.driver.commands.Commands`. The stream goes before those of other programs on the GPU.

    Parameters
    ----------
    driver : Driver
        The driver.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._stream = ctypes.c_void_p()
        self._done = ctypes.c_void_p()

    def open(self, owner: Owner) -> None:
        """Make the stream, of the highest priority that there is."""
        call, lowest, highest = self._driver.call, ctypes.c_int(), ctypes.c_int()
        call("cuCtxGetStreamPriorityRange", ctypes.byref(lowest), ctypes.byref(highest))
        call("cuStreamCreateWithPriority", ctypes.byref(self._stream), NON_BLOCKING, highest)
        owner.gives_back(lambda: call("cuStreamDestroy_v2", self._stream))
        call("cuEventCreate", ctypes.byref(self._done), _WITHOUT_TIME)
        owner.gives_back(lambda: call("cuEventDestroy_v2", self._done))

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return self._stream.value or 0

    def allocate(self, count: int, owner: Owner) -> int:
        """Return the address of `count` bytes of the GPU's memory, which `owner` gives back."""
        address = ctypes.c_uint64()
        self._driver.call("cuMemAlloc_v2", ctypes.byref(address), count)
        owner.gives_back(lambda: self._driver.call("cuMemFree_v2", address))
        return address.value

    def upload(self, memory: int, values: NDArray[Any]) -> None:
        """Put a copy from the host to the GPU on the stream."""
        self._driver.call("cuMemcpyHtoDAsync_v2", memory, values.ctypes.data, values.nbytes, self._stream)

    def clear(self, memory: int, words: int) -> None:
        """Put the zeroing of 32-bit words on the stream."""
        self._driver.call("cuMemsetD32Async", memory, 0, words, self._stream)

    def wait(self) -> None:
        """Wait until the stream has done all that was put on it; Python's lock is free meanwhile."""
        self._driver.call("cuEventRecord", self._done, self._stream)
        self._driver.call("cuEventSynchronize", self._done)
