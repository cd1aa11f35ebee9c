"""Training samples: labels stay on their pixels whatever is done to a picture."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.drawn_labels import STILL

from rtface.core.geometry import NetworkFrame, whole_frame
from rtface.core.records import FACEMAP_KEYPOINTS, Crop, FloatArray, Image
from rtface.learn.tracker.samples import (
    Augmentation,
    draw_batch,
    draw_sample,
    plain_sample,
    prepare,
    simulated_pictures,
)
from rtface.networks.graph import PadResize
from rtface.track.gray_levels import levels

SIZE = 128
SHAPE = (96, 128)
GEOMETRY = Augmentation(contrast=0.0, gamma=1.0, blur=0.0, noise=0.0, occlusion=0.0)


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


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [
        (300, 400, None),
        (400, 301, None),
        (90, 100, None),
        (256, 256, None),
        (300, 400, Crop(40, 30, 200, 120)),
        (300, 400, Crop(101, 7, 99, 280)),
        (300, 400, Crop(0, 0, 399, 77)),
    ],
)
def test_a_plain_sample_is_what_the_engines_own_graph_makes_of_the_frame(
    height: int, width: int, crop: Crop | None, square: bool
) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (height, width)).astype(np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3) // 2 + 120, np.uint8)
    image[:2] = 0
    xy = np.full((len(FACEMAP_KEYPOINTS), 2), 50.0, np.float32)
    picture = prepare(image, xy, crop=crop)
    sample, points = plain_sample(picture, SIZE, square=square)
    seen = crop or whole_frame(width, height)
    part = np.ascontiguousarray(image[seen.y : seen.y + seen.height, seen.x : seen.x + seen.width])
    in_torch = torch.from_numpy(part)[None, None], torch.from_numpy(levels(image, row_step=4))
    expected = PadResize(SIZE, square)(*in_torch)[0, 0].numpy()
    assert sample.shape == expected.shape
    assert (expected != 0).mean() > 0.15
    # OpenCV reads at 32nds of a pixel and rounds to whole gray levels. A square that is enlarged repeats the
    # outermost pixels in the engine, and here they fade into the padding.
    apart = np.abs(sample - expected)[1:-1, 1:-1]
    assert apart.max() < 0.05
    assert apart.mean() < 0.01
    frame = NetworkFrame(seen, SIZE, half_pixel=True, square=square)
    assert points == pytest.approx(frame.to_network(xy), abs=1e-3)


def test_levels_are_of_every_fourth_row_as_in_the_engines_made_here() -> None:
    image = np.full((40, 60), 100, np.uint8)
    image[::4, :30] = 10
    image[1::4] = 250
    picture = prepare(image, np.zeros((1, 2), np.float32))
    assert picture.levels.tolist() == [10, 100]


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (256, 256), (301, 400)])
def test_an_undisturbed_sample_is_a_plain_one(height: int, width: int) -> None:
    picture = prepare(*dotted(150, 120, height, width))
    plain, there = plain_sample(picture, SIZE)
    sample, points, _ = draw_sample(picture, plain.shape, SIZE, STILL, np.random.default_rng(0))
    assert centre_of_light(sample) == pytest.approx(points[0], abs=0.3)
    assert points[0] == pytest.approx(there[0], abs=1e-3)
    # Only that a sample's levels are cut off below.
    assert np.abs(sample - np.clip(plain, 0, None)).max() < 0.02


@pytest.mark.parametrize("shape", [(128, 128), (64, 128), (96, 64)])
def test_a_sample_of_another_shape_has_the_same_scale_and_middle(shape: tuple[int, int]) -> None:
    picture = prepare(*dotted(199.5, 149.5))
    sample, points, _ = draw_sample(picture, shape, SIZE, STILL, np.random.default_rng(0))
    assert sample.shape == shape
    assert points[0] == pytest.approx([(shape[1] - 1) / 2, (shape[0] - 1) / 2], abs=1e-3)
    assert centre_of_light(sample) == pytest.approx(points[0], abs=0.3)


def test_the_label_stays_on_its_spot_under_every_warp() -> None:
    image, xy = dotted(170, 140)
    picture = prepare(image, xy)
    random = np.random.default_rng(1)
    seen = []
    for _ in range(60):
        sample, points, _ = draw_sample(picture, SHAPE, SIZE, GEOMETRY, random)
        if np.isnan(points[0]).any():
            continue
        assert centre_of_light(sample) == pytest.approx(points[0], abs=0.6)
        seen.append(points[0])
    assert len(seen) > 40
    assert np.ptp(seen, axis=0).min() > 20, "the warps differ"


def mirrored(**changes: Any) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """A picture of three points as it is and mirrored: image and points of both, and the weights of the second."""
    image, _ = dotted(60, 150)
    xy = np.array([[60, 150], [200, 100], [300, 50]], np.float32)
    picture = prepare(image, xy, weight=np.array([1, 2, 3], np.float32))
    still, flipped = STILL, dataclasses.replace(STILL, flip=1.0, **changes)
    plain, there, _ = draw_sample(picture, SHAPE, SIZE, still, np.random.default_rng(3))
    turned, where, weight = draw_sample(picture, SHAPE, SIZE, flipped, np.random.default_rng(3))
    return plain, there, turned, where, weight


def test_a_flip_mirrors_the_picture() -> None:
    plain, there, turned, where, weight = mirrored()
    assert where[:, 0] == pytest.approx(SHAPE[1] - 1 - there[:, 0], abs=1e-3)
    assert where[:, 1] == pytest.approx(there[:, 1], abs=1e-3)
    assert turned[:, ::-1] == pytest.approx(plain, abs=0.05)
    assert weight.tolist() == [1, 2, 3]


def test_left_and_right_change_places_in_a_mirrored_picture_with_their_weights() -> None:
    _, there, _, where, weight = mirrored(swap=(1, 0, 2))
    assert where[[1, 0, 2], 0] == pytest.approx(SHAPE[1] - 1 - there[:, 0], abs=1e-3)
    assert weight.tolist() == [2, 1, 3]


def test_left_and_right_keep_their_places_where_nothing_is_mirrored() -> None:
    picture = prepare(dotted(60, 150)[0], np.array([[60, 150], [200, 100]], np.float32))
    swapping = dataclasses.replace(STILL, swap=(1, 0))
    _, there, _ = draw_sample(picture, SHAPE, SIZE, STILL, np.random.default_rng(0))
    _, where, _ = draw_sample(picture, SHAPE, SIZE, swapping, np.random.default_rng(0))
    np.testing.assert_array_equal(where, there)


def test_a_point_that_left_the_sample_has_no_label() -> None:
    picture = prepare(*dotted(6, 150))
    far = dataclasses.replace(STILL, shift=0.4)
    random = np.random.default_rng(0)
    points = np.array([draw_sample(picture, SHAPE, SIZE, far, random)[1][0] for _ in range(60)])
    gone = np.isnan(points).any(axis=1)
    assert 5 < gone.sum() < 55
    assert (points[~gone] >= 0).all()
    assert (points[~gone] <= [SHAPE[1] - 1, SHAPE[0] - 1]).all()


def test_everything_at_once_is_finite_and_reproducible() -> None:
    pictures = [prepare(*dotted(150, 120)), prepare(*dotted(90, 200))]
    first = draw_batch(pictures, SHAPE, SIZE, Augmentation(), np.random.default_rng(5))
    again = draw_batch(pictures, SHAPE, SIZE, Augmentation(), np.random.default_rng(5))
    other = draw_batch(pictures, SHAPE, SIZE, Augmentation(), np.random.default_rng(6))
    assert first[0].shape == (2, 1, *SHAPE)
    assert first[1].shape == (2, len(FACEMAP_KEYPOINTS), 2)
    assert first[2].shape == (2, len(FACEMAP_KEYPOINTS))
    assert first[0].dtype == np.float32
    assert np.isfinite(first[0]).all()
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_a_frame_of_one_gray_level_makes_a_sample() -> None:
    flat = np.full((100, 100), 7, np.uint8)
    xy = np.full((len(FACEMAP_KEYPOINTS), 2), np.nan, np.float32)
    sample, _, _ = draw_sample(prepare(flat, xy), SHAPE, SIZE, STILL, np.random.default_rng(0))
    assert np.abs(sample).max() <= 1e-3


def test_light_and_dark_frames_of_one_scene_give_the_same_sample() -> None:
    scene = np.random.default_rng(0).integers(0, 120, (100, 130)) * 2
    xy = np.full((len(FACEMAP_KEYPOINTS), 2), np.nan, np.float32)
    bright, dark = (
        draw_sample(prepare(image.astype(np.uint8), xy), SHAPE, SIZE, STILL, np.random.default_rng(0))[0]
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


def test_simulated_pictures_have_the_keypoints_asked_for() -> None:
    names = ["mouth", "tail", "eye(back)"]
    chosen, whole = simulated_pictures(2, 40, keypoints=names), simulated_pictures(2, 40)
    for some, every in zip(chosen, whole, strict=True):
        assert np.isnan(some.xy[1]).all(), "the simulation knows no tail"
        for index in (0, 2):
            np.testing.assert_array_equal(some.xy[index], every.xy[FACEMAP_KEYPOINTS.index(names[index])])
    assert np.isfinite(chosen[0].xy[[0, 2]]).any()
