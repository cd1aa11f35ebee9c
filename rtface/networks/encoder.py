"""Networks from the face to the brain: normalised keypoints of the last seconds in, neural components out.

`FacemapEncoder` is written anew from the published description; the names of its parameters are those of Facemap's
weight files, so that such a file loads unchanged. `CausalEncoder` is ours. All temporal kernels of both are finite:
an output depends on `past` frames before now, on `look_ahead` frames after it, and on nothing else. So a stream
that was interrupted is exact again after a known number of frames.

Source: Syeda et al., "Facemap: a framework for modeling neural activity based on orofacial tracking",
Nature Neuroscience 27 (2024), and the layout of the weight files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rtface.core.errors import UsageError
from rtface.networks.kernels import averages, bumps, gabors

READOUT_WIDTH = 128
"""Of all but the last dense layer of a Facemap readout, where it has several."""

_BLOCK = 32


class EncoderNetwork(nn.Module):
    """What both networks have in common.

    Attributes
    ----------
    past, look_ahead : int
        Frames before and after the present one that an output depends on.
    """

    past: int
    look_ahead: int

    @property
    def window(self) -> int:
        """Frames that an output depends on."""
        return self.past + 1 + self.look_ahead

    def batch(self, inputs: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
        """Gather what `latents_of` needs for a few frames: all work that no training changes.

        Parameters
        ----------
        inputs : Tensor, shape (T, D), float32
        frames : Tensor, shape (N,), int64
            Rising; the window of each lies within the recording.
        """
        raise NotImplementedError

    def latents_of(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the latents of a batch, shape (N, L)."""
        raise NotImplementedError

    def latents(self, inputs: Tensor) -> Tensor:
        """Return the latents at every frame, shape (T, L); beyond both ends of the recording all is 0.

        Parameters
        ----------
        inputs : Tensor, shape (T, D), float32
        """
        raise NotImplementedError

    def read_out(self, latents: Tensor, animal: int = 0) -> Tensor:
        """Return the outputs, shape (..., C), for latents of shape (..., L)."""
        raise NotImplementedError

    def roughness(self) -> Tensor:
        """Return what a training keeps small: the squared steps between neighbouring taps, summed."""
        return torch.zeros(())

    def forward(self, inputs: Tensor, animal: int = 0) -> tuple[Tensor, Tensor]:
        """Return outputs and latents at every frame, shapes (T, C) and (T, L); see `latents`."""
        latents = self.latents(inputs)
        return self.read_out(latents, animal), latents


