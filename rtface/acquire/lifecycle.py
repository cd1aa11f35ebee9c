"""The order of calls that every camera keeps, and the check of the caller's memory."""

from __future__ import annotations

from enum import Enum

import numpy as np

from rtface.core.errors import UsageError
from rtface.core.records import Image


class CameraState(Enum):
    """How far a camera has been taken."""

    CLOSED = "closed"
    OPEN = "open"
    RUNNING = "running"


class Lifecycle:
    """Where a camera stands in ``closed -> open -> running``.

    Parameters
    ----------
    name : str
        What messages call the camera.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = CameraState.CLOSED

    def expect(self, state: CameraState, call: str) -> None:
        """Refuse a call that comes out of order.

        Raises
        ------
        UsageError
            The camera is not in `state`.
        """
        if self.state is not state:
            raise UsageError(
                f"{call}() of the {self.name} camera needs it {state.value}, but it is {self.state.value}"
            )


def check_out(out: Image, height: int, width: int) -> None:
    """Refuse memory that a frame cannot be written into.

    Raises
    ------
    UsageError
        `out` is not a C-contiguous uint8 array of shape (height, width).
    """
    if out.shape != (height, width) or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise UsageError(
            f"a frame needs contiguous uint8 memory of shape {(height, width)}, got {out.dtype} {out.shape}"
        )
