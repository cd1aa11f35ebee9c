"""The small network and its decode: sub-pixel peaks, scores, shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rtface.core.errors import UsageError
from rtface.networks.small import ELSEWHERE, SMALLEST_SPREAD, STRIDE, SmallDecode, SmallNetwork

CELLS = (64, 64)
SIGMA = 1.2


def peak(x: float, y: float, height: float = 0.0, cells: tuple[int, int] = CELLS) -> Tensor:
    """Logits of a Gaussian about a point in pixels of the network's input, of the shape `cells`."""
    down, across = (torch.arange(length) * STRIDE + (STRIDE - 1) / 2 for length in cells)
    square = (across[None, :] - x) ** 2 + (down[:, None] - y) ** 2
    return height - square / (2 * (SIGMA * STRIDE) ** 2)


def decode(*maps: Tensor, decoder: SmallDecode | None = None) -> Tensor:
    keypoints: Tensor = (decoder or SmallDecode(len(maps)))(torch.stack(maps)[None])[0]
    return keypoints


@given(x=st.floats(16, 239), y=st.floats(16, 239))
@settings(deadline=None)
def test_a_peak_is_found_between_the_cells(x: float, y: float) -> None:
    found = decode(peak(x, y))[0]
    assert found[:2].tolist() == pytest.approx([x, y], abs=0.3)


def test_a_peak_on_a_cells_centre_is_that_cells_middle_pixel() -> None:
    logits = torch.zeros(CELLS)
    logits[5, 9] = 40.0
    assert decode(logits)[0, :2].tolist() == pytest.approx([9 * 4 + 1.5, 5 * 4 + 1.5], abs=1e-3)


def test_a_second_lower_peak_does_not_pull_the_point() -> None:
    both = torch.logsumexp(torch.stack([peak(60, 80), peak(200, 180, height=-0.3)]), dim=0)
    found = decode(both)[0]
    assert found[:2].tolist() == pytest.approx([60, 80], abs=0.3)
    alone = decode(peak(60, 80))[0]
    assert float(found[2]) < 0.5 * float(alone[2]), "the score tells that there is another candidate"


@pytest.mark.parametrize(("x", "y"), [(1.5, 1.5), (253.5, 1.5), (1.5, 253.5), (253.5, 253.5)])
def test_a_peak_in_a_corner_stays_near_it(x: float, y: float) -> None:
    found = decode(peak(x, y))[0]
    assert found[:2].tolist() == pytest.approx([x, y], abs=4.0)
    assert torch.isfinite(found).all()


def test_the_score_falls_with_the_mass_that_lies_elsewhere() -> None:
    sharp, flat = peak(100, 100), torch.zeros(CELLS)
    scores = decode(sharp, flat)[:, 2]
    assert float(scores[0]) > 0.25
    assert float(scores[1]) == pytest.approx(1 / (1 + ELSEWHERE), abs=0.01)


def test_the_calibration_is_kept_with_the_weights_and_moves_the_score_alone() -> None:
    plain, moved = SmallDecode(1), SmallDecode(1)
    both = torch.logsumexp(torch.stack([peak(60, 80), peak(200, 180, height=-1.0)]), dim=0)
    moved.load_state_dict({"slope": torch.tensor(2.0), "intercept": torch.tensor([-1.0])})
    before, after = decode(both, decoder=plain)[0], decode(both, decoder=moved)[0]
    assert after[:2].tolist() == before[:2].tolist()
    assert float(torch.logit(after[2])) == pytest.approx(2 * float(torch.logit(before[2])) - 1, abs=1e-3)


def test_each_keypoint_of_each_image_is_decoded_for_itself() -> None:
    points = [[(40.0, 50.0), (90.0, 20.0)], [(200.0, 130.0), (77.0, 201.0)]]
    maps = torch.stack([torch.stack([peak(*point) for point in image]) for image in points])
    found = SmallDecode(2)(maps)
    assert torch.allclose(found[..., :2], torch.tensor(points), atol=0.3)


