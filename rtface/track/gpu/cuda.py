"""A GPU in the hands of one thread: the one file that uses pycuda.

The device's primary context is shared with every other library in the process (torch, TensorRT), so nothing here makes
a context of its own. Everything is freed in the reverse order of its making, in the thread that made it, before the
context is let go. Memory for frames is ordinary memory whose pages are locked while the device is open: whoever still
holds a frame afterwards holds valid memory.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import BackendError
from rtface.core.extras import how_to_install
from rtface.core.records import FloatArray, Image
from rtface.track.gpu.libcuda import Graph, Libcuda, Module
from rtface.track.gpu.owner import Owner
from rtface.track.gpu.stopwatch import Launches, Stopwatch

_NON_BLOCKING = 1


class CudaDevice:
    """A GPU's context, stream, memory and kernels, for one thread from `open` to `close`.

    Parameters
    ----------
    index : int
        Number of the GPU.
    libcuda : Libcuda
        The driver.
    """

    def __init__(self, index: int, libcuda: Libcuda) -> None:
        self._index = index
        self._libcuda = libcuda
        self._owner = Owner()
        self._driver: Any = None
        self._stream: Any = None
        self._done: Any = None
        self._module: Module | None = None

    def open(self, ptx: bytes) -> None:
        """Take the primary context and load the kernels.

        Parameters
        ----------
        ptx : bytes
            The kernels.

        Raises
        ------
        BackendError
            pycuda is missing, or the driver refused.
        """
        self._driver = _import_pycuda()
        with Owner() as owner:
            self._libcuda.wait_by_spinning(self._index)
            context = self._try(lambda: self._driver.Device(self._index).retain_primary_context())
            owner.gives_back(self._libcuda.pop_context)  # pycuda's detach leaves the context current
            owner.gives_back(context.detach)
            self._try(context.push)
            owner.gives_back(self._driver.Context.pop)
            self._stream = self._try(lambda: self._driver.Stream(_NON_BLOCKING))
            owner.gives_back(self._forget)
            self._done = self._try(lambda: self._driver.Event(self._driver.event_flags.DISABLE_TIMING))
            self._module = Module(self._libcuda, ptx)
            owner.gives_back(self._module.unload)
            self._owner.push(owner.pop_all())

    def _forget(self) -> None:
        """Let stream and event go, which pycuda frees with them, while the context is current."""
        self._stream = self._done = None

    def _try(self, step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except self._driver.Error as error:
            raise BackendError(f"the GPU failed: {error}") from error

    @property
    def stream(self) -> int:
        """Handle of the device's stream."""
        handle: int = self._stream.handle
        return handle

    @property
    def module(self) -> Module:
        """The kernels; `BackendError` before `open`."""
        if self._module is None:
            raise BackendError("the GPU is not open")
        return self._module

    def allocate(self, count: int, owner: Owner) -> int:
        """Return the address of `count` bytes of device memory."""
        allocation = self._try(self._driver.mem_alloc, count)
        owner.gives_back(allocation.free)
        return int(allocation)

    def locked(self, shape: tuple[int, ...], dtype: type[np.generic], owner: Owner) -> NDArray[Any]:
        """Return zeroed host memory whose pages are locked until its owner gives it back; it stays valid then."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        pages = np.frombuffer(mmap.mmap(-1, size), np.uint8)
        self._libcuda.lock_pages(pages)
        owner.gives_back(lambda: self._libcuda.unlock_pages(pages))
        return pages.view(dtype).reshape(shape)

    def locked_frame(self, shape: tuple[int, int]) -> Image:
        """Return locked memory for a frame, until `close`."""
        return self.locked(shape, np.uint8, self._owner)

    def upload(self, memory: int, values: NDArray[Any]) -> None:
        """Copy a frame, or whatever else, to the device, on the stream."""
        self._try(self._driver.memcpy_htod_async, memory, values, self._stream)

    def address_of(self, host: FloatArray) -> int:
        """Return the address by which kernels write a result straight into `locked` memory."""
        return self._libcuda.device_address(host)

    def clear(self, memory: int, words: int) -> None:
        """Zero 32-bit words, on the stream."""
        self._try(self._driver.memset_d32_async, memory, 0, words, self._stream)

    def capture(self, record: Callable[[], None]) -> Graph:
        """Record work on the stream into a graph; `BackendError` if the driver refuses."""
        return Graph(self._libcuda, self.stream, record)

    def wait(self) -> None:
        """Wait until the stream has done all that was put on it; Python's lock is free meanwhile."""
        self._try(self._done.record, self._stream)
        self._try(self._done.synchronize)

    def stopwatch(self, launches: Launches) -> Stopwatch:
        """Return what times stages that are put on the stream."""
        return Stopwatch(self._libcuda, self.stream, launches)

    def memory_used(self) -> int:
        """Return the bytes of the GPU that are in use, by whomever."""
        free, total = self._libcuda.free_memory()
        return total - free

    def close(self) -> None:
        """Free everything, the last made first; may be called any number of times."""
        self._module = None
        self._owner.close()


def _import_pycuda() -> Any:
    """Import pycuda and start it; `BackendError` names what to install."""
    try:
        import pycuda.driver as driver
    except ImportError as error:
        raise BackendError(
            f"pycuda cannot be imported ({error}): {how_to_install('tensorrt')}; it is compiled then, which needs "
            "NVIDIA's CUDA toolkit"
        ) from error
    try:
        driver.init()
    except driver.Error as error:
        raise BackendError(f"the GPU's driver does not start: {error}") from error
    return driver
