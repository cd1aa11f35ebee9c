"""A GPU in the hands of one thread: its context, stream, memory and kernels.

The device's primary context is shared with every other library in the process (torch, TensorRT), so nothing here makes
a context of its own. Everything is freed in the reverse order of its making, in the thread that made it, before the
context is let go. Memory for frames is ordinary memory whose pages are locked while the device is open: whoever still
holds a frame afterwards holds valid memory.
"""

from __future__ import annotations

import logging
import math
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import BackendError
from rtface.core.extras import is_installed
from rtface.core.records import FloatArray, Image
from rtface.track.gpu.driver.by_driver import DriverCommands
from rtface.track.gpu.driver.by_pycuda import PycudaCommands
from rtface.track.gpu.driver.commands import Commands
from rtface.track.gpu.driver.contexts import PrimaryContext
from rtface.track.gpu.libcuda import Graph, Libcuda, Module
from rtface.track.gpu.owner import Owner
from rtface.track.gpu.stopwatch import Launches, Stopwatch

_log = logging.getLogger(__name__)


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
        self._context: PrimaryContext | None = None
        self._commands: Commands | None = None
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
            The driver refused.
        """
        with Owner() as owner:
            self._libcuda.wait_by_spinning(self._index)
            context = PrimaryContext(self._libcuda, self._index)
            owner.gives_back(context.release)
            context.push()
            owner.gives_back(context.pop)
            commands = commands_for(self._libcuda, self._index)
            commands.open(owner)
            module = Module(self._libcuda, ptx)
            owner.gives_back(module.unload)
            self._context, self._commands, self._module = context, commands, module
            self._owner.push(owner.pop_all())

    def make_current(self) -> None:
        """Have what is called be for this GPU, whatever else the thread has worked on since."""
        if self._context is not None:
            self._context.make_current()

    @property
    def stream(self) -> int:
        """Handle of the device's stream."""
        return self._opened().stream

    @property
    def module(self) -> Module:
        """The kernels; `BackendError` before `open`."""
        if self._module is None:
            raise BackendError("the GPU is not open")
        return self._module

    def _opened(self) -> Commands:
        if self._commands is None:
            raise BackendError("the GPU is not open")
        return self._commands

    def allocate(self, count: int, owner: Owner) -> int:
        """Return the address of `count` bytes of device memory."""
        return self._opened().allocate(count, owner)

    def locked(self, shape: tuple[int, ...], dtype: type[np.generic], owner: Owner) -> NDArray[Any]:
        """Return zeroed host memory whose pages are locked until its owner gives it back; it stays valid then."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        pages = np.frombuffer(mmap.mmap(-1, size), np.uint8)
        self._libcuda.lock_pages(pages)
        owner.gives_back(lambda: self._libcuda.unlock_pages(pages))
        return pages.view(dtype).reshape(shape)

    def locked_frame(self, shape: tuple[int, int]) -> Image:
        """Return locked memory for a frame, until `close`."""
        self.make_current()
        return self.locked(shape, np.uint8, self._owner)

    def upload(self, memory: int, values: NDArray[Any]) -> None:
        """Copy a frame, or whatever else, to the device, on the stream."""
        self._opened().upload(memory, values)

    def address_of(self, host: FloatArray) -> int:
        """Return the address by which kernels write a result straight into `locked` memory."""
        return self._libcuda.device_address(host)

    def clear(self, memory: int, words: int) -> None:
        """Zero 32-bit words, on the stream."""
        self._opened().clear(memory, words)

    def capture(self, record: Callable[[], None]) -> Graph:
        """Record work on the stream into a graph; `BackendError` if the driver refuses."""
        return Graph(self._libcuda, self.stream, record)

    def wait(self) -> None:
        """Wait until the stream has done all that was put on it; Python's lock is free meanwhile."""
        self._opened().wait()

    def stopwatch(self, launches: Launches) -> Stopwatch:
        """Return what times stages that are put on the stream."""
        return Stopwatch(self._libcuda, self.stream, launches)

    def memory_used(self) -> int:
        """Return the bytes of the GPU that are in use, by whomever."""
        self.make_current()
        free, total = self._libcuda.free_memory()
        return total - free

    def close(self) -> None:
        """Free everything, the last made first; may be called any number of times."""
        if self._context is not None:
            self._owner.gives_back(self._context.make_current)
        self._owner.close()
        self._context = self._commands = self._module = None


def commands_for(libcuda: Libcuda, index: int) -> Commands:
    """Return what gives a GPU its commands: pycuda where it is installed, else the driver itself.

    Parameters
    ----------
    libcuda : Libcuda
        The driver.
    index : int
        Number of the GPU, whose primary context is current.
    """
    if is_installed("pycuda"):
        try:
            return PycudaCommands(libcuda, index)
        except ImportError as error:
            _log.warning("pycuda is installed and cannot be imported (%s): rtface works without it", error)
    return DriverCommands(libcuda)
