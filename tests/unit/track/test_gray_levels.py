from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rtface.core.records import Image
from rtface.track.gray_levels import levels, percentiles

images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))
percents = st.floats(0, 100)


def agree(frame: Image, low: float, high: float) -> None:
    got = levels(frame, low, high)
    assert got.dtype == np.float32
    assert got.shape == (2,)
    np.testing.assert_allclose(got, np.percentile(frame, [low, high]), rtol=1e-6, atol=1e-6)


@given(frame=images, low=percents, high=percents)
@settings(max_examples=200, deadline=None)
def test_any_percentiles_of_any_picture_are_numpys(frame: Image, low: float, high: float) -> None:
    agree(frame, low, high)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(480, 640), (333, 257), (1, 5000), (1024, 1280)]))
@settings(max_examples=20, deadline=None)
def test_whole_frames(seed: int, shape: tuple[int, int]) -> None:
    chance = np.random.default_rng(seed)
    agree(np.clip(chance.normal(90, 30, shape), 0, 255).astype(np.uint8), 1, 99)
    agree((255 * chance.random(shape) ** 8).astype(np.uint8), 1, 99)


def test_the_defaults_are_the_1st_and_the_99th() -> None:
    frame = np.arange(101, dtype=np.uint8).reshape(1, 101)
    assert levels(frame).tolist() == [1.0, 99.0]


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_constant_frames(value: int) -> None:
    assert levels(np.full((480, 640), value, np.uint8)).tolist() == [value, value]


def test_two_gray_levels_far_apart_are_interpolated() -> None:
    frame = np.array([[0, 255]], np.uint8)
    np.testing.assert_allclose(levels(frame, 25, 75), [63.75, 191.25])


@pytest.mark.parametrize(
    "view",
    [np.s_[10:90, 20:75], np.s_[::2], np.s_[:, ::3], np.s_[::-1, ::-1], np.s_[5:6, 5:6]],
    ids=["crop", "rows", "columns", "reversed", "one-pixel"],
)
def test_views_of_a_frame(view: tuple[slice, slice]) -> None:
    frame = np.random.default_rng(3).integers(0, 256, (100, 120), np.uint8)
    agree(frame[view], 1, 99)


def test_a_large_frame_of_few_levels_is_exact() -> None:
    """More pixels of one gray than a float32 can count one by one."""
    frame = np.zeros((4100, 4100), np.uint8)
    frame[:2] = 200
    agree(frame, 1, 99.99)


@given(
    hnp.arrays(np.int64, 256, elements=st.integers(0, 50)).filter(lambda counts: counts.sum() > 0), percents
)
@settings(max_examples=100, deadline=None)
def test_percentiles_of_a_histogram(counts: np.ndarray, wanted: float) -> None:
    values = np.repeat(np.arange(256), counts)
    got = percentiles(counts, (wanted, 50.0))
    np.testing.assert_allclose(got, np.percentile(values, [wanted, 50]), rtol=1e-6, atol=1e-6)


def test_the_frame_is_left_as_it_was() -> None:
    frame = np.random.default_rng(3).integers(0, 256, (100, 120), np.uint8)
    before = frame.copy()
    levels(frame)
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize("row_step", [2, 4, 7])
@pytest.mark.parametrize("shape", [(100, 120), (3, 50)])
def test_only_every_so_manyth_row_is_looked_at(row_step: int, shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    frame[1::row_step] = 255
    got = levels(frame, row_step=row_step)
    np.testing.assert_allclose(got, np.percentile(frame[::row_step], [1, 99]), rtol=1e-6)
