"""A GPU's primary context in a thread's stack of contexts, which is shared with every other library in the process."""

from __future__ import annotations

import ctypes

from rtface.track.gpu.driver.library import Driver


class PrimaryContext:
    """The context of a GPU that all libraries in a process share; made when it is first retained.

    One thread pushes and pops it. In its stack of contexts there may be others': those stay in their order, whichever
    is popped first.

    Parameters
    ----------
    driver : Driver
        The driver.
    index : int
        Number of the GPU.
    """

    def __init__(self, driver: Driver, index: int) -> None:
        self._driver = driver
        self._device = ctypes.c_int()
        self._handle = ctypes.c_void_p()
        driver.call("cuDeviceGet", ctypes.byref(self._device), index)
        driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._handle), self._device)

    def push(self) -> None:
        """Put it on top of the stack: what is called is for its GPU."""
        self._driver.call("cuCtxPushCurrent_v2", self._handle)

    def make_current(self) -> None:
        """Put it on top if another is; the stack does not grow."""
        if self._top() != self._handle.value:
            self.pop()
            self.push()

    def pop(self) -> None:
        """Take its topmost entry out of the stack, if it has one; the others stay as they are."""
        above: list[ctypes.c_void_p] = []
        while (top := self._top()) not in (None, self._handle.value):
            above.append(ctypes.c_void_p(top))
            self._take_top()
        if top is not None:
            self._take_top()
        for other in reversed(above):
            self._driver.call("cuCtxPushCurrent_v2", other)

    def release(self) -> None:
        """Let it go; it ends when nobody holds it."""
        self._driver.call("cuDevicePrimaryCtxRelease_v2", self._device)

    def _top(self) -> int | None:
        top = ctypes.c_void_p()
        self._driver.call("cuCtxGetCurrent", ctypes.byref(top))
        return top.value

    def _take_top(self) -> None:
        self._driver.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
