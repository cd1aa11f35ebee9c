"""Facemap's encoder, written anew from the published description.

The names of its parameters are those of Facemap's weight files, so that such a file loads unchanged.

Source: Syeda et al., "Facemap: a framework for modeling neural activity based on orofacial tracking",
Nature Neuroscience 27 (2024), and the layout of the weight files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rtface.networks.encoder import EncoderNetwork, check_look_ahead, check_positive, filtered_by
from rtface.networks.temporal_kernels import gabors

READOUT_WIDTH = 128
"""Of all but the last dense layer of a Facemap readout, where it has several."""


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
        check_positive(inputs, mixed, filters, taps, hidden, latents, core_layers, readout_layers)
        ahead = taps // 2 if look_ahead is None else look_ahead
        check_look_ahead(ahead, taps)
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
        return self._dense(filtered_by(mixed, self._kernels, self.look_ahead))

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


def _animals(outputs: int | Sequence[int]) -> list[tuple[str, int]]:
    """Return the ending of each readout's names, as in Facemap's files, and its number of columns."""
    if isinstance(outputs, int):
        return [("", outputs)]
    return [(f"_{animal}", columns) for animal, columns in enumerate(outputs)]
