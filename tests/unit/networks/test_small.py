"""The small network and its decode: sub-pixel peaks, scores, shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rtface.networks.small import STRIDE, SmallDecode, SmallNetwork

CELLS = 64
SIGMA = 1.2


def peak(x: float, y: float, height: float = 0.0) -> Tensor:
    """Logits of a Gaussian about a point in pixels of the network's input, shape (64, 64)."""
    pixels = torch.arange(CELLS, dtype=torch.float32) * STRIDE + (STRIDE - 1) / 2
    square = (pixels[None, :] - x) ** 2 + (pixels[:, None] - y) ** 2
    return height - square / (2 * (SIGMA * STRIDE) ** 2)


def decode(*maps: Tensor, decoder: SmallDecode | None = None) -> Tensor:
    keypoints: Tensor = (decoder or SmallDecode())(torch.stack(maps)[None])[0]
    return keypoints


@given(x=st.floats(16, 239), y=st.floats(16, 239))
@settings(deadline=None)
def test_a_peak_is_found_between_the_cells(x: float, y: float) -> None:
    found = decode(peak(x, y))[0]
    assert found[:2].tolist() == pytest.approx([x, y], abs=0.3)


def test_a_peak_on_a_cells_centre_is_that_cells_middle_pixel() -> None:
    logits = torch.zeros(CELLS, CELLS)
    logits[5, 9] = 40.0
    assert decode(logits)[0, :2].tolist() == pytest.approx([9 * 4 + 1.5, 5 * 4 + 1.5], abs=1e-3)


def test_a_second_lower_peak_does_not_pull_the_point() -> None:
    both = torch.logsumexp(torch.stack([peak(60, 80), peak(200, 180, height=-0.3)]), dim=0)
    found = decode(both)[0]
    assert found[:2].tolist() == pytest.approx([60, 80], abs=0.3)
    assert 0.5 < float(found[2]) < 0.6, "the score tells that there is another candidate"


@pytest.mark.parametrize(("x", "y"), [(1.5, 1.5), (253.5, 1.5), (1.5, 253.5), (253.5, 253.5)])
def test_a_peak_in_a_corner_stays_near_it(x: float, y: float) -> None:
    found = decode(peak(x, y))[0]
    assert found[:2].tolist() == pytest.approx([x, y], abs=4.0)
    assert torch.isfinite(found).all()


def test_the_score_falls_with_the_mass_that_lies_elsewhere() -> None:
    sharp, flat = peak(100, 100), torch.zeros(CELLS, CELLS)
    scores = decode(sharp, flat)[:, 2]
    assert float(scores[0]) > 0.98
    assert float(scores[1]) < 0.02


def test_the_calibration_is_kept_with_the_weights_and_moves_the_score_alone() -> None:
    plain, moved = SmallDecode(), SmallDecode()
    both = torch.logsumexp(torch.stack([peak(60, 80), peak(200, 180, height=-1.0)]), dim=0)
    moved.load_state_dict({"slope": torch.tensor(2.0), "intercept": torch.tensor(-1.0)})
    before, after = decode(both, decoder=plain)[0], decode(both, decoder=moved)[0]
    assert after[:2].tolist() == before[:2].tolist()
    assert float(torch.logit(after[2])) == pytest.approx(2 * float(torch.logit(before[2])) - 1, abs=1e-3)


def test_each_keypoint_of_each_image_is_decoded_for_itself() -> None:
    points = [[(40.0, 50.0), (90.0, 20.0)], [(200.0, 130.0), (77.0, 201.0)]]
    maps = torch.stack([torch.stack([peak(*point) for point in image]) for image in points])
    found = SmallDecode()(maps)
    assert torch.allclose(found[..., :2], torch.tensor(points), atol=0.3)


@pytest.mark.parametrize("size", [128, 256])
def test_maps_are_a_quarter_of_the_input(size: int) -> None:
    network = SmallNetwork(7, channels=(4, 6, 8, 10), depths=(1, 1, 1), head=8).eval()
    assert network(torch.zeros(2, 1, size, size)).shape == (2, 7, size // 4, size // 4)
