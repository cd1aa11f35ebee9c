"""Pixel formats of GenICam's naming convention (PFNC), and GigE Vision's older ones, as 8-bit gray.

A value of d bits comes down to its upper 8. A mosaic is brought to 8 bits first, then each pixel's missing colours are taken
from its neighbours (bilinear), and the three weighted as OpenCV weights them (0.299 red, 0.587 green, 0.114 blue).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import CameraLostError, CameraSettingError
from rtface.core.records import Image

_MOSAICS = {"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}
"""By the first two colours of the first line: the first two of it and of the second."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How pixels lie in memory.

    Attributes
    ----------
    name : str
        As the device gives it.
    bits : int
        Of a value.
    pitch : int
        Bits from one pixel to the next.
    upper : tuple of int
        Of pixels that share bytes, for each of the fewest that fill whole ones: where its upper 8 bits begin, counted from the
        lowest bit of the first byte. Empty where pixels begin at whole bytes.
    to_gray : str
        OpenCV's conversion, after ``COLOR_``; empty for gray.
    """

    name: str
    bits: int
    pitch: int
    upper: tuple[int, ...] = ()
    to_gray: str = ""

    def stride(self, width: int, padding: int) -> int:
        """Return the bytes of a line, with the padding at its end; of a picture whose lines run on (`runs_on`) of none."""
        return -(-width * self.pitch // 8) + padding

    def runs_on(self, width: int, padding: int) -> bool:
        """Return whether lines begin within a byte, where the one before it ended: so packed pixels do without padding."""
        return padding == 0 and width * self.pitch % 8 != 0

    def stored_bytes(self, width: int, height: int, padding: int) -> int:
        """Return the bytes of a picture."""
        if self.runs_on(width, padding):
            return -(-width * height * self.pitch // 8)
        return self.stride(width, padding) * height


def _formats() -> dict[str, PixelFormat]:
    found = [
        PixelFormat(f"{order}8{old}", 8, 24, (), f"{order}2GRAY")
        for order in ("RGB", "BGR")
        for old in ("", "Packed")
    ]
    for colours, to_gray in {
        "Mono": "",
        **{f"Bayer{name}": f"Bayer{tile}2GRAY" for name, tile in _MOSAICS.items()},
    }.items():
        found.append(PixelFormat(f"{colours}8", 8, 8, (), to_gray))
        for bits in (10, 12, 14, 16):
            found.append(PixelFormat(f"{colours}{bits}", bits, 16, (), to_gray))
        for bits, pixels in ((10, 4), (12, 2), (14, 4)):
            upper = tuple(bits * pixel + bits - 8 for pixel in range(pixels))
            found.append(PixelFormat(f"{colours}{bits}p", bits, bits, upper, to_gray))
        # Two pixels in three bytes: their upper 8 bits in the outer ones, what is left of both in that between.
        found += [PixelFormat(f"{colours}{bits}Packed", bits, 12, (0, 16), to_gray) for bits in (10, 12)]
    return {
        each.name: each
        for each in sorted(found, key=lambda each: (each.to_gray, each.bits, each.pitch, each.name))
    }


FORMATS = _formats()
"""Those that can be read, by name, gray first."""


def readable(name: str, offered: Sequence[str], label: str) -> PixelFormat:
    """Return a pixel format by its name.

    Parameters
    ----------
    name : str
    offered : sequence of str
        Formats that the camera has.
    label : str
        What messages call it.

    Raises
    ------
    CameraSettingError
        It cannot be read; the message names those that can.
    """
    if name in FORMATS:
        return FORMATS[name]
    possible = [each for each in offered if each in FORMATS]
    raise CameraSettingError(
        f"camera {label}: pixel_format {name!r} cannot be read; possible with this camera: "
        f"{', '.join(possible) or 'none, for it has none of ' + ', '.join(FORMATS)}"
    )


def depth_of(pixels: PixelFormat, largest: int | None) -> int:
    """Return the bits in use: fewer than the format has where the device says that its largest value is smaller.

    Parameters
    ----------
    pixels : PixelFormat
        What the device delivers.
    largest : int or None
        The largest value that it gives out (``PixelDynamicRangeMax``), if it says so.
    """
    if pixels.pitch != 16 or largest is None or not 2**8 <= largest + 1 <= 2**pixels.bits:
        return pixels.bits
    return largest.bit_length()


class GrayReader:
    """Turns pictures of one format and size into 8-bit gray, in memory that it keeps for the next one.

    Parameters
    ----------
    pixels : PixelFormat
        How they lie in memory.
    width, height : int
        Size in pixels.
    bits : int
        Those in use, as `depth_of` gives them. A value that needs more is white.
    """

    def __init__(self, pixels: PixelFormat, width: int, height: int, bits: int) -> None:
        import cv2

        self._pixels, self._shape = pixels, (height, width)
        self._code: int | None = getattr(cv2, f"COLOR_{pixels.to_gray}") if pixels.to_gray else None
        shift = bits - 8
        # OpenCV scales, rounds and saturates in one pass; less almost half a step, rounding is cutting off.
        self._scale, self._less = 2.0**-shift, 2.0 ** -(shift + 1) - 0.5
        needs_mosaic = self._code is not None and (pixels.pitch == 16 or pixels.upper)
        self._mosaic = np.empty(self._shape, np.uint8) if needs_mosaic else None
        self._kept: NDArray[np.uint16] = np.empty(0, "<u2")

    def read(self, data: NDArray[np.uint8], padding: int, out: Image) -> None:
        """Write a picture as gray.

        Parameters
        ----------
        data : ndarray, shape (stored_bytes,), uint8
            The picture, with the padding at the ends of its lines.
        padding : int
            Bytes of it.
        out : ndarray, shape (height, width), uint8, C-contiguous
            Where to.
        """
        import cv2

        (height, width), pixels = self._shape, self._pixels
        if pixels.upper:
            self._unpack(data, padding, out if self._mosaic is None else self._mosaic)
        elif pixels.pitch == 16:
            lines = self._lines(data, padding)
            deep = (lines if lines.strides[0] % 2 == 0 else np.ascontiguousarray(lines)).view("<u2")
            target = out if self._mosaic is None else self._mosaic
            cv2.convertScaleAbs(deep, dst=target, alpha=self._scale, beta=self._less)
        elif self._code is None:
            np.copyto(out, self._lines(data, padding))
        elif pixels.pitch == 24:
            cv2.cvtColor(self._lines(data, padding).reshape(height, width, 3), self._code, dst=out)
        else:
            cv2.cvtColor(self._lines(data, padding), self._code, dst=out)
        if self._mosaic is not None and self._code is not None:
            cv2.cvtColor(self._mosaic, self._code, dst=out)

    def _lines(self, data: NDArray[np.uint8], padding: int) -> NDArray[np.uint8]:
        """Return the picture's lines without their padding."""
        height, width = self._shape
        stride = self._pixels.stride(width, padding)
        return data.reshape(height, stride)[:, : stride - padding]

    def _unpack(self, data: NDArray[np.uint8], padding: int, target: Image) -> None:
        """Write the upper 8 bits of pixels that share bytes."""
        (height, width), upper = self._shape, self._pixels.upper
        in_group, group_bytes = len(upper), len(upper) * self._pixels.pitch // 8
        if self._pixels.runs_on(width, padding):
            lines, rows, columns = data.reshape(1, -1), 1, height * width
        else:
            lines, rows, columns = data.reshape(height, -1), height, width
        groups, is_whole = -(-columns // in_group), columns % in_group == 0
        if not is_whole:
            lines = np.pad(lines, ((0, 0), (0, group_bytes)))
        wanted = target if is_whole else np.empty((rows, groups * in_group), np.uint8)
        into = wanted.reshape(rows, groups, in_group)
        for place, begin in enumerate(upper):
            byte, shift = divmod(begin, 8)
            if shift == 0:
                np.copyto(
                    into[..., place], lines[:, byte : byte + (groups - 1) * group_bytes + 1 : group_bytes]
                )
                continue
            # Two bytes as one number, wherever they lie: shifting single ones left and right takes four times as long.
            pairs = np.ndarray((rows, groups), "<u2", lines.data, byte, (lines.strides[0], group_bytes))
            np.copyto(into[..., place], self._lower_bytes(pairs, shift))
        if not is_whole:
            np.copyto(target, wanted[:, :columns].reshape(height, width))

    def _lower_bytes(self, pairs: NDArray[np.uint16], shift: int) -> NDArray[np.uint8]:
        """Return the lower bytes of numbers that are shifted down, in memory that is kept."""
        if self._kept.shape != pairs.shape:
            self._kept = np.empty(pairs.shape, "<u2")
        np.copyto(self._kept, pairs)
        np.right_shift(self._kept, shift, out=self._kept)
        return self._kept.view(np.uint8)[:, ::2]


class DeliveredFormat:
    """Holds that a camera goes on to deliver the pixels that it began with.

    Parameters
    ----------
    label : str
        What messages call the camera.
    asked : PixelFormat
        As it was set.
    """

    def __init__(self, label: str, asked: PixelFormat) -> None:
        self._label, self._asked = label, asked
        self._code: int | None = None

    def restart(self) -> None:
        """Take the next frame's for that with which it begins."""
        self._code = None

    def require(self, code: int | None) -> None:
        """Take a frame's format, a code of the pixel format naming convention; None where the driver does not tell.

        Raises
        ------
        CameraLostError
            It is another than before.
        """
        if self._code not in (None, code):
            raise CameraLostError(
                f"camera {self._label} delivers pixels of another format than before "
                f"({'unknown' if code is None else f'{code:#010x}'}, before {self._code:#010x}); {self._asked.name} was set"
            )
        self._code = code
