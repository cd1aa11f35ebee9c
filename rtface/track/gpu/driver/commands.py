"""What is asked of a GPU frame after frame: the contract of the two ways to do so, by pycuda and by the driver itself."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from rtface.track.gpu.owner import Owner

NON_BLOCKING = 1
"""Of a stream: it does not wait for the default stream, which other libraries may use."""


class Commands(Protocol):
    """A stream of one GPU, and memory; used by one thread, in which the GPU's primary context is current.

    Everything raises `BackendError` with the driver's error. Host memory is locked and C-contiguous.
    """

    def open(self, owner: Owner) -> None:
        """Make the stream; `owner` gives it back."""

    @property
    def stream(self) -> int:
        """The stream's handle."""

    def allocate(self, count: int, owner: Owner) -> int:
        """Return the address of `count` bytes of the GPU's memory, which `owner` gives back."""

    def upload(self, memory: int, values: NDArray[Any]) -> None:
        """Put a copy from the host to the GPU on the stream."""

    def clear(self, memory: int, words: int) -> None:
        """Put the zeroing of 32-bit words on the stream."""

    def wait(self) -> None:
        """Wait until the stream has done all that was put on it; Python's lock is free meanwhile."""
