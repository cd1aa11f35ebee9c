"""Training samples: labels stay on their pixels whatever is done to a picture."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from rtface.geometry import NetworkFrame, whole_frame
from rtface.learn.samples import (
    Augmentation,
    draw_batch,
    draw_sample,
    plain_sample,
    prepare,
    simulated_pictures,
)
from rtface.networks.graph import PadResize
from rtface.records import FACEMAP_KEYPOINTS, FloatArray, Image

SIZE = 128
GEOMETRY = Augmentation(contrast=0.0, gamma=1.0, blur=0.0, noise=0.0, occlusion=0.0)
STILL = dataclasses.replace(GEOMETRY, rotation_deg=0.0, zoom=1.0, shift=0.0, flip=0.0)


def dotted(x: float, y: float, height: int = 300, width: int = 400) -> tuple[Image, FloatArray]:
    """A dark frame with one bright spot, which is its first keypoint."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    spot = 250 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * 8.0**2))
    xy = np.full((len(FACEMAP_KEYPOINTS), 2), np.nan, np.float32)
    xy[0] = x, y
    return spot.astype(np.uint8), xy


def centre_of_light(image: FloatArray) -> FloatArray:
    weight = np.clip(image - 0.2 * image.max(), 0, None).astype(np.float64)
    down, across = np.indices(image.shape)
    return np.array([(weight * across).sum(), (weight * down).sum()], np.float32) / np.float32(weight.sum())


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (256, 256), (301, 400)])
def test_an_undisturbed_sample_is_what_the_engine_would_see(height: int, width: int) -> None:
    image, xy = dotted(150, 120, height, width)
    sample, points = draw_sample(prepare(image, xy), SIZE, STILL, np.random.default_rng(0))
    assert sample.shape == (SIZE, SIZE)
    assert centre_of_light(sample) == pytest.approx(points[0], abs=0.3)
    side = max(height, width) + (width - height) % 2
    left, top = (side - width) // 2, (side - height) // 2
    expected = np.array([(150 + left + 0.5) * SIZE / side - 0.5, (120 + top + 0.5) * SIZE / side - 0.5])
    # The small stretch of every sample is about its middle.
    assert points[0] == pytest.approx(expected, abs=0.09 * SIZE / 2)


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 301), (90, 100)])
def test_a_plain_sample_is_what_the_engines_own_graph_makes_of_the_frame(height: int, width: int) -> None:
    image = cv2.GaussianBlur(
        np.random.default_rng(2).integers(0, 256, (height, width)).astype(np.uint8), (0, 0), 4
    )
    image[: height // 2] = image[: height // 2] // 2
    xy = np.full((len(FACEMAP_KEYPOINTS), 2), 50.0, np.float32)
    picture = prepare(np.asarray(image, np.uint8), xy)
    sample, points = plain_sample(picture, SIZE)
    in_torch = torch.from_numpy(picture.image)[None, None], torch.from_numpy(picture.levels)
    expected = PadResize(SIZE)(*in_torch)[0, 0].numpy()
    inside = expected != 0
    assert inside.mean() > 0.5
    assert np.abs(sample - expected)[inside].mean() < 0.01
    frame = NetworkFrame(whole_frame(width, height), SIZE, half_pixel=True)
    assert points == pytest.approx(frame.to_network(xy), abs=1e-3)


def test_the_label_stays_on_its_spot_under_every_warp() -> None:
    image, xy = dotted(170, 140)
    picture = prepare(image, xy)
    random = np.random.default_rng(1)
    seen = []
    for _ in range(60):
        sample, points = draw_sample(picture, SIZE, GEOMETRY, random)
        assert centre_of_light(sample) == pytest.approx(points[0], abs=0.6)
        seen.append(points[0])
    assert np.ptp(seen, axis=0).min() > 20, "the warps differ"


def test_a_flip_mirrors_the_picture() -> None:
    picture = prepare(*dotted(60, 150))
    always = dataclasses.replace(STILL, flip=1.0)
    plain = draw_sample(picture, SIZE, STILL, np.random.default_rng(3))
    flipped = draw_sample(picture, SIZE, always, np.random.default_rng(3))
    assert flipped[1][0, 0] == pytest.approx(SIZE - 1 - plain[1][0, 0], abs=1e-3)
    assert flipped[1][0, 1] == pytest.approx(plain[1][0, 1], abs=1e-3)
    assert flipped[0][:, ::-1] == pytest.approx(plain[0], abs=0.05)


def test_a_point_that_left_the_sample_has_no_label() -> None:
    picture = prepare(*dotted(6, 150))
    far = dataclasses.replace(STILL, shift=0.4)
    random = np.random.default_rng(0)
    points = np.array([draw_sample(picture, SIZE, far, random)[1][0] for _ in range(60)])
    gone = np.isnan(points).any(axis=1)
    assert 5 < gone.sum() < 55
    assert ((points[~gone] >= 0) & (points[~gone] <= SIZE - 1)).all()


def test_everything_at_once_is_finite_and_reproducible() -> None:
    pictures = [prepare(*dotted(150, 120)), prepare(*dotted(90, 200))]
    first = draw_batch(pictures, SIZE, Augmentation(), np.random.default_rng(5))
    again = draw_batch(pictures, SIZE, Augmentation(), np.random.default_rng(5))
    other = draw_batch(pictures, SIZE, Augmentation(), np.random.default_rng(6))
    assert first[0].shape == (2, 1, SIZE, SIZE)
    assert first[0].dtype == np.float32
    assert np.isfinite(first[0]).all()
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_a_frame_of_one_gray_level_makes_a_sample() -> None:
    flat = np.full((100, 100), 7, np.uint8)
    xy = np.full((len(FACEMAP_KEYPOINTS), 2), np.nan, np.float32)
    sample, _ = draw_sample(prepare(flat, xy), SIZE, STILL, np.random.default_rng(0))
    assert np.abs(sample).max() <= 1e-3


def test_light_and_dark_frames_of_one_scene_give_the_same_sample() -> None:
    scene = np.random.default_rng(0).integers(0, 120, (100, 130)) * 2
    xy = np.full((len(FACEMAP_KEYPOINTS), 2), np.nan, np.float32)
    bright, dark = (
        draw_sample(prepare(image.astype(np.uint8), xy), SIZE, STILL, np.random.default_rng(0))[0]
        for image in (scene, scene // 2 + 20)
    )
    assert np.ptp(bright) > 0.8
    assert dark == pytest.approx(bright, abs=0.03)


def test_simulated_pictures_are_different_mice_and_reproducible() -> None:
    pictures = simulated_pictures(6, 40, per_mouse=2)
    again = simulated_pictures(6, 40, per_mouse=2)
    assert len(pictures) == 6
    for one, two in zip(pictures, again, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.xy, two.xy)
    assert not np.array_equal(pictures[0].xy, pictures[2].xy)
    assert not np.array_equal(pictures[0].xy, pictures[1].xy)
    assert not np.array_equal(pictures[0].image, pictures[1].image)
