"""The test producer of `tests/gentl`: built, and what its pictures truly show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from support.paths import TESTS

SOURCES = TESTS / "gentl"
STATE_VARIABLE = "RTFACE_TEST_GENTL_STATE"
GIGE, USB3, CUSTOM, BUSY, HANGS = "gige-0", "usb3-1", "custom-2", "busy-3", "hangs-4"
"""Serial numbers of its cameras."""


def build(folder: Path) -> Path:
    """Compile the producer, unless another process has, and return it."""
    import fcntl  # Linux, where alone the producer runs

    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            ["make", "-s", "-C", str(SOURCES), f"OUT={folder}", f"PYTHON={sys.executable}"],
            check=True,
            timeout=100,
        )
    return folder / "testgentl.cti"


def plug_in(state: Path) -> None:
    """Bring back every camera that is unplugged by the file that `STATE_VARIABLE` names, where no camera is open."""
    state.write_bytes(bytes(state.stat().st_size))


def true_light(
    number: int,
    width: int,
    height: int,
    *,
    left: int = 0,
    top: int = 0,
    binning: tuple[int, int] = (1, 1),
    colour: int = 0,
) -> NDArray[np.uint16]:
    """Return what falls on the sensor, in 16 bits.

    Parameters
    ----------
    number : int
        Frame, from 1 since the acquisition started.
    width, height, left, top : int
        Region of interest, in binned pixels.
    binning : tuple of int
        Horizontal and vertical.
    colour : int
        0 red (and gray), 1 green, 2 blue.
    """
    x = (left + np.arange(width)) * binning[0]
    y = (top + np.arange(height)) * binning[1]
    light = np.add.outer(y * 4093, x * 2521) + number * 911 + colour * 20011
    return (light & 0xFFFF).astype(np.uint16)


def true_gray(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return the picture in the 8 bits that every mono format comes down to."""
    return (true_light(number, width, height) >> 8).astype(np.uint8)


def number_shown(picture: NDArray[np.uint8], numbers: range = range(1, 1 << 16)) -> int:
    """Return the number of the frame that a picture shows, from its content alone."""
    height, width = picture.shape
    of_corner = (np.arange(numbers.start, numbers.stop) * 911 & 0xFFFF) >> 8 == picture[0, 0]
    for number in np.arange(numbers.start, numbers.stop)[of_corner].tolist():
        if np.array_equal(picture, true_gray(number, width, height)):
            return number
    raise AssertionError("the picture is none of the producer's, or not whole")
