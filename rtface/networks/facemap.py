"""Facemap's tracker network, written anew from its published description.

The names of the parameters are those of Facemap's weight files, so that such a file loads unchanged.

Source: Syeda et al., "Facemap: a framework for modeling neural activity based on orofacial tracking",
Nature Neuroscience 27 (2024), and the layout of the weight files.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rtface.core.errors import UsageError

BLOCKS = 5
"""Encoder blocks; the maps are a quarter of the input's size because two of the four poolings are undone."""

UPSAMPLINGS = 2
MAPS = 3


def _unit(inputs: int, outputs: int, rectify: bool = True) -> nn.Sequential:
    """Batch normalisation, ReLU, 3x3 convolution without bias; the very first unit has no ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    if rectify:
        return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), convolution)
    return nn.Sequential(nn.BatchNorm2d(inputs), convolution)


class _Block(nn.Module):
    """Two units in a row."""

    def __init__(self, inputs: int, outputs: int, rectify_first: bool = True) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        self.conv.add_module("conv_0", _unit(inputs, outputs, rectify_first))
        self.conv.add_module("conv_1", _unit(outputs, outputs))

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.conv(features)
        return result


class FacemapNetwork(nn.Module):
    """The network of Facemap's keypoint tracker.

    Parameters
    ----------
    channels : sequence of 5 int
        Widths of the encoder's blocks. They belong to a weight file: see `facemap_weights`.
    keypoints : int
        Number of keypoints, 15 in Facemap's own weights.

    Raises
    ------
    UsageError
        The number of widths is not 5, or a width is not positive.
    """

    def __init__(self, channels: Sequence[int], keypoints: int) -> None:
        super().__init__()
        if len(channels) != BLOCKS or min(*channels, keypoints) < 1:
            raise UsageError(
                f"a Facemap network has {BLOCKS} widths of 1 or more and at least one keypoint, "
                f"not channels={list(channels)} keypoints={keypoints}"
            )
        self.Conv = nn.Sequential()
        for index, outputs in enumerate(channels):
            inputs = channels[index - 1] if index else 1
            self.Conv.add_module(f"conv{index}", _Block(inputs, outputs, rectify_first=index > 0))
        self.Up_conv = nn.Sequential()
        for index in range(UPSAMPLINGS):
            deep, skip = channels[-1 - index], channels[-2 - index]
            self.Up_conv.add_module(f"upconv{index}", _Block(deep + skip, skip))
        self.Conv2_1x1 = nn.Sequential()
        for index in range(MAPS):
            self.Conv2_1x1.add_module(f"conv{index}", nn.Conv2d(channels[-1 - UPSAMPLINGS], keypoints, 1))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, prepared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the maps.

        Parameters
        ----------
        prepared : Tensor, shape (N, 1, 256, 256), float32
            Normalised images.

        Returns
        -------
        heat, row_offset, col_offset : Tensor, shape (N, K, 64, 64), float32
            The heatmap is 0 or more and, unlike in Facemap's training, not scaled to a fixed sum.
        """
        features, levels = prepared, []
        for index, block in enumerate(self.Conv):
            features = block(self.pool(features) if index else features)
            levels.append(features)
        for index, block in enumerate(self.Up_conv):
            features = block(torch.cat((self.upsample(features), levels[-2 - index]), dim=1))
        heat, row_offset, col_offset = (head(features) for head in self.Conv2_1x1)
        return torch.relu(heat), row_offset, col_offset


def fold_batch_norm(network: FacemapNetwork) -> FacemapNetwork:
    """Return a copy for inference whose second batch normalisations are folded into the convolutions before them.

    The first one of each block follows a pooling, a concatenation or the image itself and stays.
    """
    folded = copy.deepcopy(network).eval()
    for block in (*folded.Conv, *folded.Up_conv):
        assert isinstance(block, _Block)
        first, second = block.conv
        assert isinstance(first, nn.Sequential)
        assert isinstance(second, nn.Sequential)
        convolution, norm = first[-1], second[0]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        first[-1] = fuse_conv_bn_eval(convolution, norm)
        second[0] = nn.Identity()
    return folded