class FacemapEncoder(EncoderNetwork):
    """Facemap's encoder: one bank of kernels shared by all inputs, then dense layers.

    Parameters
    ----------
    inputs : int
        Columns of the input.
    outputs : int or sequence of int
        Components or neurons; for several animals one number each.
    mixed : int, optional
        Outputs of the first linear layer; else as many as inputs.
    filters, taps : int
        Kernels of the bank and their length in frames.
    hidden, latents : int
        Widths of the dense layers.
    identity : bool
        Leave the first linear layer out.
    core_layers, readout_layers : int
        Dense layers of the core, the latent one counted, and of each readout.
    rectify_filters, rectify_latents : bool
        Whether a ReLU follows there.
    look_ahead : int, optional
        Frames of the future under the kernels; else half of them, as published. 0: causal.

    Raises
    ------
    UsageError
        A number is out of its range.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int | Sequence[int],
        *,
        mixed: int | None = None,
        filters: int = 10,
        taps: int = 201,
        hidden: int = 50,
        latents: int = 256,
        identity: bool = False,
        core_layers: int = 2,
        readout_layers: int = 1,
        rectify_filters: bool = True,
        rectify_latents: bool = True,
        look_ahead: int | None = None,
    ) -> None:
        super().__init__()
        mixed = inputs if mixed is None or identity else mixed
        _check_positive(inputs, mixed, filters, taps, hidden, latents, core_layers, readout_layers)
        ahead = taps // 2 if look_ahead is None else look_ahead
        _check_look_ahead(ahead, taps)
        self.past, self.look_ahead = taps - 1 - ahead, ahead
        self._rectify_filters, self._rectify_latents = rectify_filters, rectify_latents
        core = nn.Sequential()
        if not identity:
            core.add_module("linear0", nn.Sequential(nn.Linear(inputs, mixed)))
        core.add_module("wavelet0", nn.Conv1d(1, filters, taps, bias=False))
        width = filters * mixed
        for layer in range(1, core_layers):
            core.add_module(f"linear{layer}", nn.Sequential(nn.Linear(width, hidden)))
            width = hidden
        core.add_module("latent", nn.Sequential(nn.Linear(width, latents)))
        readout = nn.Sequential()
        self._readouts: list[list[str]] = []
        for suffix, columns in _animals(outputs):
            names, width = [f"linear{layer}{suffix}" for layer in range(readout_layers)], latents
            for name in names[:-1]:
                readout.add_module(name, nn.Linear(width, READOUT_WIDTH))
                width = READOUT_WIDTH
            readout.add_module(names[-1], nn.Linear(width, columns))
            self._readouts.append(names)
        self.core, self.readout = nn.ModuleDict({"features": core}), nn.ModuleDict({"features": readout})
        with torch.no_grad():
            self._kernels.copy_(torch.from_numpy(gabors(filters, taps)))

    def _layers(self, part: nn.ModuleDict) -> dict[str, Any]:
        return dict(part["features"].named_children())

    @property
    def _kernels(self) -> Tensor:
        """The bank, shape (filters, taps), oldest tap first."""
        kernels: Tensor = self._layers(self.core)["wavelet0"].weight[:, 0]
        return kernels

    def roughness(self) -> Tensor:
        """See `EncoderNetwork.roughness`."""
        return (self._kernels.diff(dim=1) ** 2).sum()

    @torch.no_grad()
    def batch(self, inputs: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
        """Return the windows, shape (N, D, taps); see `EncoderNetwork.batch`."""
        return (inputs.unfold(0, self.window, 1)[frames - self.past],)

    def latents_of(self, batch: tuple[Tensor, ...]) -> Tensor:
        """See `EncoderNetwork.latents_of`. The first layer is applied to the filtered windows, which is the same."""
        (windows,) = batch
        kernels = self._kernels
        filtered = windows @ kernels.T
        if (mix := self._layers(self.core).get("linear0")) is not None:
            weight, bias = mix[0].weight, mix[0].bias
            filtered = torch.einsum("md,ndf->nmf", weight, filtered) + bias[:, None] * kernels.sum(dim=1)
        return self._dense(filtered)

    def latents(self, inputs: Tensor) -> Tensor:
        """See `EncoderNetwork.latents`; as published, the zeros beyond the ends stand behind the first layer."""
        mix = self._layers(self.core).get("linear0")
        mixed = inputs if mix is None else mix(inputs)
        return self._dense(_filtered(mixed, self._kernels, self.look_ahead))

    def _dense(self, filtered: Tensor) -> Tensor:
        features = (torch.relu(filtered) if self._rectify_filters else filtered).flatten(1)
        layers = self._layers(self.core)
        for name, layer in layers.items():
            if name.startswith("linear") and name != "linear0":
                features = torch.relu(layer(features))
        latents: Tensor = layers["latent"](features)
        return torch.relu(latents) if self._rectify_latents else latents

    def read_out(self, latents: Tensor, animal: int = 0) -> Tensor:
        """See `EncoderNetwork.read_out`."""
        layers = self._layers(self.readout)
        *first, last = (layers[name] for name in self._readouts[animal])
        for layer in first:
            latents = torch.relu(layer(latents))
        outputs: Tensor = last(latents)
        return outputs


class CausalEncoder(EncoderNetwork):
    """Our encoder: filters of the last second, rectified, then slow averages of what they gave.

    A neuron that follows the strength of whisking needs two filters with a bend between them: a fast one that finds
    the whisking in a coordinate, and a slow one of its size. Beside that path there is a linear one, of all inputs
    over the whole window. Kernels are mixtures of few smooth bumps that widen into the past, so they have few
    parameters and cost a few small matrix products a frame.

    Parameters
    ----------
    inputs, outputs : int
        Columns of the input and of the output.
    fast_taps, fast_bumps : int
        Length in frames of the fast kernels, and of how many bumps they are made.
    units : int
        Fast kernels; each sees all inputs.
    slow_taps : int
        Length in frames of the averages.
    slow_frames : sequence of float
        Their time constants in frames; 0 is the present value.
    linear_bumps : int
        Bumps of the linear path, over all of the window; 0 leaves the path out.
    hidden, latents : int
        Widths of the dense layers.
    dropout : float
        Share of the hidden layer that each step of a training leaves out.
    look_ahead : int
        Frames of the future that all kernels are moved into; 0: causal.

    Raises
    ------
    UsageError
        A number is out of its range.
    """

    fast_basis: Tensor
    linear_basis: Tensor
    slow: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        fast_taps: int = 50,
        fast_bumps: int = 8,
        units: int = 32,
        slow_taps: int = 150,
        slow_frames: Sequence[float] = (0.0, 4.0, 12.0, 30.0, 60.0),
        linear_bumps: int = 10,
        hidden: int = 64,
        latents: int = 256,
        dropout: float = 0.0,
        look_ahead: int = 0,
    ) -> None:
        super().__init__()
        _check_positive(inputs, outputs, fast_taps, fast_bumps, units, slow_taps, hidden, latents)
        if not slow_frames or min(slow_frames) < 0 or linear_bumps < 0:
            raise UsageError("slow_frames are one or more numbers of 0 or more, linear_bumps is 0 or more")
        window = fast_taps + slow_taps - 1
        _check_look_ahead(look_ahead, window)
        self.past, self.look_ahead = window - 1 - look_ahead, look_ahead
        self._linear = linear_bumps > 0
        for name, basis in (
            ("fast_basis", bumps(fast_bumps, fast_taps)),
            ("linear_basis", bumps(linear_bumps, window)),
            ("slow", averages(slow_frames, slow_taps)),
        ):
            self.register_buffer(name, torch.from_numpy(basis))
        self.fast = nn.Linear(inputs * fast_bumps, units)
        self.hidden = nn.Linear(units * len(slow_frames) + inputs * linear_bumps, hidden)
        self.latent = nn.Linear(hidden, latents)
        self.readout = nn.Linear(latents, outputs)
        self.drop = nn.Dropout(dropout)

    @torch.no_grad()
    def batch(self, inputs: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
        """See `EncoderNetwork.batch`.

        Returns
        -------
        fast : Tensor, shape (M, D * fast_bumps)
            The bumps of all frames that the averages of these reach back to.
        starts : Tensor, shape (B,), int64
            First row of `fast` of each block of at most 32 frames.
        average : Tensor, shape (B, E * 32, S)
            What gives a block's averages from the S rows after its start.
        linear : Tensor, shape (N, D * linear_bumps)
        """
        now = frames + self.look_ahead
        slow = self.slow.shape[1]
        first, last = int(now[0]) - slow + 1, int(now[-1]) + 1
        reach = self.fast_basis.shape[1] - 1
        fast = _filtered(inputs[first - reach : last], self.fast_basis, 0)[reach:].flatten(1)
        windows = inputs.unfold(0, self.window, 1)[frames - self.past]
        linear = (windows @ self.linear_basis.T).flatten(1)
        starts, average = _blocks(now - first - slow + 1, self.slow, len(fast))
        return fast, starts, average, linear

    def latents_of(self, batch: tuple[Tensor, ...]) -> Tensor:
        """See `EncoderNetwork.latents_of`."""
        fast, starts, average, linear = batch
        units, span = torch.relu(self.fast(fast)), average.shape[2]
        rows = torch.stack([units[start : start + span] for start in starts.tolist()])
        averaged = (average @ rows).reshape(
            len(starts), len(self.slow), _BLOCK, -1
        )  # block, average, frame, unit
        return self._dense(averaged.permute(0, 2, 3, 1).flatten(0, 1)[: len(linear)], linear)

    def latents(self, inputs: Tensor) -> Tensor:
        """See `EncoderNetwork.latents`."""
        ahead = functional.pad(inputs, (0, 0, 0, self.look_ahead))
        # Zeros before the recording are filtered like any input: the units are not 0 there.
        before = functional.pad(ahead, (0, 0, self.slow.shape[1] - 1, 0))
        units = torch.relu(self.fast(_filtered(before, self.fast_basis, 0).flatten(1)))
        averaged = _filtered(units, self.slow, 0)[self.slow.shape[1] - 1 :]
        linear = _filtered(ahead, self.linear_basis, 0).flatten(1) if self._linear else ahead[:, :0]
        return self._dense(averaged[self.look_ahead :], linear[self.look_ahead :])

    def _dense(self, averaged: Tensor, linear: Tensor) -> Tensor:
        features = torch.cat([averaged.flatten(1), linear], dim=1)
        latents: Tensor = self.latent(self.drop(torch.relu(self.hidden(features))))
        return torch.relu(latents)

    def read_out(self, latents: Tensor, animal: int = 0) -> Tensor:
        """See `EncoderNetwork.read_out`; there is one animal."""
        outputs: Tensor = self.readout(latents)
        return outputs


def _check_positive(*numbers: int) -> None:
    if min(numbers) < 1:
        raise UsageError("all widths, taps, bumps and numbers of layers of an encoder are 1 or more")


def _check_look_ahead(look_ahead: int, window: int) -> None:
    if not 0 <= look_ahead < window:
        raise UsageError(f"look_ahead is {look_ahead}; a window of {window} frames allows 0 to {window - 1}")


def _animals(outputs: int | Sequence[int]) -> list[tuple[str, int]]:
    """Return the ending of each readout's names, as in Facemap's files, and its number of columns."""
    if isinstance(outputs, int):
        return [("", outputs)]
    return [(f"_{animal}", columns) for animal, columns in enumerate(outputs)]


def _filtered(values: Tensor, kernels: Tensor, ahead: int) -> Tensor:
    """Return values (T, D) under kernels (F, taps), oldest tap first, as (T, D, F); zeros beyond both ends."""
    padded = functional.pad(values.T, (kernels.shape[1] - 1 - ahead, ahead))
    return functional.conv1d(padded[:, None], kernels[:, None]).permute(2, 0, 1)


def _blocks(offsets: Tensor, kernels: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Return starts and matrices that apply kernels (E, taps) at some offsets, `_BLOCK` at a time.

    One matrix product a block: hundreds of times faster on a CPU than a convolution of which one row in sixteen is
    wanted. The last block is filled with zeros.
    """
    count, taps = kernels.shape
    parts = torch.split(offsets, _BLOCK)
    span = min(rows, max(int(part[-1] - part[0]) for part in parts) + taps)
    starts = torch.stack([part[0] for part in parts]).clamp(max=rows - span)
    matrices = np.zeros((len(parts), count, _BLOCK, span), np.float32)
    taken = kernels.numpy()
    for block, (part, start) in enumerate(zip(parts, starts.tolist(), strict=True)):
        for row, offset in enumerate((part - start).tolist()):
            matrices[block, :, row, offset : offset + taps] = taken
    return starts, torch.from_numpy(matrices).flatten(1, 2)
