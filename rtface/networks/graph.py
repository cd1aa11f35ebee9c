"""What surrounds a network inside an engine: from raw pixels to its input, and from its maps to keypoints.

These modules are traced into `model.onnx`, so the service runs them in the engine and never in Python. Every
index and weight of the resize depends on the shape of the image alone: a back end that fixes the shape folds
them into constants.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from rtface.core.records import SHORT_STEP

FACEMAP_STRIDE = 4
"""Pixels of the network's input between neighbouring cells of Facemap's maps."""

FACEMAP_OFFSET = 6.0
"""Cells that an offset of one stands for in Facemap's maps (twice the 3 cells of its Gaussian targets)."""

PEAK_RADIUS = 3
"""Cells around the peak whose share of the heatmap's mass is the score."""


def _length(image: Tensor, axis: int) -> Tensor:
    """Return a size as a tensor, so that tracing records it instead of freezing it."""
    size: object = image.shape[axis]
    return size if isinstance(size, Tensor) else torch.tensor(cast(int, size))


class PadResize(nn.Module):
    """Pad an image with zeros and resize it bilinearly to the network's input, as `rtface.core.geometry` defines it.

    When the input is square this is equal to normalising, padding with zeros and
    ``interpolate(mode="bilinear", align_corners=False)`` in this order (Facemap's preprocessing; no antialiasing),
    but only the pixels that contribute are read. The resize is linear, so the levels may be applied after it, to
    256 x 256 pixels instead of all: what the padding contributes is zero, and the weights that fell on real pixels
    are known from the shape.

    Parameters
    ----------
    size : int
        Longer side of the network's input in pixels.
    square : bool
        Whether the image is padded to a square, or its shorter side alone to a multiple of `SHORT_STEP`.
    """

    def __init__(self, size: int, square: bool = True) -> None:
        super().__init__()
        self.size = size
        self.square = square

    def _taps(
        self, length: Tensor, longer: Tensor, shorter: Tensor, device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return, for one axis, the indices of both neighbours and their weights, zero in the padding."""
        if self.square:
            side = longer + torch.remainder(longer - shorter, 2)
            centres = torch.arange(self.size, dtype=torch.float32, device=device) + 0.5
            before = torch.div(side - length, 2, rounding_mode="trunc")
            position = (centres * (side.to(torch.float32) / self.size) - 0.5).clamp(min=0.0)
            position = torch.minimum(position, side.to(torch.float32) - 1) - before
        else:
            step = longer * SHORT_STEP
            count = torch.div(length * self.size + step - 1, step, rounding_mode="trunc") * SHORT_STEP
            scale = longer.to(torch.float32) / self.size
            centres = torch.arange(cast(int, count), device=device).to(torch.float32) + 0.5
            position = centres * scale - 0.5 - (count.to(torch.float32) * scale - length) / 2
        lower = position.floor()
        fraction = position - lower
        first, first_inside = self._within(lower.to(torch.int64), length)
        second, second_inside = self._within(lower.to(torch.int64) + 1, length)
        return first, second, (1.0 - fraction) * first_inside, fraction * second_inside

    @staticmethod
    def _within(index: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Return indices clamped to the image and, as 0 or 1, whether they lay in it."""
        clamped = torch.minimum(index.clamp(min=0), length - 1)
        return clamped, (clamped == index).to(torch.float32)

    def forward(self, image: Tensor, levels: Tensor) -> Tensor:
        """Prepare one image.

        Parameters
        ----------
        image : Tensor, shape (1, 1, H, W), uint8
            The crop of the camera frame.
        levels : Tensor, shape (2,), float32
            The gray levels that become 0 and 1. When they are equal (a black frame) the result is 0.

        Returns
        -------
        Tensor, shape (1, 1, rows, columns), float32
        """
        height, width = _length(image, 2), _length(image, 3)
        longer, shorter = torch.maximum(height, width), torch.minimum(height, width)
        top, bottom, top_weight, bottom_weight = self._taps(height, longer, shorter, image.device)
        left, right, left_weight, right_weight = self._taps(width, longer, shorter, image.device)
        column_of_weights, column_of_rest = top_weight[:, None], bottom_weight[:, None]
        rows = (
            image.index_select(2, top).to(torch.float32) * column_of_weights
            + image.index_select(2, bottom).to(torch.float32) * column_of_rest
        )
        resized = rows.index_select(3, left) * left_weight + rows.index_select(3, right) * right_weight
        covered = (column_of_weights + column_of_rest) * (left_weight + right_weight)
        low, spread = levels[0], levels[1] - levels[0]
        gain = (spread > 0).to(torch.float32) / torch.where(spread > 0, spread, torch.ones_like(spread))
        return (resized - low * covered) * gain


class FacemapDecode(nn.Module):
    """Keypoints from a heatmap and two offset maps, in Facemap's manner.

    The peak is the heatmap's largest value, the first one in row order when there are several; the offsets at
    the peak refine it. Coordinates are Facemap's: stride times (cell - 6 * offset), without a half pixel, and
    not clamped.

    - ``score``: the share of the (non-negative) heatmap's mass within 3 cells of the peak, in [0, 1], 0 for an
      empty map. It does not depend on the heatmap's scale. It is not calibrated: a map of exactly the shape
      that Facemap trains for (a Gaussian of 3 cells) scores 0.39, and a lone speck scores 1.
    - ``likelihood``: the largest sigmoid of the heatmap, as Facemap writes it to its files; 0.5 or more.
    """

    def __init__(self) -> None:
        super().__init__()
        reach = range(-PEAK_RADIUS, PEAK_RADIUS + 1)
        disc = [(row, col) for row in reach for col in reach if row * row + col * col <= PEAK_RADIUS**2]
        self.register_buffer("disc_rows", torch.tensor([row for row, _ in disc]), persistent=False)
        self.register_buffer("disc_cols", torch.tensor([col for _, col in disc]), persistent=False)

    def forward(self, heat: Tensor, row_offset: Tensor, col_offset: Tensor) -> Tensor:
        """Decode the maps of images.

        Parameters
        ----------
        heat : Tensor, shape (N, K, rows, cols), float32
            Heatmap, 0 or more.
        row_offset, col_offset : Tensor, shape (N, K, rows, cols), float32
            Offsets from the cell to the keypoint, in -6 cells.

        Returns
        -------
        Tensor, shape (N, K, 4), float32
            x, y in pixels of the network's input, score, likelihood.
        """
        count, keypoints, rows, cols = heat.shape
        flat = heat.reshape(count, keypoints, rows * cols)
        # Best row, then best column of it: the same cell as the flat argmax, in a tenth of its time on a CPU.
        row = heat.amax(dim=3).argmax(dim=2, keepdim=True)
        best_row = heat.gather(2, row[..., None].expand(count, keypoints, 1, cols))
        col = best_row.argmax(dim=3)
        peak = row * cols + col

        def at_peak(offset: Tensor) -> Tensor:
            return offset.reshape(count, keypoints, rows * cols).gather(2, peak)

        x = (col.to(torch.float32) - FACEMAP_OFFSET * at_peak(col_offset)) * FACEMAP_STRIDE
        y = (row.to(torch.float32) - FACEMAP_OFFSET * at_peak(row_offset)) * FACEMAP_STRIDE

        disc_row = row + cast(Tensor, self.disc_rows)
        disc_col = col + cast(Tensor, self.disc_cols)
        near_row, near_col = disc_row.clamp(0, rows - 1), disc_col.clamp(0, cols - 1)
        inside = ((near_row == disc_row) & (near_col == disc_col)).to(torch.float32)
        near = (flat.gather(2, near_row * cols + near_col) * inside).sum(dim=2, keepdim=True)
        total = flat.sum(dim=2, keepdim=True)
        empty = (total <= 0).to(torch.float32)
        score = (near / (total + empty)).clamp(0.0, 1.0)
        likelihood = torch.sigmoid(flat.gather(2, peak))
        return torch.cat((x, y, score, likelihood), dim=2)


class NetworkWithDecode(nn.Module):
    """A network followed by its decode: prepared image in, keypoints out."""

    def __init__(self, network: nn.Module, decode: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.decode = decode

    def forward(self, prepared: Tensor) -> Tensor:
        """Return keypoints, shape (1, K, C), of a prepared image, shape (1, 1, rows, columns)."""
        maps = self.network(prepared)
        keypoints: Tensor = self.decode(*maps) if isinstance(maps, tuple) else self.decode(maps)
        return keypoints


class EngineGraph(nn.Module):
    """All of an engine: raw pixels and their levels in, keypoints out.

    Parameters
    ----------
    network_with_decode : Module
        Maps a prepared image, shape (1, 1, rows, columns), float32, to keypoints, shape (1, K, C), float32, whose
        first three columns are x, y (pixels of that image) and score.
    input_size : int
        Longer side of the network's input in pixels.
    square : bool
        As of `PadResize`.
    """

    def __init__(self, network_with_decode: nn.Module, input_size: int, square: bool = True) -> None:
        super().__init__()
        self.prepare = PadResize(input_size, square)
        self.network_with_decode = network_with_decode

    def forward(self, image: Tensor, levels: Tensor) -> Tensor:
        """Find the keypoints of one image.

        Parameters
        ----------
        image : Tensor, shape (1, 1, H, W), uint8
            The crop of the camera frame, of any size.
        levels : Tensor, shape (2,), float32
            1st and 99th percentile of the whole, uncropped frame.

        Returns
        -------
        Tensor, shape (1, K, C), float32
            x, y in pixels of the network's input, score, and further columns by family.
        """
        keypoints: Tensor = self.network_with_decode(self.prepare(image, levels))
        return keypoints
