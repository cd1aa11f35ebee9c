"""The engine's preprocessing and decode against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rtface.core.geometry import NetworkFrame, whole_frame
from rtface.networks.graph import EngineGraph, FacemapDecode, NetworkWithDecode, PadResize

SIZE = 256


def _reference(image: NDArray[np.uint8], low: float, high: float) -> NDArray[np.float64]:
    """Normalise, pad and resize by the definition, in double precision and pixel by pixel."""
    height, width = image.shape
    side = max(height, width)
    if (max(height, width) - min(height, width)) % 2:
        side += 1
    square = np.zeros((side, side))
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = (image.astype(np.float64) - low) / (high - low)
    position = np.maximum((np.arange(SIZE) + 0.5) * side / SIZE - 0.5, 0)
    lower = np.minimum(position.astype(int), side - 1)
    upper = np.minimum(lower + 1, side - 1)
    share = position - lower
    rows = square[lower] * (1 - share)[:, None] + square[upper] * share[:, None]
    resized: NDArray[np.float64] = rows[:, lower] * (1 - share) + rows[:, upper] * share
    return resized


@pytest.mark.parametrize(
    ("height", "width"),
    [
        (256, 256),
        (400, 400),
        (480, 800),
        (800, 480),
        (300, 401),
        (401, 300),
        (301, 300),
        (57, 100),
        (33, 16),
        (1, 1),
        (2, 999),
    ],
)
def test_preparation_equals_its_definition(height: int, width: int) -> None:
    image = np.random.default_rng(height * width).integers(0, 256, (height, width), dtype=np.uint8)
    prepared = PadResize(SIZE)(torch.from_numpy(image)[None, None], torch.tensor([20.5, 201.25]))
    assert prepared.shape == (1, 1, SIZE, SIZE)
    assert prepared.dtype == torch.float32
    np.testing.assert_allclose(prepared[0, 0].numpy(), _reference(image, 20.5, 201.25), atol=2e-4)


@pytest.mark.parametrize(
    ("height", "width"), [(646, 864), (480, 640), (640, 480), (480, 800), (300, 300), (57, 100), (33, 16)]
)
def test_without_a_square_each_pixel_shows_the_place_that_the_geometry_says(height: int, width: int) -> None:
    frame = NetworkFrame(whole_frame(width, height), SIZE, half_pixel=True, square=False)
    rows, columns = frame.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    there = frame.to_camera(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(rows, columns, 2)
    inside = ((there >= 0) & (there <= [width - 1, height - 1])).all(axis=-1)
    beyond = ((there < -1) | (there > [width, height])).any(axis=-1)
    assert inside.mean() > 0.8
    for axis, length in enumerate((width, height)):
        ramp = (np.arange(length) * (200 / length)).astype(np.uint8)
        image = np.broadcast_to(ramp if axis == 0 else ramp[:, None], (height, width)).copy()
        prepare = PadResize(SIZE, square=False)
        prepared = prepare(torch.from_numpy(image)[None, None], torch.tensor([0.0, 200.0]))[0, 0].numpy()
        assert prepared.shape == frame.shape
        at = np.clip(there[..., axis], 0, length - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, length - 1)
        expected = (ramp[low] + (at - low) * (ramp[high].astype(float) - ramp[low])) / 200
        np.testing.assert_allclose(prepared[inside], expected[inside], atol=2e-4)
        assert np.abs(prepared[beyond]).max(initial=0) == 0


def test_padding_is_zero_after_normalising_not_before() -> None:
    image = torch.full((1, 1, 100, 300), 200, dtype=torch.uint8)
    prepared = PadResize(SIZE)(image, torch.tensor([100.0, 200.0]))[0, 0]
    assert prepared[0].abs().max() == 0
    assert prepared[SIZE // 2].min() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_frame_of_one_gray_level_gives_zeros(value: int) -> None:
    image = torch.full((1, 1, 60, 80), value, dtype=torch.uint8)
    prepared = PadResize(SIZE)(image, torch.tensor([float(value), float(value)]))
    assert torch.equal(prepared, torch.zeros(1, 1, SIZE, SIZE))


def test_a_few_bright_pixels_in_a_black_frame_do_not_count() -> None:
    image = torch.zeros(1, 1, 60, 80, dtype=torch.uint8)
    image[0, 0, 30, 40:44] = 255
    assert PadResize(SIZE)(image, torch.zeros(2)).abs().max() == 0


def _maps(keypoints: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.zeros(1, keypoints, 64, 64),
        torch.zeros(1, keypoints, 64, 64),
        torch.zeros(1, keypoints, 64, 64),
    )


def test_decode_of_a_map_made_by_hand() -> None:
    heat, row_offset, col_offset = _maps()
    heat[0, 0, 10, 20] = 3.0
    heat[0, 0, 13, 20] = 1.0  # three cells away: near
    heat[0, 0, 12, 23] = 2.0  # further than three cells: not near
    heat[0, 0, 50, 50] = 2.0
    row_offset[0, 0, 10, 20] = 0.25
    col_offset[0, 0, 10, 20] = -0.5
    keypoints = FacemapDecode()(heat, row_offset, col_offset)
    assert keypoints.shape == (1, 1, 4)
    x, y, score, likelihood = keypoints[0, 0].tolist()
    assert x == 4 * (20 + 3)
    assert y == 4 * (10 - 1.5)
    assert score == pytest.approx(4 / 8)
    assert likelihood == pytest.approx(1 / (1 + np.exp(-3.0)))


def test_the_first_of_equal_peaks_in_row_order_wins() -> None:
    heat, row_offset, col_offset = _maps(3)
    for row, col in ((40, 2), (8, 50), (8, 33)):
        heat[0, 0, row, col] = 1.0
    heat[0, 1] = 0.5
    keypoints = FacemapDecode()(heat, row_offset, col_offset)[0]
    assert keypoints[:, :2].tolist() == [[4 * 33, 4 * 8], [0, 0], [0, 0]]


def test_decode_finds_the_flat_argmax_of_random_maps() -> None:
    generator = torch.Generator().manual_seed(3)
    heat = torch.relu(torch.randn(2, 40, 64, 64, generator=generator) - 2)
    row_offset, col_offset = torch.randn(2, 2, 40, 64, 64, generator=generator)
    keypoints = FacemapDecode()(heat, row_offset, col_offset)
    peak = heat.reshape(2, 40, -1).argmax(2)
    for sample in range(2):
        for k in range(40):
            row, col = divmod(int(peak[sample, k]), 64)
            x = 4 * (col - 6 * float(col_offset[sample, k, row, col]))
            y = 4 * (row - 6 * float(row_offset[sample, k, row, col]))
            assert keypoints[sample, k, :2].tolist() == pytest.approx([x, y], abs=1e-3)


@pytest.mark.parametrize(("row", "col"), [(0, 0), (0, 63), (63, 0), (63, 63), (1, 30)])
def test_a_lone_peak_at_the_border_has_all_the_mass(row: int, col: int) -> None:
    heat, row_offset, col_offset = _maps()
    heat[0, 0, row, col] = 0.7
    score = float(FacemapDecode()(heat, row_offset, col_offset)[0, 0, 2])
    assert score == pytest.approx(1.0)
    assert score <= 1.0


@pytest.mark.parametrize(("row", "col"), [(0, 0), (63, 63), (0, 31)])
def test_what_lies_beyond_the_border_does_not_count(row: int, col: int) -> None:
    heat, row_offset, col_offset = _maps()
    heat[0, 0, row, col] = 1.0
    heat[0, 0, 32, 10] = 0.6
    score = float(FacemapDecode()(heat, row_offset, col_offset)[0, 0, 2])
    assert score == pytest.approx(1 / 1.6)


def test_score_ignores_the_heatmaps_scale_and_an_empty_map_scores_zero() -> None:
    heat = torch.rand(1, 5, 64, 64, generator=torch.Generator().manual_seed(5))
    zeros = torch.zeros_like(heat)
    decode = FacemapDecode()
    plain, scaled = decode(heat, zeros, zeros), decode(heat * 1e-4, zeros, zeros)
    torch.testing.assert_close(plain[..., 2], scaled[..., 2])
    assert 0 < plain[..., 2].min() < plain[..., 2].max() < 0.05
    empty = decode(zeros, zeros, zeros)
    assert empty[..., 2].abs().max() == 0
    assert empty[..., 3].unique().tolist() == [0.5]


def test_the_graph_runs_preparation_network_and_decode_in_turn() -> None:
    class Mean(torch.nn.Module):
        def forward(self, prepared: torch.Tensor) -> torch.Tensor:
            return prepared.mean()[None, None, None].expand(1, 2, 3)

    graph = EngineGraph(NetworkWithDecode(Mean(), torch.nn.Identity()), SIZE)
    image = torch.full((1, 1, 40, 40), 150, dtype=torch.uint8)
    keypoints = graph(image, torch.tensor([100.0, 200.0]))
    torch.testing.assert_close(keypoints, torch.full((1, 2, 3), 0.5))
