"""The encoders' networks a row at a time, in numpy: the same numbers as the whole recording through torch.

All kernels are finite, so a ring of the last rows is all that is kept: nothing drifts, and after as many rows as the
window has, nothing of an earlier fault is left. Work and memory of a step are fixed; buffers are made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from rtface.core.records import FloatArray
from rtface.encode.architecture import complete


class RowNetwork(Protocol):
    """A network that takes row after row."""

    latents: FloatArray
    """Of the window that ends with the newest row, shape (L,); rewritten by the next."""
    outputs: FloatArray
    """Likewise, shape (C,)."""

    def step(self, inputs: FloatArray) -> None:
        """Take the normalised inputs of the next row, shape (D,)."""

    def reset(self) -> None:
        """Forget all rows: before the first all inputs are 0, as at the beginning of a recording in torch."""


def row_network(architecture: Mapping[str, Any], weights: Mapping[str, FloatArray]) -> RowNetwork:
    """Return the network of an architecture with the arrays that `rtface.encode.architecture.layout` names."""
    whole = complete(architecture)
    return _FacemapRows(whole, weights) if whole["name"] == "facemap" else _CausalRows(whole, weights)


def matvec(matrix: FloatArray, vector: FloatArray, out: FloatArray) -> None:
    """Put matrix @ vector into `out`, in this thread: BLAS would wake others for it, and wait for them."""
    np.einsum("ij,j->i", matrix, vector, out=out)


class Ring:
    """The last rows of a stream as one block of memory, oldest first.

    Each row is written twice, so that the block never has to be put together.

    Parameters
    ----------
    rows, width : int
        Its shape.
    """

    def __init__(self, rows: int, width: int) -> None:
        self._rows = rows
        self._twice = np.zeros((2 * rows, width), np.float32)
        self._at = 0

    def fill(self, row: FloatArray | float) -> None:
        """Let all rows be this one."""
        self._twice[:] = row

    def push(self, row: FloatArray) -> None:
        """Put a row at the end; the oldest goes."""
        self._twice[self._at] = row
        self._twice[self._at + self._rows] = row
        self._at = (self._at + 1) % self._rows

    @property
    def window(self) -> FloatArray:
        """The rows, shape (rows, width); a view until the next `push`."""
        return self._twice[self._at : self._at + self._rows]


class _Dense:
    """A layer: weights @ values + bias, perhaps rectified, into a buffer of its own."""

    def __init__(self, weights: Mapping[str, FloatArray], name: str, *, rectify: bool) -> None:
        self.weight: FloatArray = np.array(weights[f"{name}.weight"], np.float32)  # own: `turned` reorders it
        self.bias: FloatArray = np.array(weights[f"{name}.bias"], np.float32)
        self.out: FloatArray = np.zeros(len(self.bias), np.float32)
        self._rectify = rectify

    def turned(self, first: int, kernels: int, columns: int) -> _Dense:
        """Let `kernels * columns` inputs from `first` on be ordered by kernel, not by column as in torch."""
        end = first + kernels * columns
        block = self.weight[:, first:end].reshape(len(self.weight), columns, kernels)
        self.weight[:, first:end] = block.transpose(0, 2, 1).reshape(len(self.weight), -1)
        return self

    def __call__(self, values: FloatArray) -> FloatArray:
        matvec(self.weight, values, self.out)
        self.out += self.bias
        if self._rectify:
            np.maximum(self.out, 0, out=self.out)
        return self.out


class _FacemapRows:
    def __init__(self, given: Mapping[str, Any], weights: Mapping[str, FloatArray]) -> None:
        self._mix = None if given["identity"] else _Dense(weights, "core.features.linear0.0", rectify=False)
        self._kernels = np.ascontiguousarray(weights["core.features.wavelet0.weight"][:, 0], np.float32)
        filters, taps = self._kernels.shape
        mixed = int(given["inputs"]) if self._mix is None else len(self._mix.bias)
        self._ring = Ring(taps, mixed)
        self._filtered = np.zeros((filters, mixed), np.float32)
        self._rectify = bool(given["rectify_filters"])
        core = [
            _Dense(weights, f"core.features.linear{layer}.0", rectify=True)
            for layer in range(1, int(given["core_layers"]))
        ]
        latent = _Dense(weights, "core.features.latent.0", rectify=bool(given["rectify_latents"]))
        self._core = [*core, latent]
        self._core[0].turned(0, filters, mixed)
        last = int(given["readout_layers"]) - 1
        self._readout = [
            _Dense(weights, f"readout.features.linear{layer}", rectify=layer < last)
            for layer in range(last + 1)
        ]
        self.latents, self.outputs = latent.out, self._readout[-1].out

    def step(self, inputs: FloatArray) -> None:
        self._ring.push(inputs if self._mix is None else self._mix(inputs))
        filtered = self._filtered
        np.dot(self._kernels, self._ring.window, out=filtered)
        if self._rectify:
            np.maximum(filtered, 0, out=filtered)
        values = filtered.reshape(-1)
        for layer in (*self._core, *self._readout):
            values = layer(values)

    def reset(self) -> None:
        self._ring.fill(0.0)  # as published, the zeros stand behind the first layer


class _CausalRows:
    def __init__(self, given: Mapping[str, Any], weights: Mapping[str, FloatArray]) -> None:
        inputs = int(given["inputs"])
        bases = (weights[name] for name in ("fast_basis", "linear_basis", "slow"))
        self._fast_basis, self._linear_basis, self._slow = (
            np.ascontiguousarray(basis, np.float32) for basis in bases
        )
        bumps, self._fast_taps = self._fast_basis.shape
        lines, averages = len(self._linear_basis), len(self._slow)
        reach = self._linear_basis.shape[1] if lines else self._fast_taps
        self._inputs = Ring(reach, inputs)
        self._bumps = np.zeros((bumps, inputs), np.float32)
        self._fast = _Dense(weights, "fast", rectify=True).turned(0, bumps, inputs)
        units = len(self._fast.bias)
        self._units = Ring(self._slow.shape[1], units)
        self._features = np.zeros(averages * units + lines * inputs, np.float32)
        self._averaged = self._features[: averages * units].reshape(averages, units)
        self._linear = self._features[averages * units :].reshape(lines, inputs)
        self._hidden = (
            _Dense(weights, "hidden", rectify=True)
            .turned(0, averages, units)
            .turned(averages * units, lines, inputs)
        )
        self._latent = _Dense(weights, "latent", rectify=True)
        self._readout = _Dense(weights, "readout", rectify=False)
        self.latents, self.outputs = self._latent.out, self._readout.out
        self.reset()

    def step(self, inputs: FloatArray) -> None:
        self._inputs.push(inputs)
        window = self._inputs.window
        np.dot(self._fast_basis, window[-self._fast_taps :], out=self._bumps)
        self._units.push(self._fast(self._bumps.reshape(-1)))
        np.dot(self._slow, self._units.window, out=self._averaged)
        if len(self._linear):
            np.dot(self._linear_basis, window, out=self._linear)
        self._readout(self._latent(self._hidden(self._features)))

    def reset(self) -> None:
        self._inputs.fill(0.0)
        self._units.fill(np.maximum(self._fast.bias, 0))  # what the filters give of zeros
