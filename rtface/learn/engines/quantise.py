"""An engine's network in int8: weights and the inputs of convolutions, by static calibration.

Weights are quantised symmetrically by output channel, the inputs of convolutions by tensor, to the range seen on
calibration frames (Jacob et al. 2018, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference"; Krishnamoorthi 2018). Nothing else is: the resize and the decode stay in floating
point, and so do sums. The outputs of convolutions are left alone, because their ReLU's output is quantised as the
next one's input: doing both doubles the shift and keeps OpenVINO from fusing the three. TensorRT takes symmetric ranges
and float biases alone, which costs the inputs that are never negative half of their steps: so it has a scheme of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from rtface.core.errors import EngineError
from rtface.core.geometry import check_crop, whole_frame
from rtface.core.records import Crop, Image
from rtface.track.gray_levels import levels
from rtface.track.manifest import LevelsSpec

_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")


class Scheme(Enum):
    """How numbers become integers, which depends on what is to run them."""

    CPU = "activations in u8 by their range, biases in int32"
    TENSORRT = "activations in int8 about zero, biases in float: for TensorRT"


def quantise(
    model: Path,
    out: Path,
    frames: Mapping[int, Image],
    normalise: LevelsSpec,
    *,
    crop: Crop | None = None,
    in_float: Collection[str] = (),
    scheme: Scheme = Scheme.CPU,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write an int8 copy of an engine's `model.onnx`.

    Parameters
    ----------
    model, out : Path
        The float network, and the file to write.
    frames : mapping of int to ndarray, shape (height, width), uint8
        Whole camera frames to calibrate on: they go the way of live frames, levels, crop, resize and all.
    normalise : LevelsSpec
        The engine's.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    in_float : collection of str
        Names of convolutions that stay as they are; see `convolutions_of`.
    scheme : Scheme
        What is to run it; OpenVINO runs both.
    progress : callable
        Called with the frames that it was calibrated on so far, and their number.

    Returns
    -------
    int
        How many convolutions were quantised.

    Raises
    ------
    EngineError
        The network cannot be quantised, or has no convolution to quantise.
    UsageError
        The crop reaches beyond the frames.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    network = onnx.load(str(model))
    chosen = [name for name in _convolutions(network) if name not in in_float]
    if not chosen:
        raise EngineError(f"{model}: no convolution can be quantised")
    symmetric = scheme is Scheme.TENSORRT
    properties = {each.key: each.value for each in network.metadata_props}
    onnx.helper.set_model_props(network, properties | dict([_PREPARED]))
    try:
        quantize_static(
            network,
            str(out),
            _Frames(_inputs(frames, normalise, crop, progress)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": symmetric,
                "WeightSymmetric": True,
                "QuantizeBias": not symmetric,
                "OpTypesToExcludeOutputQuantization": ["Conv"],
            },
        )
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"{model} cannot be quantised: {error}") from error
    made = onnx.load(str(out))
    onnx.helper.set_model_props(
        made, properties | {"rtface.int8": plan_in_words(in_float), "rtface.int8.scheme": scheme.value}
    )
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, str(out))
    return len(chosen)


def convolutions_of(model: Path) -> list[str]:
    """Return the names of a network's convolutions, from the input on."""
    return _convolutions(onnx.load(str(model)))


def plan_in_words(in_float: Collection[str]) -> str:
    """Return which convolutions are quantised, for people."""
    return f"all convolutions but {', '.join(in_float)}" if in_float else "all convolutions"


class _Frames:
    """The reader of calibration data that onnxruntime takes."""

    def __init__(self, inputs: Iterable[dict[str, Any]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        """Return the inputs for the next frame, or None at the end."""
        return next(self._inputs, None)


def _inputs(
    frames: Mapping[int, Image],
    normalise: LevelsSpec,
    crop: Crop | None,
    progress: Callable[[int, int], None],
) -> Iterator[dict[str, Any]]:
    """Yield what a back end hands to the network for each frame."""
    for number, image in enumerate(frames.values()):
        progress(number, len(frames))
        height, width = image.shape
        seen = check_crop(crop or whole_frame(width, height), width, height)
        part = image[seen.y : seen.y + seen.height, seen.x : seen.x + seen.width]
        if seen.mirrored:
            part = part[:, ::-1]
        yield {
            "image": np.ascontiguousarray(part)[None, None],
            "levels": levels(image, normalise.low, normalise.high, normalise.row_step),
        }
    progress(len(frames), len(frames))


def _convolutions(network: Any) -> list[str]:
    return [node.name for node in network.graph.node if node.op_type == "Conv"]
