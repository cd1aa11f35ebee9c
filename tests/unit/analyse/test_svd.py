from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rtface.analyse.svd import decompose
from rtface.core.errors import DataError
from rtface.core.records import Image


def film(frames: int = 2600, rows: int = 30, cols: int = 40) -> tuple[list[Image], np.ndarray]:
    """Three patches that flicker independently, over a still picture."""
    random = np.random.default_rng(0)
    still = random.integers(60, 120, (rows, cols)).astype(float)
    traces = np.clip(np.cumsum(random.normal(0, 1, (frames, 3)), axis=0) % 80 - 40, -40, 40) * [1, 0.7, 0.5]
    images = []
    for trace in traces:
        image = still.copy()
        for patch, value in enumerate(trace):
            image[5 + 8 * patch : 11 + 8 * patch, 5:20] += value
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    return images, traces


def test_a_movies_components_are_those_of_the_whole_decomposition() -> None:
    images, _ = film()
    found = decompose(lambda: iter(images), len(images), 3, "movie")
    flat = np.stack(images).reshape(len(images), -1).astype(float)
    flat -= flat.mean(axis=0)
    left, sizes, masks = np.linalg.svd(flat, full_matrices=False)
    assert found.traces.shape == (2600, 3)
    assert found.masks.shape == (3, 30, 40)
    overlap = np.abs(found.masks.reshape(3, -1) @ masks[:3].T)
    np.testing.assert_allclose(np.diag(overlap), 1, atol=0.02)
    expected = np.abs(np.corrcoef(found.traces[:, 0], left[:, 0] * sizes[0])[0, 1])
    assert expected > 0.99
    assert found.traces[:, 0].std() == pytest.approx(1, rel=1e-3)


def test_motion_is_the_change_from_frame_to_frame() -> None:
    images, traces = film()
    found = decompose(lambda: iter(images), len(images), 3)
    moved = np.abs(np.diff(traces, axis=0))
    fit = np.linalg.lstsq(np.c_[found.traces[1:], np.ones(2599)], moved[:, 0], rcond=None)[0]
    predicted = np.c_[found.traces[1:], np.ones(2599)] @ fit
    assert np.corrcoef(predicted, moved[:, 0])[0, 1] > 0.98


def test_large_frames_are_averaged() -> None:
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (480, 640)).astype(np.uint8) for _ in range(4)]
    found = decompose(lambda: iter(images), 4, 2, "movie")
    assert found.bin_px == 6
    assert found.masks.shape[1:] == (80, 106)


def test_a_video_that_changes_between_the_readings_is_refused() -> None:
    images, _ = film(300)
    readings: list[Iterator[Image]] = [iter(images), iter(images[:-1])]
    with pytest.raises(DataError, match="300 frames"):
        decompose(lambda: readings.pop(0), 300, 2)
    with pytest.raises(DataError, match="1 frames"):
        decompose(lambda: iter(images[:1]), 1, 2)
