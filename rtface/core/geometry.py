"""Frame pixels to network pixels, and the only inverse.

A crop of the camera frame is padded and resized to the network's input. Both directions follow from one frozen
record, so they cannot drift apart. There are two ways to pad:

- to a centred square, Facemap's way. When the crop's sides differ by an odd number the square is one pixel larger,
  and the odd pixel of padding lies on the right and bottom sides, as in Facemap's preprocessing;
- the shorter side alone, up to the next multiple of `SHORT_STEP` pixels of the network's input, so that a network
  that takes any shape does not spend its time on padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import UsageError
from rtface.core.records import SHORT_STEP, Crop, FloatArray


@dataclass(frozen=True, slots=True)
class NetworkFrame:
    """Where a network's input lies in the camera frame.

    Attributes
    ----------
    crop : Crop
        The part of the camera frame that is shown to the network.
    size : int
        Longer side of the network's input in pixels.
    half_pixel : bool
        True: pixel centres are mapped to pixel centres, as the resize does. False: Facemap's published
        coordinates, which leave out the half pixel and so lie (side / size - 1) / 2 camera pixels further left
        and further up.
    square : bool
        Whether the crop is padded to a square, or its shorter side alone to a multiple of `SHORT_STEP`.
    """

    crop: Crop
    size: int
    half_pixel: bool
    square: bool = True
    _affine: tuple[FloatArray, FloatArray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scale = self.scale
        shift = (scale - 1) / 2 if self.half_pixel else 0.0
        left, top = self.padding
        x, y = shift - left + self.crop.x, shift - top + self.crop.y
        factor = np.full(2, scale, np.float32)
        if self.crop.mirrored:
            factor[0] = -scale
            x = 2 * self.crop.x + self.crop.width - 1 - x
        object.__setattr__(self, "_affine", (factor, np.array([x, y], dtype=np.float32)))

    @property
    def scale(self) -> float:
        """Camera pixels to a pixel of the network's input."""
        width, height = self.crop.width, self.crop.height
        longer = max(width, height)
        return (longer + (width - height) % 2 if self.square else longer) / self.size

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the network's input."""
        if self.square:
            return self.size, self.size
        longer = max(self.crop.width, self.crop.height)
        rows, cols = (
            -(-length * self.size // (SHORT_STEP * longer)) * SHORT_STEP
            for length in (self.crop.height, self.crop.width)
        )
        return rows, cols

    @property
    def padding(self) -> tuple[float, float]:
        """Camera pixels of padding on the left and at the top; whole numbers where the input is square."""
        rows, cols = self.shape
        left, top = cols * self.scale - self.crop.width, rows * self.scale - self.crop.height
        return (round(left) // 2, round(top) // 2) if self.square else (left / 2, top / 2)

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


def seen_mirrored(crop: Crop, width: int) -> Crop:
    """Return where a crop lies in the mirrored frame of `width` pixels; itself not mirrored."""
    return Crop(width - crop.x - crop.width, crop.y, crop.width, crop.height)


@dataclass(frozen=True, slots=True)
class SensorRegion:
    """Which part of its sensor a camera delivers, so that frames of two sessions can be laid over each other.

    Attributes
    ----------
    sensor_width, sensor_height : int
        Pixels of the sensor; 0 where they are not known, and needed only for `reverse_x` and `reverse_y`.
    offset_x, offset_y : int
        Left and top edge of the frame, in pixels of the frame: binned, decimated and mirrored ones.
    binning_x, binning_y : int
        Sensor pixels that are joined into one.
    decimation_x, decimation_y : int
        Of so many binned pixels one is delivered, the first.
    reverse_x, reverse_y : bool
        The camera mirrors the whole picture, before the region is cut out of it.
    """

    sensor_width: int = 0
    sensor_height: int = 0
    offset_x: int = 0
    offset_y: int = 0
    binning_x: int = 1
    binning_y: int = 1
    decimation_x: int = 1
    decimation_y: int = 1
    reverse_x: bool = False
    reverse_y: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> SensorRegion | None:
        """Return what a camera's settings say (`CameraInfo.settings`, a session's ``camera`` entry); None if they say nothing."""
        told = {each.name: settings[each.name] for each in fields(cls) if each.name in settings}
        return cls(**told) if told else None

    def to_sensor(self, xy: FloatArray) -> FloatArray:
        """Map pixels of the camera frame to pixels of its sensor.

        Parameters
        ----------
        xy : ndarray, shape (..., 2), float32
            Pixels of the full camera frame, centres at integers.

        Returns
        -------
        ndarray, shape (..., 2), float32
            Pixels of the sensor, its top left one's centre at (0, 0).

        Raises
        ------
        UsageError
            The picture is mirrored, and how large the sensor is is not known.
        """
        binning = np.array([self.binning_x, self.binning_y], np.float32)
        steps = binning * np.array([self.decimation_x, self.decimation_y], np.float32)
        found = (xy + np.array([self.offset_x, self.offset_y], np.float32)) * steps + (binning - 1) / 2
        for axis, (reverse, size) in enumerate(
            ((self.reverse_x, self.sensor_width), (self.reverse_y, self.sensor_height))
        ):
            if reverse and not size:
                raise UsageError("the camera mirrors its picture and does not say how large its sensor is")
            if reverse:
                found[..., axis] = size - 1 - found[..., axis]
        return np.asarray(found, np.float32)
