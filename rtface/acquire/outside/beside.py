"""A source in a process of its own that has more to hand over with each frame than its pixels, and more to be asked."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from rtface.acquire.base import Camera
from rtface.core.records import Image


@runtime_checkable
class BesideCamera(Camera, Protocol):
    """A `Camera` that puts bytes beside each frame, into the same slot of shared memory: they are handed over with it.

    Attributes
    ----------
    CALLS : frozenset of str
        Methods that may be called from the other process, with plain values; they return plain values.
    """

    CALLS: ClassVar[frozenset[str]]

    def put_beside(self, out: Image) -> None:
        """Put what goes with the frame that `fill` just returned.

        Parameters
        ----------
        out : ndarray, shape (B,), uint8
            As many bytes as the other side asked for.
        """
