"""What is made of a frame for whoever looks on: a smaller picture, histogram, saturated pixels, focus. No socket, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import UsageError
from rtface.core.records import Image
from rtface.publish.pictures.message import LEVELS

FOCUS_SIDE = 512
"""Pixels that `focus_of` looks at, either way: those in the middle."""

_SATURATED = 255
_SOBEL_GAIN = 8
"""A ramp of one gray level a pixel gives 8 by OpenCV's 3 x 3 Sobel."""
_SMALLEST = 3


def histogram_of(image: Image) -> tuple[NDArray[np.uint32], int]:
    """Return how many pixels have each four gray levels, shape (64,), and how many are saturated (255)."""
    counts = cv2.calcHist([image], [0], None, [256], [0, 256]).ravel()
    return counts.reshape(LEVELS, -1).sum(axis=1).astype(np.uint32), int(counts[_SATURATED])


def focus_of(image: Image) -> float:
    """Return how sharp the middle of an image is: larger is sharper, for one scene under one light.

    The mean of the squared gradient (Sobel, 3 x 3, gray levels a pixel) over the squared mean gray level. The sum of
    squared gradients is Tenengrad, of J. M. Tenenbaum's thesis (Stanford, 1970), as E. Krotkov, "Focusing", Int. J.
    Comput. Vis. 1 (1988) 223-237, compares it with others; S. Pertuz, D. Puig, M. A. Garcia, "Analysis of focus measure
    operators for shape-from-focus", Pattern Recognit. 46 (2013) 1415-1432, has it as GRA6. Divided by the squared mean it
    does not rise with the light's power or the exposure.

    Parameters
    ----------
    image : ndarray, shape (H, W), uint8

    Returns
    -------
    float
        NaN where the image is black there, or smaller than 3 pixels either way.
    """
    rows, columns = (
        slice(max(0, (side - FOCUS_SIDE) // 2), (side + FOCUS_SIDE) // 2) for side in image.shape
    )
    middle = image[rows, columns]
    mean = float(cv2.mean(middle)[0])
    if min(middle.shape) < _SMALLEST or mean == 0:
        return math.nan
    squared = 0.0
    for across, down in ((1, 0), (0, 1)):
        gradient = cv2.Sobel(middle, cv2.CV_16S, across, down, ksize=3)
        squared += cv2.norm(gradient, cv2.NORM_L2SQR)
    return squared / _SOBEL_GAIN**2 / middle.size / mean**2


def fitted(image: Image, longest: int) -> Image:
    """Return an image with neither side longer than `longest`, of the same shape; itself where it is no larger.

    Whole squares of pixels are averaged first, then neighbours interpolated: several times as fast as averaging by a
    broken number, with as little of false patterns.
    """
    height, width = image.shape
    if max(height, width) <= longest:
        return image
    scale = longest / max(height, width)
    size = tuple(max(1, round(side * scale)) for side in (width, height))
    whole = int(1 / scale)
    if whole > 1:
        image = _resized(image, (max(1, width // whole), max(1, height // whole)), cv2.INTER_AREA)
    return _resized(image, size, cv2.INTER_LINEAR)


def _resized(image: Image, size: Sequence[int], interpolation: int) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


def jpeg_of(image: Image, quality: int) -> bytes:
    """Return an image as JPEG.

    Raises
    ------
    UsageError
        OpenCV cannot encode it.
    """
    done, jpeg = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise UsageError(f"an image of shape {image.shape} could not be encoded as JPEG")
    return jpeg.tobytes()
