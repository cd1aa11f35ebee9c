"""The part of an engine that TensorRT compiles: from the prepared image to the maps.

What stands before it (levels, crop, resize) and after it (the decode) are CUDA kernels of our own, because index
arithmetic is not exact in half precision and because they save copies. The part is cut out of `model.onnx` by the
names that tracing gives to the nodes of `rtface.networks.graph.EngineGraph`; its shape is fixed and its precision is
written into the file, as strongly typed TensorRT networks need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rtface.core.errors import EngineError
from rtface.core.extras import needing
from rtface.track.gpu.wholegraph import QUANTISERS, Array, WholeGraph
from rtface.track.manifest import MODEL_FILE
from rtface.track.store import Engine

BodyPrecision = Literal["f32", "f16"]

INPUT = "prepared"
OUTPUTS = {"small": ("logits",), "facemap": ("heat", "row_offset", "col_offset")}
"""Names of the body's outputs by the manifest's architecture: the arguments of its decode in their order."""

_OPSET = 19
"""The first one with half-precision scales for Q/DQ. From 17, which engines have, nothing changes for `_KNOWN`."""

_KNOWN = QUANTISERS | {
    "Conv",
    "Relu",
    "Add",
    "Resize",
    "MaxPool",
    "Concat",
    "BatchNormalization",
    "DepthToSpace",
}
_HALF = np.finfo(np.float16)


@dataclass(frozen=True, slots=True)
class SmallDecodeParameters:
    """The trained parameters of `rtface.networks.small.SmallDecode`: the score is sigmoid(intercept - slope * log(spread))."""

    slope: float
    intercept: tuple[float, ...]
    """One for each keypoint."""


@dataclass(frozen=True, slots=True)
class Body:
    """A network without preparation and decode, ready for TensorRT's parser.

    Attributes
    ----------
    name : str
        Of the engine.
    onnx : bytes
        The network; equal for equal arguments.
    shape : tuple of int
        Rows and columns of its input, whose shape is (1, 1, rows, columns).
    map_shape : tuple of int
        Keypoints, rows and columns of each output, whose shape is (1, keypoints, rows, columns).
    precision : str
        ``f32`` or ``f16``: type of the input and of all arithmetic but that of quantised convolutions. Outputs are
        float32.
    quantised : bool
        Whether convolutions run in int8.
    input : str
        Name of the input.
    outputs : tuple of str
        Names of the outputs, in the order of the decode's arguments.
    decode : SmallDecodeParameters or None
        The decode's parameters; Facemap's has none.
    """

    name: str
    onnx: bytes
    shape: tuple[int, int]
    map_shape: tuple[int, int, int]
    precision: BodyPrecision
    quantised: bool
    input: str
    outputs: tuple[str, ...]
    decode: SmallDecodeParameters | None


def body_of(engine: Engine, shape: tuple[int, int], precision: BodyPrecision) -> Body:
    """Cut an engine's network out of its `model.onnx`.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    shape : tuple of int
        Rows and columns of the network's input, as `rtface.core.geometry.NetworkFrame.shape` gives them.
    precision : str
        ``f32`` or ``f16``; in an int8 engine that of all but its quantised convolutions.

    Raises
    ------
    EngineError
        The engine is not made of the parts that rtface traces, is quantised for a CPU (the message says what to do),
        or has numbers beyond the range of float16.
    BackendError
        The package onnx is missing.
    """
    onnx = _import_onnx()
    family = str(engine.manifest.architecture.get("name"))
    if family not in OUTPUTS:
        raise EngineError(
            f"{engine.manifest.name} has the architecture {family!r}, whose decode rtface has no CUDA kernel for; "
            f"it has them for {', '.join(OUTPUTS)}"
        )
    whole = WholeGraph(onnx, onnx.load(str(engine.file(MODEL_FILE))), engine.manifest.name)
    source, maps = whole.boundary()
    if len(maps) != len(OUTPUTS[family]):
        raise EngineError(f"{whole.name}: {family} has {len(OUTPUTS[family])} maps, its graph {len(maps)}")
    nodes = whole.between(source, maps)
    _check_quantisation(whole, nodes, engine)
    if foreign := sorted({node.op_type for node in nodes} - _KNOWN):
        raise EngineError(f"{whole.name}: its network has operations unknown here: {', '.join(foreign)}")
    model = _assemble(whole, nodes, source, dict(zip(maps, OUTPUTS[family], strict=True)), shape, precision)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        onnx.checker.check_model(inferred, full_check=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise EngineError(f"{whole.name} cannot be given an input of {shape}: {error}") from error
    shapes = {
        tuple(axis.dim_value for axis in out.type.tensor_type.shape.dim) for out in inferred.graph.output
    }
    keypoints = len(engine.manifest.keypoints)
    if len(shapes) != 1 or (found := shapes.pop())[:2] != (1, keypoints) or 0 in found:
        raise EngineError(
            f"{whole.name}: with an input of {shape} its maps are not one of {keypoints} keypoints"
        )
    return Body(
        name=engine.manifest.name,
        onnx=model.SerializeToString(deterministic=True),
        shape=shape,
        map_shape=(found[1], found[2], found[3]),
        precision=precision,
        quantised=any(node.op_type in QUANTISERS for node in nodes),
        input=INPUT,
        outputs=OUTPUTS[family],
        decode=SmallDecodeParameters(*whole.small_decode(keypoints)) if family == "small" else None,
    )


def _check_quantisation(whole: WholeGraph, nodes: list[Any], engine: Engine) -> None:
    """Refuse what TensorRT's parser would: zero points other than 0, and types other than int8."""
    for node in nodes:
        if node.op_type not in QUANTISERS:
            continue
        zero = whole.constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None or zero.dtype != np.int8 or zero.any():
            origin = engine.manifest.training.get("exported_from", "its float engine")
            raise EngineError(
                f"{whole.name} is quantised for a CPU, in a way that TensorRT does not take: use {origin} "
                f"(rtface engines build {origin}), or quantise that for TensorRT "
                f"(rtface engines export {origin} --precision int8 --for tensorrt --frames VIDEO)"
            )


