"""Frame pixels to network pixels, and the only inverse.

A crop of the camera frame is padded to a centred square and resized to the network's square input. Both
directions follow from one frozen record, so they cannot drift apart. When the crop's sides differ by an odd
number the square is one pixel larger, and the odd pixel of padding lies on the right and bottom sides: what
Facemap's preprocessing does, and harmless to any other network.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rtface.errors import UsageError
from rtface.records import Crop, FloatArray


@dataclass(frozen=True, slots=True)
class NetworkFrame:
    """Where a network's input lies in the camera frame.

    Attributes
    ----------
    crop : Crop
        The part of the camera frame that is shown to the network.
    size : int
        Side of the network's input in pixels.
    half_pixel : bool
        True: pixel centres are mapped to pixel centres, as the resize does. False: Facemap's published
        coordinates, which leave out the half pixel and so lie (side / size - 1) / 2 camera pixels further left
        and further up.
    """

    crop: Crop
    size: int
    half_pixel: bool
    _affine: tuple[np.float32, FloatArray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scale = self.side / self.size
        shift = (scale - 1) / 2 if self.half_pixel else 0.0
        offset = np.array([shift - self.left + self.crop.x, shift - self.top + self.crop.y], dtype=np.float32)
        object.__setattr__(self, "_affine", (np.float32(scale), offset))

    @property
    def side(self) -> int:
        """Side of the padded square in camera pixels."""
        width, height = self.crop.width, self.crop.height
        return max(width, height) + (width - height) % 2

    @property
    def left(self) -> int:
        """Columns of padding on the left."""
        return (self.side - self.crop.width) // 2

    @property
    def top(self) -> int:
        """Rows of padding at the top."""
        return (self.side - self.crop.height) // 2

    def to_camera(self, xy: FloatArray) -> FloatArray:
        """Map network pixels to camera pixels.

        Parameters
        ----------
        xy : ndarray, shape (..., 2), float32
            Pixels of the network's input.

        Returns
        -------
        ndarray, shape (..., 2), float32
            Pixels of the full camera frame, not clamped.
        """
        scale, offset = self._affine
        return xy * scale + offset

    def to_network(self, xy: FloatArray) -> FloatArray:
        """Map camera pixels to network pixels; the inverse of `to_camera`."""
        scale, offset = self._affine
        return (xy - offset) / scale


def outside(xy: FloatArray, width: int, height: int) -> NDArray[np.bool_]:
    """Tell which points lie outside the camera frame; NaN is not outside.

    Parameters
    ----------
    xy : ndarray, shape (K, 2), float32
        Camera pixels.
    width, height : int
        Size of the camera frame in pixels; it ends half a pixel beyond its outermost pixel centres.
    """
    low = np.float32(-0.5)
    x, y = xy[:, 0], xy[:, 1]
    beyond: NDArray[np.bool_] = (x < low) | (y < low) | (x > width - 0.5) | (y > height - 0.5)
    return beyond


def check_crop(crop: Crop, width: int, height: int) -> Crop:
    """Return `crop` if it lies within a frame of `width` x `height` pixels.

    Raises
    ------
    UsageError
        It does not; the message names both.
    """
    if crop.x < 0 or crop.y < 0 or crop.width < 1 or crop.height < 1:
        raise UsageError(f"the crop {crop} is not a rectangle of whole pixels")
    if crop.x + crop.width > width or crop.y + crop.height > height:
        raise UsageError(
            f"the crop x={crop.x} y={crop.y} width={crop.width} height={crop.height} reaches beyond "
            f"the camera's frame of {width}x{height} pixels"
        )
    return crop


def whole_frame(width: int, height: int) -> Crop:
    """Return the crop that is the whole frame."""
    return Crop(0, 0, width, height)
