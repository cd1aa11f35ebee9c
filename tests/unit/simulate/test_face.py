from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rtface.core.errors import UsageError
from rtface.core.records import FACEMAP_KEYPOINTS, Image
from rtface.simulate.face import MouseFace
from rtface.simulate.parameters import FaceParameters

CLEAN = dataclasses.replace(FaceParameters(), noise=0.0, blink_probability=1.0, paw_probability=1.0)


def picture(face: MouseFace, index: int) -> Image:
    out = np.empty((face.height, face.width), np.uint8)
    face.render(index, out)
    return out


def row(name: str) -> int:
    return FACEMAP_KEYPOINTS.index(name)


@pytest.fixture(scope="module")
def clean() -> MouseFace:
    return MouseFace(640, 480, 50.0, 5, CLEAN)


def near(image: Image, point: np.ndarray, reach: int) -> Image:
    x, y = np.rint(point).astype(int)
    return image[y - reach : y + reach + 1, x - reach : x + reach + 1]


def open_eyed(face: MouseFace) -> int:
    return next(index for index in range(1000) if face.eye_closure(index) < 0.2)


def test_the_same_arguments_give_the_same_frames_in_any_order() -> None:
    first, second = MouseFace(160, 120, 100.0, 3), MouseFace(160, 120, 100.0, 3)
    forwards = [picture(first, index) for index in range(12)]
    truths = [first.truth(index) for index in range(12)]
    for index in (11, 0, 7, 7, 3, 10):
        assert np.array_equal(picture(second, index), forwards[index])
        assert np.array_equal(second.truth(index), truths[index], equal_nan=True)


def test_every_pixel_of_the_caller_s_memory_is_written() -> None:
    face = MouseFace(160, 120, 100.0, 3)
    dark, bright = np.zeros((120, 160), np.uint8), np.full((120, 160), 255, np.uint8)
    face.render(4, dark)
    face.render(4, bright)
    assert np.array_equal(dark, bright)


def test_seeds_make_different_mice_and_frames_differ() -> None:
    mice = [MouseFace(160, 120, 100.0, seed) for seed in range(4)]
    for number, mouse in enumerate(mice):
        assert not np.array_equal(picture(mouse, 0), picture(mouse, 40))
        for other in mice[number + 1 :]:
            assert np.nanmax(np.abs(mouse.truth(0) - other.truth(0))) > 1
            assert np.abs(picture(mouse, 0).astype(int) - picture(other, 0)).mean() > 2


@pytest.mark.parametrize("size", [(64, 64), (65, 203), (400, 70), (333, 251)])
@pytest.mark.parametrize("make", [MouseFace, MouseFace.randomised])
def test_any_size_shows_the_face_inside_the_frame(size: tuple[int, int], make: type[MouseFace]) -> None:
    for seed in range(4):
        face = make(*size, 30.0, seed)
        image = picture(face, 9)
        truth = np.delete(face.truth(9), row("paw"), axis=0)
        assert image.shape == size[::-1]
        assert image.std() > 5
        assert truth.dtype == np.float32
        assert (truth >= 0).all()
        assert (truth < size).all()


@pytest.mark.parametrize(
    ("width", "height", "rate"), [(63, 64, 10.0), (64, 10, 10.0), (64, 64, 0.0), (64, 64, -1.0)]
)
def test_what_cannot_be_rendered_is_refused(width: int, height: int, rate: float) -> None:
    with pytest.raises(UsageError):
        MouseFace(width, height, rate, 0)


@pytest.mark.parametrize("out", [np.zeros((160, 120), np.uint8), np.zeros((120, 160), np.float32)])
def test_memory_of_another_shape_or_type_is_refused(out: Image) -> None:
    with pytest.raises(UsageError, match=r"\(120, 160\)"):
        MouseFace(160, 120, 100.0, 3).render(0, out)


def test_the_pupil_is_dark_and_as_large_as_said(clean: MouseFace) -> None:
    index = open_eyed(clean)
    image = picture(clean, index)
    x, y, radius = clean.pupil(index)
    rows, columns = np.mgrid[0 : clean.height, 0 : clean.width]
    distance = np.hypot(columns - x, rows - y)
    inside, ring = image[distance < radius - 1.5], image[(distance > radius + 1.5) & (distance < radius + 4)]
    assert abs(np.median(inside) - CLEAN.pupil) <= 1
    assert np.median(ring) > np.median(inside) + 8