@pytest.mark.parametrize(("x", "y"), [(60, 30), (200, 30), (100, 70)])
def test_a_map_that_is_wider_than_high_is_read_row_by_row(x: float, y: float) -> None:
    found = decode(peak(x, y, cells=(24, 56)), peak(y, x, cells=(24, 56)))
    assert found[0, :2].tolist() == pytest.approx([x, y], abs=0.3)
    high = decode(peak(y, x, cells=(56, 24)))
    assert high[0, :2].tolist() == pytest.approx([y, x], abs=0.3)


@pytest.mark.parametrize(("row", "col"), [(0, 0), (0, 55), (23, 0), (23, 55), (0, 20), (9, 55)])
def test_a_lone_cell_at_the_border_is_found_where_it_is(row: int, col: int) -> None:
    logits = torch.zeros(24, 56)
    logits[row, col] = 40.0
    found = decode(logits)[0]
    assert found[:2].tolist() == pytest.approx([col * 4 + 1.5, row * 4 + 1.5], abs=1e-3)
    assert float(found[2]) == pytest.approx(1 / (1 + SMALLEST_SPREAD), abs=1e-3)


def test_what_lies_beyond_the_border_is_not_counted_twice() -> None:
    """Cells of the window that are clamped to the border would pull the point to it."""
    logits = torch.full((24, 56), -40.0)
    logits[0, 10], logits[2, 10] = 1.0, 0.0
    share = torch.softmax(torch.tensor([1.0, 0.0]), dim=0)
    found = decode(logits)[0]
    assert found[:2].tolist() == pytest.approx([10 * 4 + 1.5, float(share[1]) * 2 * 4 + 1.5], abs=1e-3)


def test_the_spread_of_a_map_made_by_hand() -> None:
    logits = torch.full((24, 56), -40.0)
    for col in (10, 12):
        logits[8, col] = 0.0
    logits[20, 40] = float(torch.log(torch.tensor(0.5)))
    x, y, spread = SmallDecode(1).locate(logits[None, None])
    assert float(x) == pytest.approx(11, abs=1e-3)
    assert float(y) == pytest.approx(8, abs=1e-3)
    # Two fifths each at a distance of one cell; a fifth elsewhere.
    assert float(spread) == pytest.approx(0.8 * 1 + 0.2 * ELSEWHERE + SMALLEST_SPREAD, abs=1e-3)


def test_a_wider_peak_scores_less() -> None:
    sharp, wide = peak(100, 100), peak(100, 100) / 6
    scores = decode(sharp, wide)[:, 2]
    assert float(scores[0]) > float(scores[1]) + 0.1


@pytest.mark.parametrize(("rows", "cols"), [(128, 128), (192, 256), (32, 256), (96, 64)])
def test_maps_are_a_quarter_of_the_input(rows: int, cols: int) -> None:
    network = SmallNetwork(7, channels=(4, 6, 8, 10), depths=(1, 1, 1), head=8).eval()
    assert network(torch.zeros(2, 1, rows, cols)).shape == (2, 7, rows // 4, cols // 4)


@pytest.mark.parametrize(("rows", "cols"), [(128, 128), (192, 256), (32, 256), (96, 64)])
def test_maps_of_the_fast_kind_are_a_quarter_of_the_input_too(rows: int, cols: int) -> None:
    network = SmallNetwork(7, channels=(6, 8, 10), depths=(1, 1), head=8, stem=4).eval()
    assert network(torch.zeros(2, 1, rows, cols)).shape == (2, 7, rows // 4, cols // 4)


def test_each_cell_of_a_fast_map_comes_of_an_output_of_its_own_keypoint() -> None:
    network = SmallNetwork(3, channels=(6, 8, 10), depths=(1, 1), head=8, stem=4).eval()
    with torch.no_grad():
        network.heads.weight.zero_()
        network.heads.bias.copy_(torch.arange(12.0))
        maps = network(torch.zeros(1, 1, 64, 64))[0]
    for keypoint in range(3):
        cell = maps[keypoint, :2, :2].flatten().tolist()
        assert cell == [4 * keypoint + each for each in range(4)]
        assert torch.equal(maps[keypoint], maps[keypoint, :2, :2].repeat(8, 8))


def test_a_stem_that_is_not_known_is_named() -> None:
    with pytest.raises(UsageError, match="one of 2, 4, not 3"):
        SmallNetwork(3, stem=3)
