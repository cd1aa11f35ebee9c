"""rtface's own encoder: causal, of few parameters, and fast on a stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rtface.core.errors import UsageError
from rtface.networks.encoder import EncoderNetwork, check_look_ahead, check_positive, filtered_by
from rtface.networks.temporal_kernels import averages, bumps

_BLOCK = 32


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
        Fast kernels, each over all inputs.
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
        check_positive(inputs, outputs, fast_taps, fast_bumps, units, slow_taps, hidden, latents)
        if not slow_frames or min(slow_frames) < 0 or linear_bumps < 0:
            raise UsageError("slow_frames are one or more numbers of 0 or more, linear_bumps is 0 or more")
        window = fast_taps + slow_taps - 1
        check_look_ahead(look_ahead, window)
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
        fast = filtered_by(inputs[first - reach : last], self.fast_basis, 0)[reach:].flatten(1)
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
        units = torch.relu(self.fast(filtered_by(before, self.fast_basis, 0).flatten(1)))
        averaged = filtered_by(units, self.slow, 0)[self.slow.shape[1] - 1 :]
        linear = filtered_by(ahead, self.linear_basis, 0).flatten(1) if self._linear else ahead[:, :0]
        return self._dense(averaged[self.look_ahead :], linear[self.look_ahead :])

    def _dense(self, averaged: Tensor, linear: Tensor) -> Tensor:
        features = torch.cat([averaged.flatten(1), linear], dim=1)
        latents: Tensor = self.latent(self.drop(torch.relu(self.hidden(features))))
        return torch.relu(latents)

    def read_out(self, latents: Tensor, animal: int = 0) -> Tensor:
        """See `EncoderNetwork.read_out`; there is one animal."""
        outputs: Tensor = self.readout(latents)
        return outputs


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
