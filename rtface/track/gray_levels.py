"""Intensity levels of a frame: exact percentiles from a histogram.

Facemap scales each frame so that its 1st percentile becomes 0 and its 99th 1, over the whole uncropped frame.
For 8-bit pixels a 256-bin histogram gives the same percentiles as sorting, a hundred times faster.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FloatArray, Image

_BINS = [256]
_RANGE = [0.0, 256.0]
_CHANNEL = [0]


def levels(frame: Image, low: float = 1.0, high: float = 99.0, row_step: int = 1) -> FloatArray:
    """Return two percentiles of a frame, with linear interpolation between ranks.

    Parameters
    ----------
    frame : ndarray, shape (height, width), uint8
        The whole camera frame.
    low, high : float
        Percentiles, 0 to 100.
    row_step : int
        Every how many rows are counted: a face's gray levels vary so smoothly from row to row that a quarter
        of them gives the percentiles within a gray level, in a quarter of the time.

    Returns
    -------
    ndarray, shape (2,), float32
        Gray levels; equal to ``numpy.percentile(frame[::row_step], [low, high])``.
    """
    counts = cv2.calcHist([frame[::row_step]], _CHANNEL, None, _BINS, _RANGE).ravel()
    return percentiles(counts, (low, high))


def percentiles(counts: NDArray[np.generic], wanted: tuple[float, ...]) -> FloatArray:
    """Return percentiles of integer values from their histogram.

    Parameters
    ----------
    counts : ndarray, shape (256,)
        How often each value occurs; whole numbers of at most 2**24 in any dtype.
    wanted : tuple of float
        Percentiles, 0 to 100.

    Returns
    -------
    ndarray, shape (len(wanted),), float32
    """
    cumulative = counts.astype(np.int64).cumsum()
    total = int(cumulative[-1])
    ranks = np.asarray(wanted) / 100.0 * (total - 1)
    below = np.floor(ranks).astype(np.int64)
    above = np.minimum(below + 1, total - 1)
    value_below = cumulative.searchsorted(below, side="right")
    value_above = cumulative.searchsorted(above, side="right")
    return (value_below + (ranks - below) * (value_above - value_below)).astype(np.float32)