def _assemble(
    whole: WholeGraph,
    nodes: list[Any],
    source: str,
    renamed: dict[str, str],
    shape: tuple[int, int],
    precision: BodyPrecision,
) -> Any:
    onnx, helper = whole.onnx, whole.onnx.helper
    half = precision == "f16"
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    # In half precision a Cast makes the outputs, so that the maps keep their names before it.
    names = {source: INPUT} | ({} if half else renamed)
    made, constants = [], dict[str, Array]()
    for node in nodes:
        fresh = onnx.NodeProto()
        fresh.CopyFrom(node)
        fresh.ClearField("doc_string")
        for place, name in enumerate(node.input):
            fresh.input[place] = names.get(name, name)
            if name in whole.constants:
                kept = node.op_type == "Resize" or not half
                scale = node.op_type in QUANTISERS and place == 1
                constants[name] = whole.constants[name] if kept else _halved(whole, name, scale)
        fresh.output[:] = [names.get(name, name) for name in node.output]
        made.append(fresh)
    if half:
        made += [
            helper.make_node("Cast", [name], [out], name=f"{out}_widened", to=onnx.TensorProto.FLOAT)
            for name, out in renamed.items()
        ]
    graph = helper.make_graph(
        made,
        "body",
        [helper.make_tensor_value_info(INPUT, kind, [1, 1, *shape])],
        [helper.make_tensor_value_info(out, onnx.TensorProto.FLOAT, None) for out in renamed.values()],
        [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9, producer_name="rtface"
    )


def _halved(whole: WholeGraph, name: str, scale: bool) -> Array:
    values = whole.constants[name]
    if values.dtype != np.float32:
        return values
    size = np.abs(values)
    if size.max(initial=0.0) > _HALF.max or (scale and size.min() < _HALF.tiny):
        raise EngineError(
            f"{whole.name}: {name} has values beyond the range of float16; build it with --precision f32"
        )
    return values.astype(np.float16)


def _import_onnx() -> Any:
    with needing("tensorrt"):
        import onnx
        import onnx.checker
        import onnx.numpy_helper
        import onnx.shape_inference
    return onnx
