"""An engine's `model.onnx`, taken apart by the names that tracing gives to its nodes.

Tracing `rtface.networks.graph.EngineGraph` names nodes ``/prepare/...``, ``/network_with_decode/network/...`` and
``/network_with_decode/decode/...``; the nodes of quantisation, which are added later, belong to the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import EngineError
from rtface.track.manifest import MODEL_FILE

QUANTISERS = frozenset({"QuantizeLinear", "DequantizeLinear"})

Array = NDArray[Any]

_PREPARE, _DECODE = "/prepare/", "/network_with_decode/decode/"


class WholeGraph:
    """An engine's whole graph, with its constants at hand."""

    def __init__(self, onnx: Any, model: Any, name: str) -> None:
        self.onnx = onnx
        self.name = name
        self.nodes = list(model.graph.node)
        self.makers = {output: node for node in self.nodes for output in node.output}
        self.output = model.graph.output[0].name
        self.constants: dict[str, Array] = {
            each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer
        }
        for node in self.nodes:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
            elif node.op_type == "Identity" and node.input[0] in self.constants:
                self.constants[node.output[0]] = self.constants[node.input[0]]
            elif node.op_type == "Cast" and node.input[0] in self.constants:
                wanted = onnx.helper.tensor_dtype_to_np_dtype(node.attribute[0].i)
                self.constants[node.output[0]] = self.constants[node.input[0]].astype(wanted)

    def boundary(self) -> tuple[str, tuple[str, ...]]:
        """Return the prepared image's name and those of the maps, in the order of the decode's arguments."""
        sources, maps = set(), set()
        for node in self.nodes:
            for tensor in node.input:
                maker = self.makers.get(tensor)
                if maker is None or tensor in self.constants:
                    continue
                if self._stage(maker) == "prepare" != self._stage(node):
                    sources.add(tensor)
                if self._stage(maker) == "network" and self._stage(node) == "decode":
                    maps.add(tensor)
        if len(sources) != 1 or len(maps) not in (1, 3):
            raise EngineError(
                f"{self.name}: {MODEL_FILE} does not fall into preparation, network and decode; TensorRT takes "
                "engines that rtface has made: train, adapt or import it anew"
            )
        return sources.pop(), self._in_order(maps)

    def _stage(self, node: Any) -> str:
        if node.op_type in QUANTISERS:
            return "network"
        if node.name.startswith(_PREPARE):
            return "prepare"
        return "decode" if node.name.startswith(_DECODE) else "network"

    def _in_order(self, maps: set[str]) -> tuple[str, ...]:
        """Sort maps by what they are for: x hangs on heat and column offset, y on heat and row offset."""
        if len(maps) == 1:
            return tuple(maps)
        columns = self.makers[self.output].input
        for_x, for_y = (maps & self._ancestors(columns[index], maps) for index in (0, 1))
        order = (for_x & for_y, for_y - for_x, for_x - for_y)
        if [len(each) for each in order] != [1, 1, 1]:
            raise EngineError(f"{self.name}: its maps are not a heatmap and two offsets")
        return tuple(each.pop() for each in order)

    def _ancestors(self, tensor: str, stop: set[str]) -> set[str]:
        seen: set[str] = set()
        waiting = [tensor]
        while waiting:
            if (name := waiting.pop()) not in seen:
                seen.add(name)
                if name not in stop and name in self.makers:
                    waiting.extend(self.makers[name].input)
        return seen

    def between(self, source: str, maps: tuple[str, ...]) -> list[Any]:
        """Return the nodes that make the maps of the prepared image, in the file's order, without constants."""
        needed = {name for tensor in maps for name in self._ancestors(tensor, {source})}
        return [
            node
            for node in self.nodes
            if node.output[0] in needed - {source} and node.output[0] not in self.constants
        ]

    def small_decode(self, keypoints: int) -> tuple[float, tuple[float, ...]]:
        """Read slope and intercepts where the score is made: sigmoid(intercept - slope * log(spread))."""
        try:
            sigmoid = self.makers[self.makers[self.output].input[2]]
            difference = self.makers[sigmoid.input[0]]
            product = self.makers[difference.input[1]]
            kinds = (sigmoid.op_type, difference.op_type, product.op_type)
            intercept = self._constant(difference.input[0]).ravel()
            slope = next(self.constants[name] for name in product.input if name in self.constants)
        except (KeyError, IndexError, StopIteration):
            kinds, intercept, slope = ("", "", ""), np.zeros(0), np.zeros(0)
        if kinds != ("Sigmoid", "Sub", "Mul") or intercept.size != keypoints or slope.size != 1:
            raise EngineError(f"{self.name}: its decode is not that of rtface's small networks")
        return float(slope.item()), tuple(float(each) for each in intercept)

    def _constant(self, name: str) -> Array:
        while name not in self.constants and self.makers[name].op_type == "Unsqueeze":
            name = self.makers[name].input[0]
        return self.constants[name]
