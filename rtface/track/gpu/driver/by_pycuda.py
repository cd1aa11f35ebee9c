"""Commands to a GPU through pycuda: the one file that imports it.

pycuda has a stack of contexts of its own. What is on it is popped by whoever pops next, and a process or thread that ends
with something on it is aborted. So it is empty but for the moment in which pycuda makes an object, and the context of
the work is `rtface.track.gpu.driver.contexts.PrimaryContext`. What was not given back when the process ends is not freed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from rtface.track.gpu.driver.commands import NON_BLOCKING
from rtface.track.gpu.driver.exit import keep_at_exit
from rtface.track.gpu.libcuda import Libcuda
from rtface.track.gpu.owner import Owner

_in_use: dict[int, Any] = {}
keep_at_exit(_in_use)


class PycudaCommands:
    """See `rtface.track.gpu.driver.commands.Commands`.

    Parameters
    ----------
    libcuda : Libcuda
        The driver.
    index : int
        Number of the GPU.

    Raises
    ------
    ImportError
        pycuda is not installed, or cannot be loaded.
    BackendError
        It does not start.
    """

    def __init__(self, libcuda: Libcuda, index: int) -> None:
        import pycuda.driver as driver

        self._libcuda = libcuda
        self._index = index
        self._driver: Any = driver
        self._context: Any = None
        self._stream: Any = None
        self._done: Any = None
        self._try(driver.init)

    def open(self, owner: Owner) -> None:
        """Make the stream."""
        driver = self._driver
        self._context = _held(self._try(lambda: driver.Device(self._index).retain_primary_context()))
        owner.gives_back(self._detach)
        with self._on_its_stack():
            self._stream = _held(self._try(driver.Stream, NON_BLOCKING))
            owner.gives_back(self._forget)
            self._done = _held(self._try(driver.Event, driver.event_flags.DISABLE_TIMING))

    def _detach(self) -> None:
        """Let the context go; pycuda pushes it on the driver's stack for that, and leaves it there."""
        context, self._context = _let_go(self._context), None
        self._try(context.detach)
        self._libcuda.pop_context()

    def _forget(self) -> None:
        """Let stream and event go, which pycuda frees with them."""
        _let_go(self._stream)
        _let_go(self._done)
        self._stream = self._done = None

    @contextmanager
    def _on_its_stack(self) -> Iterator[None]:
        self._try(self._context.push)
        try:
            yield
        finally:
            self._try(self._driver.Context.pop)

    def _try(self, step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except self._driver.Error as error:
            raise self._libcuda.failed(f"the GPU failed: {error}") from error

    @property
    def stream(self) -> int:
        """The stream's handle."""
        handle: int = self._stream.handle
        return handle

    def allocate(self, count: int, owner: Owner) -> int:
        """Return the address of `count` bytes of the GPU's memory, which `owner` gives back."""
        with self._on_its_stack():
            allocation = _held(self._try(self._driver.mem_alloc, count))
        owner.gives_back(lambda: _let_go(allocation).free())
        return int(allocation)

    def upload(self, memory: int, values: NDArray[Any]) -> None:
        """Put a copy from the host to the GPU on the stream."""
        self._try(self._driver.memcpy_htod_async, memory, values, self._stream)

    def clear(self, memory: int, words: int) -> None:
        """Put the zeroing of 32-bit words on the stream."""
        self._try(self._driver.memset_d32_async, memory, 0, words, self._stream)

    def wait(self) -> None:
        """Wait until the stream has done all that was put on it; Python's lock is free meanwhile."""
        self._try(self._done.record, self._stream)
        self._try(self._done.synchronize)


def _held(made: Any) -> Any:
    _in_use[id(made)] = made
    return made


def _let_go(made: Any) -> Any:
    return _in_use.pop(id(made), made)
