"""Frames in locked memory: lent to the ring, taken back when nothing refers to them any more."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np

from rtface.core.records import Image


class LockedFrames:
    """Memory that a GPU copies from directly, used again when the camera is paused and started anew.

    Parameters
    ----------
    lock : callable
        Makes zeroed, locked memory of a shape.
    """

    def __init__(self, lock: Callable[[tuple[int, int]], Image]) -> None:
        self._lock = lock
        self._addresses: set[int] = set()
        self._free: dict[tuple[int, int], list[Image]] = {}

    def lend(self, shape: tuple[int, int]) -> Image:
        """Return memory for one frame, zeroed."""
        free = self._free.setdefault(shape, [])
        memory = free.pop() if free else self._lock(shape)
        memory[:] = 0
        # Whoever holds a part of a frame holds `lent`: numpy's views refer to the last array whose memory is another's.
        lent = np.frombuffer(memory.data.cast("B"), np.uint8)
        self._addresses.add(address_of(lent))
        weakref.finalize(lent, free.append, memory).atexit = False
        return lent.reshape(shape)

    def holds(self, frame: Image) -> bool:
        """Tell whether a frame lies in memory that was lent, as it was lent."""
        return frame.flags.c_contiguous and address_of(frame) in self._addresses

    def forget(self) -> None:
        """Lend nothing again of what was locked so far: it is about to be unlocked."""
        self._addresses.clear()
        self._free.clear()


def address_of(frame: Image) -> int:
    """Return where a frame begins in memory."""
    address: int = frame.__array_interface__["data"][0]
    return address
