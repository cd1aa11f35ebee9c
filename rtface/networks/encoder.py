"""What the networks from the face to the brain have in common: normalised keypoints in, neural components out.

All temporal kernels of an encoder are finite: an output depends on `past` frames before now, on `look_ahead` frames after
it, and on nothing else. So a stream that was interrupted is exact again after a known number of frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rtface.core.errors import UsageError


class EncoderNetwork(nn.Module):
    """A network from keypoints to neural components.

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


def check_positive(*numbers: int) -> None:
    """Refuse widths, taps or numbers of layers below 1, with a `UsageError`."""
    if min(numbers) < 1:
        raise UsageError("all widths, taps, bumps and numbers of layers of an encoder are 1 or more")


def check_look_ahead(look_ahead: int, window: int) -> None:
    """Refuse a look-ahead that is not within the window, with a `UsageError`."""
    if not 0 <= look_ahead < window:
        raise UsageError(f"look_ahead is {look_ahead}; a window of {window} frames allows 0 to {window - 1}")


def filtered_by(values: Tensor, kernels: Tensor, ahead: int) -> Tensor:
    """Return values (T, D) under kernels (F, taps), oldest tap first, as (T, D, F); zeros beyond both ends."""
    padded = functional.pad(values.T, (kernels.shape[1] - 1 - ahead, ahead))
    return functional.conv1d(padded[:, None], kernels[:, None]).permute(2, 0, 1)
