"""Small networks of our own, for a CPU.

A strided stem, plain 3x3 convolutions with residual sums (He et al. 2016) down to 1/16 of the input, and a light
decoder back to 1/4, where each keypoint has one map (a feature pyramid, Lin et al. 2017). The faster kind begins at 1/4,
with one convolution of 12x12 pixels, and decodes to 1/8 alone, where the head gives the four values of a map that lie
in each cell (Shi et al. 2016): few channels on many cells cost most of the time. Plain convolutions, not
depthwise ones: on the vector units of a CPU their arithmetic in 8 bits is so much faster that they buy more network for
the same time (docs/decisions/0008). The maps are probabilities over cells: the peak's neighbourhood is averaged
(integral regression, Sun et al. 2018, restricted to a window so that a second mode cannot pull the mean), which gives
sub-pixel coordinates without offset maps.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rtface.core.errors import UsageError

STRIDE = 4
"""Pixels of the network's input between neighbouring cells of the maps."""

WINDOW = 3
"""Cells on each side of the peak that are averaged."""

ELSEWHERE = 16.0
"""Squared distance, in cells, at which probability outside the window counts in the spread."""

SMALLEST_SPREAD = 0.02


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation and, unless it is linear, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, linear: bool = False
    ) -> None:
        beside = (kernel - stride + 1) // 2
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, beside, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([] if linear else [nn.ReLU(inplace=True)]))


class Residual(nn.Module):
    """A 3x3 convolution, added to its input where the shapes agree, then ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = ConvUnit(inputs, outputs, 3, stride=stride, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the next layer, shape (N, outputs, rows / stride, columns / stride)."""
        result: Tensor = self.body(features)
        return functional.relu(features + result if self.residual else result)


_STEMS = {2: 3, 4: 12}
"""Stride of a stem to its kernel."""


class SmallNetwork(nn.Module):
    """Maps a prepared image to one map of logits a keypoint.

    Parameters
    ----------
    keypoints : int
        Number of keypoints K.
    channels : sequence of int
        Widths of the stem and of each halving of resolution after it.
    depths : sequence of int
        Convolutions at each of these halvings; one fewer than `channels`.
    head : int
        Width of the decoder.
    stem : int
        Pixels between neighbouring features of the stem, 2 or 4, a convolution of three times that for 4. The decoder ends at
        twice that.

    Raises
    ------
    UsageError
        There is no such stem.
    """

    def __init__(
        self,
        keypoints: int,
        channels: Sequence[int] = (16, 32, 64, 128),
        depths: Sequence[int] = (2, 4, 4),
        head: int = 64,
        stem: int = 2,
    ) -> None:
        super().__init__()
        if stem not in _STEMS:
            raise UsageError(f"the stem is one of {', '.join(map(str, _STEMS))}, not {stem}")
        self.stem = ConvUnit(1, channels[0], _STEMS[stem], stride=stem)
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(before, width, 2), *(Residual(width, width, 1) for _ in range(depth - 1)))
            for before, width, depth in zip(channels, channels[1:], depths, strict=False)
        )
        self.lateral = nn.ModuleList(ConvUnit(width, head, 1) for width in channels[1:])
        self.smooth = nn.ModuleList(ConvUnit(head, head, 3) for _ in channels[1:-1])
        cells = 2 * stem // STRIDE
        self.heads = nn.Conv2d(head, keypoints * cells**2, 1)
        self.interleave = nn.PixelShuffle(cells) if cells > 1 else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, shape (N, K, rows / 4, columns / 4), of images, shape (N, 1, rows, columns)."""
        features = self.stem(image)
        levels = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        merged = self.lateral[-1](levels[-1])
        for position in range(len(levels) - 2, -1, -1):
            merged = functional.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = self.smooth[position](merged + self.lateral[position](levels[position]))
        logits: Tensor = self.interleave(self.heads(merged))
        return logits


def fold_batch_norm(network: SmallNetwork) -> SmallNetwork:
    """Return a copy for inference whose batch normalisations are folded into the convolutions before them."""
    folded = copy.deepcopy(network).eval()
    for unit in folded.modules():
        if isinstance(unit, ConvUnit):
            convolution, norm = unit[0], unit[1]
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            unit[0], unit[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return folded


class SmallDecode(nn.Module):
    """Keypoints from maps of logits: the mean of the probabilities in a window round the peak.

    The score is a logistic function of the spread: the mean squared distance, in cells, of the map's probability from
    the keypoint, where probability outside the window counts as `ELSEWHERE`. Slope and intercepts are fitted on
    labelled frames that the network had not seen; without a fit the score is 1 / (1 + spread).

    Parameters
    ----------
    keypoints : int
        Number of keypoints K, each with an intercept of its own.
    """

    slope: Tensor
    intercept: Tensor
    row_step: Tensor
    col_step: Tensor

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.register_buffer("slope", torch.tensor(1.0))
        self.register_buffer("intercept", torch.zeros(keypoints))
        steps = torch.arange(-WINDOW, WINDOW + 1)
        self.register_buffer("row_step", steps.repeat_interleave(len(steps)), persistent=False)
        self.register_buffer("col_step", steps.repeat(len(steps)), persistent=False)

    def forward(self, logits: Tensor) -> Tensor:
        """Decode the maps of images.

        Parameters
        ----------
        logits : Tensor, shape (N, K, rows, cols), float32

        Returns
        -------
        Tensor, shape (N, K, 3), float32
            x, y in pixels of the network's input (centres at integers), score.
        """
        x, y, spread = self.locate(logits)
        score = torch.sigmoid(self.intercept[:, None] - self.slope * torch.log(spread))
        centre = (STRIDE - 1) / 2
        return torch.cat((x * STRIDE + centre, y * STRIDE + centre, score), dim=2)

    def locate(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x and y in cells and the spread in squared cells, each of shape (N, K, 1)."""
        images, keypoints, rows, cols = logits.shape
        flat = functional.softmax(logits.reshape(images, keypoints, rows * cols), dim=2)
        # Best row, then best column of it: the same cell as the flat argmax, in a tenth of its time on a CPU.
        row = logits.amax(dim=3).argmax(dim=2, keepdim=True)
        col = logits.gather(2, row[..., None].expand(images, keypoints, 1, cols)).argmax(dim=3)
        near_row, near_col = row + self.row_step, col + self.col_step
        inside_row, inside_col = _clamped(near_row, rows), _clamped(near_col, cols)
        inside = ((inside_row == near_row) & (inside_col == near_col)).to(flat.dtype)
        weight = flat.gather(2, inside_row * cols + inside_col) * inside
        mass = weight.sum(dim=2, keepdim=True)
        x = (weight * near_col).sum(dim=2, keepdim=True) / mass
        y = (weight * near_row).sum(dim=2, keepdim=True) / mass
        squares = (near_col - x) ** 2 + (near_row - y) ** 2
        spread = (weight * squares).sum(dim=2, keepdim=True) + (1 - mass) * ELSEWHERE
        return x, y, spread + SMALLEST_SPREAD


def _clamped(index: Tensor, length: int) -> Tensor:
    """Return indices within a map; while a graph of any shape is traced the length is a tensor."""
    last: object = length - 1
    return torch.minimum(
        index.clamp(min=0), last if isinstance(last, Tensor) else torch.tensor(last, device=index.device)
    )
