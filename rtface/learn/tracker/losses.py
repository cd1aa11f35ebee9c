"""What training makes small, for each architecture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from rtface.networks.graph import FACEMAP_OFFSET, FACEMAP_STRIDE
from rtface.networks.small import STRIDE

SIGMA = 1.2
"""Width of the target's Gaussian, in cells."""

MEAN_WEIGHT = 0.3
"""Weight of the distance between the map's mean and the label beside the cross entropy."""

_FACEMAP_SIGMA = 3.0
_FACEMAP_SUM = 10.0
_FACEMAP_OFFSET_WEIGHT = 0.5

Loss = Callable[..., Tensor]


def small_loss(logits: Tensor, xy: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over labelled keypoints of cross entropy and distance.

    The target is a Gaussian about the label, normalised over the cells; the distance is between the map's mean and
    the label (smooth L1, in cells).

    Parameters
    ----------
    logits : Tensor, shape (N, K, rows, cols), float32
    xy : Tensor, shape (N, K, 2), float32
        Pixels of the network's input; NaN is left out.
    weight : Tensor, shape (N, K), float32
        How much each label counts.
    """
    rows, cols = logits.shape[2:]
    labelled = ~torch.isnan(xy).any(dim=2)
    wanted = (xy[labelled] - (STRIDE - 1) / 2) / STRIDE
    across, down = _axis(cols, xy), _axis(rows, xy)
    target = _gaussian(wanted, across, down, SIGMA)
    target = target / target.sum(dim=(1, 2), keepdim=True).clamp_min(1e-6)
    log_share = functional.log_softmax(logits[labelled].flatten(1), dim=1)
    entropy = -(target.flatten(1) * log_share).sum(dim=1)
    share = log_share.exp().reshape(-1, rows, cols)
    mean = torch.stack([(share.sum(1) * across).sum(1), (share.sum(2) * down).sum(1)], dim=1)
    distance = functional.smooth_l1_loss(mean, wanted, reduction="none", beta=1.0).sum(dim=1)
    return _weighted_mean(entropy + MEAN_WEIGHT * distance, weight[labelled])


def facemap_loss(maps: tuple[Tensor, Tensor, Tensor], xy: Tensor, weight: Tensor) -> Tensor:
    """Return Facemap's loss (Syeda et al. 2024), as its authors describe and publish it.

    The heatmap, scaled to a sum of 10, is compared with a Gaussian of 3 cells and the same sum (sum of absolute
    differences); within 3 cells of the label, half the distance between the offsets and the true ones is added.

    Parameters
    ----------
    maps : tuple of 3 Tensor, shape (N, K, rows, cols), float32
        Heatmap, row offsets and column offsets.
    xy, weight : Tensor
        As of `small_loss`.
    """
    heat, row_offset, col_offset = (each for each in maps)
    rows, cols = heat.shape[2:]
    labelled = ~torch.isnan(xy).any(dim=2)
    wanted = xy[labelled] / FACEMAP_STRIDE
    across, down = _axis(cols, xy), _axis(rows, xy)
    target = _gaussian(wanted, across, down, _FACEMAP_SIGMA)
    target = _FACEMAP_SUM * target / target.sum(dim=(1, 2), keepdim=True).clamp_min(1e-6)
    chosen = heat[labelled]
    chosen = _FACEMAP_SUM * chosen / (1e-4 + chosen.sum(dim=(1, 2), keepdim=True))
    heat_error = (chosen - target).abs().sum(dim=(1, 2))
    right = (across - wanted[:, :1])[:, None, :]
    below = (down - wanted[:, 1:])[:, :, None]
    near = (right**2 + below**2 <= _FACEMAP_SIGMA**2).to(heat.dtype)
    col_error = col_offset[labelled] - right / FACEMAP_OFFSET
    row_error = row_offset[labelled] - below / FACEMAP_OFFSET
    offset_error = (near * torch.sqrt(col_error**2 + row_error**2 + 1e-12)).sum(dim=(1, 2))
    return _weighted_mean(heat_error + _FACEMAP_OFFSET_WEIGHT * offset_error, weight[labelled])


LOSSES: dict[str, Loss] = {"small": small_loss, "facemap": facemap_loss}
"""Architecture to its loss: of the network's maps, the labels and their weights."""


def _axis(cells: int, like: Tensor) -> Tensor:
    return torch.arange(cells, dtype=torch.float32, device=like.device)


def _gaussian(wanted: Tensor, across: Tensor, down: Tensor, sigma: float) -> Tensor:
    """Return, of shape (L, rows, cols), a bell of height 1 about each of L points in cells."""
    near_x = torch.exp(-((across - wanted[:, :1]) ** 2) / (2 * sigma**2))
    near_y = torch.exp(-((down - wanted[:, 1:]) ** 2) / (2 * sigma**2))
    return near_y[:, :, None] * near_x[:, None, :]


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1.0)