def test_the_eyelid_points_lie_between_eye_and_fur() -> None:
    face = MouseFace(640, 480, 50.0, 5, dataclasses.replace(CLEAN, iris=6, texture=0.0))
    index = open_eyed(face)
    image, truth = picture(face, index), face.truth(index)
    centre = truth[[row(f"eye({part})") for part in ("back", "bottom", "front", "top")]].mean(axis=0)
    for part in ("back", "bottom", "front", "top"):
        point = truth[row(f"eye({part})")]
        outward = (point - centre) / np.hypot(*(point - centre))
        assert near(image, point + 8 * outward, 2).mean() > near(image, point - 7 * outward, 2).mean()
        assert near(image, point, 1).min() <= CLEAN.pupil + 12
    top, bottom, front, back = (truth[row(f"eye({part})")] for part in ("top", "bottom", "front", "back"))
    assert top[1] < bottom[1]
    assert front[0] < back[0]


def test_a_closed_eye_hides_the_reflection_and_brings_the_lids_together(clean: MouseFace) -> None:
    shut = next(index for index in range(1000) if clean.eye_closure(index) > 0.999)
    awake = open_eyed(clean)
    x, y, _ = clean.pupil(shut)
    top, bottom = row("eye(top)"), row("eye(bottom)")
    assert near(picture(clean, awake), np.array([x, y]), 14).max() == CLEAN.glint
    assert near(picture(clean, shut), np.array([x, y]), 14).max() < 130
    assert abs(clean.truth(shut)[top, 1] - clean.truth(shut)[bottom, 1]) < 6
    assert clean.truth(awake)[bottom, 1] - clean.truth(awake)[top, 1] > 40


def test_whiskers_start_at_their_keypoints_and_move() -> None:
    face = MouseFace(
        640, 480, 50.0, 5, dataclasses.replace(CLEAN, whiskers=3, whisker_contrast=1.0, texture=0.0)
    )
    for index in range(0, 200, 20):
        image, truth = picture(face, index), face.truth(index)
        for name in ("whisker(I)", "whisker(II)", "whisker(III)"):
            root = truth[row(name)]
            assert near(image, root, 1).min() < 0.5 * np.median(near(image, root, 25))
    angles = [face.whisker_angle(index) for index in range(500)]
    assert np.ptp(angles) > 0.3
    low, high = int(np.argmin(angles)), int(np.argmax(angles))
    assert not np.array_equal(picture(face, low), picture(face, high))


def test_the_nose_is_the_leftmost_fur() -> None:
    face = MouseFace(640, 480, 50.0, 5, dataclasses.replace(CLEAN, background=0, clutter=0, texture=0.0))
    for index in (0, 60, 120):
        image, (x, y) = picture(face, index), face.truth(index)[row("nose(tip)")]
        line = image[round(float(y))]
        assert line[: int(x) - 8].max() < 120 < line[int(x) + 8 : int(x) + 40].min()


def test_the_paw_is_there_when_its_keypoint_is(clean: MouseFace) -> None:
    paws = [clean.truth(index)[row("paw")] for index in range(250)]
    seen = [index for index, paw in enumerate(paws) if np.isfinite(paw).all()]
    assert 20 < len(seen) < 200
    for index in seen[:: len(seen) // 5]:
        patch = near(picture(clean, index), paws[index], 3)
        assert np.ptp(patch) == 0
        assert patch.min() > 60
    others = [index for index in range(250) if index not in seen]
    assert all(np.isnan(paws[index]).all() for index in others)


def test_mirroring_turns_the_nose_to_the_right() -> None:
    plain = MouseFace(320, 240, 50.0, 5, CLEAN).truth(0)
    mirrored = MouseFace(320, 240, 50.0, 5, dataclasses.replace(CLEAN, mirror=True)).truth(0)
    assert plain[row("nose(tip)"), 0] < plain[row("eye(front)"), 0] < plain[row("eye(back)"), 0]
    assert mirrored[row("nose(tip)"), 0] > mirrored[row("eye(front)"), 0] > mirrored[row("eye(back)"), 0]


def test_the_layout_is_that_of_labelled_frames(shared_data: Path) -> None:
    with (shared_data / "mouse_face_side_view" / "labels.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    numbered = {"whisker 2": "whisker(I)", "whisker 1": "whisker(II)", "whisker 3": "whisker(III)"}
    names = [column[:-2] for column in labels[0] if column.endswith("_x")]
    real = np.array(
        [[[float(label[f"{name}_{axis}"]) for axis in "xy"] for name in names] for label in labels]
    )
    face = MouseFace(864, 646, 1.0, 5, FaceParameters())
    simulated = np.mean([face.truth(index) for index in range(200)], axis=0)
    simulated = simulated[[row(numbered.get(name, name)) for name in names]]
    assert np.hypot(*(simulated - real.mean(axis=0)).T).max() < 25
