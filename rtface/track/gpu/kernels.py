"""How the kernels of kernels.cu are launched: grids, arguments, and the numbers that the host works out.

Everything that depends on shapes alone is worked out here, in float32 and in the order of
`rtface.networks.graph.PadResize`, and handed to the kernels: they compute the same neighbours and weights to the last
bit. The ranks of the percentiles are worked out in float64, as `rtface.track.gray_levels.percentiles` does.

Nothing here calls CUDA. Device memory is an address, a `Launch` is data, which the owner of a driver carries out.

Verified without a GPU: the tests run kernels.cu on the CPU, launched by these very records, against numpy and torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from rtface.core.geometry import NetworkFrame
from rtface.core.records import Crop
from rtface.track.manifest import LevelsSpec

THREADS = 256
"""Threads of a block, for every kernel."""

_PIECE = 16
_MOST_BLOCKS = 128
_FRACTION = 2.0**56
_BLOCK = (THREADS, 1, 1)


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of a kernel.

    Attributes
    ----------
    function : str
        The kernel's name in the PTX.
    grid, block : tuple of int
        Blocks, and threads of each, in x, y and z.
    arguments : tuple of numpy scalars
        In the kernel's order, each of the size that the kernel takes: uint64 (device pointers, and the fractions of
        ranks), int32, float32.
    """

    function: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[np.generic, ...]


def histogram(frame: int, counts: int, frame_shape: tuple[int, int], row_step: int) -> Launch:
    """Count the gray levels of every `row_step`-th row of a frame.

    Parameters
    ----------
    frame : int
        Device address of the frame, uint8 [height, width], contiguous; of any alignment, fastest at a multiple of 16.
    counts : int
        Device address of uint32 [256], to which is added: set it to zero before.
    frame_shape : tuple of int
        Height and width in pixels.
    row_step : int
        Every how many rows are counted, beginning with the first.
    """
    height, width = frame_shape
    # All rows are one long row: no piece of 16 bytes is then cut at a row's end.
    rows, length, pitch = (1, height * width, 0) if row_step == 1 else _rows(height, width, row_step)
    pieces = rows * ((length + 2 * (_PIECE - 1)) // _PIECE)
    arguments = (np.uint64(frame), np.uint64(counts), np.int32(rows), np.int32(length), np.int32(pitch))
    return Launch("histogram", (min(-(-pieces // THREADS), _MOST_BLOCKS), 1, 1), _BLOCK, arguments)


def prepare(
    frame: int,
    counts: int,
    out: int,
    frame_shape: tuple[int, int],
    crop: Crop,
    size: int,
    square: bool,
    normalise: LevelsSpec,
    half: bool,
) -> Launch:
    """Crop, pad, resize and normalise a frame to the network's input, as `rtface.networks.graph.PadResize` does.

    Parameters
    ----------
    frame : int
        Device address of the whole frame, uint8 [height, width], contiguous.
    counts : int
        Device address of what `histogram` left, with the same `row_step`.
    out : int
        Device address of the network's input, [rows, columns] of `NetworkFrame.shape`, float32 or float16.
    frame_shape : tuple of int
        Height and width in pixels.
    crop : Crop
        The part that the network is shown; lies within the frame (`rtface.core.geometry.check_crop`).
    size : int
        Longer side of the network's input in pixels.
    square : bool
        Whether the input is square.
    normalise : LevelsSpec
        Which percentiles of the frame become 0 and 1.
    half : bool
        Whether `out` is float16, rounded to nearest even.
    """
    height, width = frame_shape
    rows, cols = NetworkFrame(crop, size, True, square).shape
    counted, _, _ = _rows(height, width, normalise.row_step)
    arguments: tuple[np.generic, ...] = (
        np.uint64(frame + crop.y * width + crop.x),
        np.uint64(counts),
        np.uint64(out),
        *(np.int32(number) for number in (width, crop.height, crop.width, rows, cols)),
        *_geometry(crop, size, square, rows, cols),
        *_rank(normalise.low, counted * width),
        *_rank(normalise.high, counted * width),
    )
    name = "prepare_f16" if half else "prepare_f32"
    return Launch(name, (-(-rows * cols // THREADS), 1, 1), _BLOCK, arguments)


def decode_small(
    logits: int, intercept: int, slope: float, out: int, keypoints: int, rows: int, cols: int
) -> Launch:
    """Find keypoints in maps of logits, as `rtface.networks.small.SmallDecode` does.

    Parameters
    ----------
    logits : int
        Device address of float32 [keypoints, rows, cols].
    intercept : int
        Device address of float32 [keypoints].
    slope : float
        Of the score.
    out : int
        Device address of float32 [keypoints, 3]: x, y in pixels of the network's input, score. All three are NaN
        where a map holds a NaN.
    keypoints, rows, cols : int
        Shape of the maps.
    """
    arguments = (
        np.uint64(logits),
        np.uint64(intercept),
        np.uint64(out),
        np.int32(rows),
        np.int32(cols),
        np.float32(slope),
    )
    return Launch("decode_small", (keypoints, 1, 1), _BLOCK, arguments)


def decode_facemap(
    heat: int, row_offset: int, col_offset: int, out: int, keypoints: int, rows: int, cols: int
) -> Launch:
    """Find keypoints in Facemap's maps, as `rtface.networks.graph.FacemapDecode` does.

    Parameters
    ----------
    heat, row_offset, col_offset : int
        Device addresses of float32 [keypoints, rows, cols] each.
    out : int
        Device address of float32 [keypoints, 4]: x, y in pixels of the network's input, score, likelihood.
    keypoints, rows, cols : int
        Shape of the maps.
    """
    arguments = (
        np.uint64(heat),
        np.uint64(row_offset),
        np.uint64(col_offset),
        np.uint64(out),
        np.int32(rows),
        np.int32(cols),
    )
    return Launch("decode_facemap", (keypoints, 1, 1), _BLOCK, arguments)


def ptx() -> bytes:
    """Return the kernels as PTX, ended by the NUL that the driver needs."""
    return files(__package__).joinpath("kernels.ptx").read_bytes() + b"\0"


def _rows(height: int, width: int, row_step: int) -> tuple[int, int, int]:
    """Return how many rows are counted, their length and their distance in bytes."""
    return -(-height // row_step), width, width * row_step


def _geometry(crop: Crop, size: int, square: bool, rows: int, cols: int) -> tuple[np.float32, ...]:
    """Return the scale, the least and the greatest position, and what is taken off those of rows and of columns."""
    longer, shorter = max(crop.width, crop.height), min(crop.width, crop.height)
    if square:
        side = longer + (longer - shorter) % 2
        scale = np.float32(side) / np.float32(size)
        before = (np.float32((side - length) // 2) for length in (crop.height, crop.width))
        return scale, np.float32(0), np.float32(side - 1), *before
    scale = np.float32(longer) / np.float32(size)
    padding = (
        (np.float32(count) * scale - np.float32(length)) / np.float32(2)
        for count, length in ((rows, crop.height), (cols, crop.width))
    )
    return scale, np.float32(-np.inf), np.float32(np.inf), *padding


def _rank(percentile: float, total: int) -> tuple[np.int32, np.int32, np.uint64]:
    """Return the ranks between which a percentile of `total` values lies, and how far from the first, in 2**-56.

    A fraction of a rank of a sixteenth or more is a whole number of 2**-56, so the kernel interpolates exactly and
    rounds once, to float32, without float64.
    """
    rank = percentile / 100.0 * (total - 1)
    below = math.floor(rank)
    return np.int32(below), np.int32(min(below + 1, total - 1)), np.uint64((rank - below) * _FRACTION)
