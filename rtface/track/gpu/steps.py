"""The kernels before and after the network, bound to one stream and the memory that they work on."""

from __future__ import annotations

from dataclasses import dataclass

from rtface.core.errors import EngineError
from rtface.core.records import Crop
from rtface.track.gpu import kernels
from rtface.track.gpu.libcuda import Module
from rtface.track.manifest import Manifest

COUNTS = 256
"""Words of 32 bits of a frame's histogram; zero before each frame."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where things lie in the GPU's memory.

    Attributes
    ----------
    frame : int
        The whole camera frame, uint8.
    counts : int
        Its histogram, uint32 [256].
    prepared : int
        The network's input, [rows, columns], float16 or float32.
    maps : tuple of int
        The network's outputs, float32 [K, rows, columns] each, in the order of the decode's arguments.
    intercept : int
        The small decode's intercepts, float32 [K]; not read by the other.
    out : int
        The keypoints, float32 [K, C]: locked memory of the host's, by the GPU's address of it.
    """

    frame: int
    counts: int
    prepared: int
    maps: tuple[int, ...]
    intercept: int
    out: int


class Steps:
    """What to put on a stream before the network and after it.

    Parameters
    ----------
    module : Module
        The kernels.
    stream : int
        Handle of the stream.
    manifest : Manifest
        The engine's, for its preprocessing and its decode.
    frame_shape : tuple of int
        Rows and columns of a camera frame.
    crop : Crop
        The part of it that the network is shown.
    map_shape : tuple of int
        Keypoints, rows and columns of each of the network's outputs.
    half : bool
        Whether the network's input is float16.
    slope : float
        Of the small decode; not read by the other.
    at : Addresses
        The memory.
    """

    def __init__(
        self,
        module: Module,
        stream: int,
        manifest: Manifest,
        frame_shape: tuple[int, int],
        crop: Crop,
        *,
        map_shape: tuple[int, int, int],
        half: bool,
        slope: float,
        at: Addresses,
    ) -> None:
        size, square, normalise = manifest.input.size, manifest.resample.square, manifest.normalise
        histogram = kernels.histogram(at.frame, at.counts, frame_shape, normalise.row_step)
        prepare = kernels.prepare(
            at.frame, at.counts, at.prepared, frame_shape, crop, size, square, normalise, half
        )
        family = manifest.architecture.get("name")
        if family == "small":
            (logits,) = at.maps
            decode = kernels.decode_small(logits, at.intercept, slope, at.out, *map_shape)
        elif family == "facemap":
            heat, row_offset, col_offset = at.maps
            decode = kernels.decode_facemap(heat, row_offset, col_offset, at.out, *map_shape)
        else:
            raise EngineError(f"{manifest.name}: there is no CUDA kernel for the decode of {family!r}")
        self._before = tuple(module.bind(each, stream) for each in (histogram, prepare))
        self._after = module.bind(decode, stream)

    def before(self) -> None:
        """From the frame and a cleared histogram to the network's input."""
        for step in self._before:
            step()

    def after(self) -> None:
        """From the network's maps to keypoints."""
        self._after()
