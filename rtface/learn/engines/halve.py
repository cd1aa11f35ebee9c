"""An engine's network with its weights kept in half precision: half the file, the same arithmetic.

The weights are widened where they are used, which a runtime does once, when it loads the network: so this runs as
fast as the float network on any device, and its inputs, outputs and shapes are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from rtface.core.errors import EngineError

_SMALLEST = 256
"""Numbers in a tensor that is worth halving."""


def halve(model: Path, out: Path) -> int:
    """Write a copy of an engine's `model.onnx` whose weights of convolutions are float16.

    Parameters
    ----------
    model, out : Path
        The float network, and the file to write.

    Returns
    -------
    int
        How many tensors were halved.

    Raises
    ------
    EngineError
        A weight is beyond the range of float16, or there is none to halve.
    """
    network = onnx.load(str(model))
    used = {name for node in network.graph.node if node.op_type in ("Conv", "Gemm") for name in node.input}
    widen: list[Any] = []
    for tensor in network.graph.initializer:
        if tensor.name not in used or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if values.size < _SMALLEST:
            continue
        if float(np.abs(values).max()) > float(np.finfo(np.float16).max):
            raise EngineError(f"{model}: the weights {tensor.name} are beyond the range of float16")
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        widen.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    if not widen:
        raise EngineError(f"{model}: it has no weights in float32 to keep in half precision")
    nodes = [*widen, *network.graph.node]
    del network.graph.node[:]
    network.graph.node.extend(nodes)
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, str(out))
    return len(widen)
