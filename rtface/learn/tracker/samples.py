"""Training samples: frames, warped and disturbed at random.

Each sample is one warp from the camera's pixels to the network's: the same bilinear reading of the full frame, with
the same levels, as in the engine, so that the network is trained on the pictures that it will be shown, coarse sampling
and all. Then come changes of gray levels that a rig's light and lens could make.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.geometry import NetworkFrame, check_crop, whole_frame
from rtface.core.records import FACEMAP_KEYPOINTS, Crop, FloatArray, Image
from rtface.simulate.face import MouseFace
from rtface.track.gray_levels import levels

ROW_STEP = 4
"""Every how many rows of a frame give its levels, in training and in the engines made here."""

_SIMULATED_SIZES = ((640, 480), (480, 480), (640, 400), (864, 646))
_INDEX_STEP = 997
_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame that samples are drawn from.

    Attributes
    ----------
    image : ndarray, shape (height, width), uint8
        The whole camera frame.
    levels : ndarray, shape (2,), float32
        The gray levels that become 0 and 1: its 1st and 99th percentile.
    xy : ndarray, shape (K, 2), float32
        Pixels of the frame; NaN where there is no label.
    crop : Crop
        The part of the frame that the network is to be shown.
    weight : ndarray, shape (K,), float32
        How much each label counts in the loss.
    """

    image: Image
    levels: FloatArray
    xy: FloatArray
    crop: Crop
    weight: FloatArray


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far samples differ from their pictures; all ranges are symmetric about no change.

    `swap` gives for each keypoint the one that it becomes in a mirrored picture (a left paw becomes a right one); empty
    where each stays what it is, as in a side view. `pupil` is the chance that an eye is given another pupil, bright or
    dark, and `eye` holds the indices of the keypoints round it.
    """

    rotation_deg: float = 20.0
    zoom: float = 1.35
    shift: float = 0.12
    stretch: float = 1.08
    flip: float = 0.4
    contrast: float = 0.35
    gamma: float = 1.6
    blur: float = 0.3
    noise: float = 0.06
    occlusion: float = 0.3
    swap: tuple[int, ...] = ()
    pupil: float = 0.0
    eye: tuple[int, ...] = ()


def swap_of(keypoints: Sequence[str]) -> tuple[int, ...]:
    """Return for each keypoint the one that it becomes in a mirrored picture; empty where none changes.

    ``paw_left`` becomes ``paw_right`` if there is such a keypoint, and so do ``L`` and ``R`` as words of their own; a
    name without a partner stays, like Facemap's ``nose(r)``.

    Parameters
    ----------
    keypoints : sequence of str
        Names, each once.
    """
    place = {name.lower(): index for index, name in enumerate(keypoints)}
    partners = tuple(place.get(_other_side(name.lower()), index) for index, name in enumerate(keypoints))
    return () if partners == tuple(range(len(partners))) else partners


def _other_side(name: str) -> str:
    return _WORD.sub(lambda word: _SIDES.get(word.group(), word.group()), name)


def prepare(
    image: Image, xy: FloatArray, *, crop: Crop | None = None, weight: FloatArray | None = None
) -> Picture:
    """Take a frame's levels.

    Parameters
    ----------
    image : ndarray, shape (height, width), uint8
    xy : ndarray, shape (K, 2), float32
        Pixels of the frame.
    crop : Crop, optional
        The part that the network is to be shown; else the whole frame.
    weight : ndarray, shape (K,), float32, optional
        How much each label counts; else all count alike.

    Raises
    ------
    UsageError
        The crop reaches beyond the frame.
    """
    height, width = image.shape
    seen = check_crop(crop or whole_frame(width, height), width, height)
    counts = np.ones(len(xy), np.float32) if weight is None else weight
    return Picture(image, levels(image, row_step=ROW_STEP), xy, seen, counts)


def simulated_pictures(
    count: int, seed: int, *, per_mouse: int = 4, keypoints: Sequence[str] = FACEMAP_KEYPOINTS
) -> list[Picture]:
    """Render mice of widely random looks.

    Parameters
    ----------
    count : int
        Pictures in all.
    seed : int
        The first mouse's; the same seed gives the same pictures.
    per_mouse : int
        Pictures of each mouse.
    keypoints : sequence of str
        Names of the labels; NaN for those that the simulation does not have.
    """
    place = {name: index for index, name in enumerate(FACEMAP_KEYPOINTS)}
    wanted = [place.get(name, len(place)) for name in keypoints]
    pictures = []
    for mouse in range(-(-count // per_mouse)):
        width, height = _SIMULATED_SIZES[mouse % len(_SIMULATED_SIZES)]
        make = MouseFace if mouse % 3 == 0 else MouseFace.randomised
        face = make(width, height, 1.0, seed + mouse)
        frame = np.zeros((height, width), np.uint8)
        for shot in range(per_mouse):
            index = mouse + shot * _INDEX_STEP
            face.render(index, frame)
            truth = np.vstack([face.truth(index), np.full((1, 2), np.nan)])[wanted].astype(np.float32)
            pictures.append(prepare(frame.copy(), truth))
    return pictures[:count]


def draw_batch(
    pictures: Sequence[Picture],
    shape: tuple[int, int],
    size: int,
    how: Augmentation,
    random: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Make one sample of each picture.

    Parameters
    ----------
    pictures : sequence of Picture
    shape : tuple of int
        Rows and columns of the samples.
    size : int
        Longer side of the network's input, which sets the scale.
    how : Augmentation
    random : Generator

    Returns
    -------
    images : ndarray, shape (N, 1, rows, columns), float32
    xy : ndarray, shape (N, K, 2), float32
        Pixels of the samples; NaN where there is no label or the point left the sample.
    weight : ndarray, shape (N, K), float32
        How much each label counts.
    """
    samples = [draw_sample(picture, shape, size, how, random) for picture in pictures]
    images, xy, weight = zip(*samples, strict=True)
    return np.stack(images)[:, None], np.stack(xy), np.stack(weight)


def draw_sample(
    picture: Picture, shape: tuple[int, int], size: int, how: Augmentation, random: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Warp and disturb one picture; as `draw_batch` without the first axis."""
    frame = NetworkFrame(picture.crop, size, half_pixel=True, square=False)
    warp = _random_warp(frame.shape, shape, size, how, random) @ _to_network(frame)
    image = _read(picture.image, picture.levels, warp, shape)
    xy, weight = _warped(picture.xy, warp), picture.weight
    if how.eye and random.random() < how.pupil:
        _draw_pupil(image, xy[list(how.eye)], random)
    if how.swap and np.linalg.det(warp) < 0:
        xy, weight = xy[list(how.swap)], weight[list(how.swap)]
    rows, cols = shape
    gone = ((xy < 0) | (xy > [cols - 1, rows - 1])).any(axis=1)
    xy[gone] = np.nan
    return _disturb(image, how, random), xy, weight


def plain_sample(picture: Picture, size: int, *, square: bool = False) -> tuple[FloatArray, FloatArray]:
    """Return what the network of an engine is given: the crop at the network's size, undisturbed."""
    frame = NetworkFrame(picture.crop, size, half_pixel=True, square=square)
    warp, crop = _to_network(frame), picture.crop
    # The engine is given the crop alone: what lies beyond it is padding even where the frame goes on.
    shown = picture.image[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    corner = np.eye(3)
    corner[:2, 2] = crop.x, crop.y
    image = _read(shown, picture.levels, warp @ corner, frame.shape)
    return image, _warped(picture.xy, warp)


def _warped(xy: FloatArray, warp: NDArray[np.float64]) -> FloatArray:
    return (xy @ warp[:2, :2].T + warp[:2, 2]).astype(np.float32)


def _to_network(frame: NetworkFrame) -> NDArray[np.float64]:
    """Return the 3x3 matrix from the camera's pixels to the network's."""
    way = -1 if frame.crop.mirrored else 1
    matrix = np.diag([way / frame.scale, 1 / frame.scale, 1.0])
    matrix[:2, 2] = frame.to_network(np.zeros(2, np.float32))
    return matrix


def _read(
    image: Image, gray_levels: FloatArray, warp: NDArray[np.float64], shape: tuple[int, int]
) -> FloatArray:
    """Sample and normalise an image; what lies outside it is 0."""
    low, high = gray_levels
    outside, (rows, cols) = (round(float(low)),), shape
    read = cv2.warpAffine(image, warp[:2], (cols, rows), flags=cv2.INTER_LINEAR, borderValue=outside)
    return np.asarray((read.astype(np.float32) - low) / max(float(high - low), 1.0), np.float32)


def _random_warp(
    plain: tuple[int, int],
    shape: tuple[int, int],
    size: int,
    how: Augmentation,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Return a 3x3 matrix from the network's pixels, of the shape `plain`, to the sample's."""
    angle = np.deg2rad(random.uniform(-how.rotation_deg, how.rotation_deg))
    zoom = np.exp(random.uniform(-1, 1) * np.log(how.zoom))
    stretch = np.exp(random.uniform(-1, 1) * np.log(how.stretch))
    mirror = -1.0 if random.random() < how.flip else 1.0
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([mirror * zoom * stretch, zoom / stretch])
    middle, to = ((np.array(each[::-1]) - 1) / 2 for each in (plain, shape))
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = to + random.uniform(-how.shift, how.shift, 2) * size - turn @ middle
    return matrix


def _disturb(image: FloatArray, how: Augmentation, random: np.random.Generator) -> FloatArray:
    if random.random() < how.occlusion:
        _occlude(image, random)
    gain = np.exp(random.uniform(-how.contrast, how.contrast))
    offset = random.uniform(-how.contrast, how.contrast) / 3
    power = np.exp(random.uniform(-1, 1) * np.log(how.gamma))
    image = np.clip(image, 0, None) ** np.float32(power) * np.float32(gain) + np.float32(offset)
    if random.random() < how.blur:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.4)), np.float32)
    if random.random() < how.blur / 2:
        length = int(random.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        image = np.asarray(cv2.filter2D(image, -1, kernel if random.random() < 0.5 else kernel.T), np.float32)
    sigma = random.uniform(0, how.noise)
    noise = random.standard_normal(image.shape, np.float32) * np.float32(sigma)
    return (image + noise).astype(np.float32)


def _draw_pupil(image: FloatArray, eye: FloatArray, random: np.random.Generator) -> None:
    """Draw a pupil inside the points round an eye: of any size, mostly bright or mostly dark, with soft edges."""
    if np.isnan(eye).any():
        return
    across, along = np.linalg.eigh(np.cov(eye.T))[0] ** 0.5 * 2
    radius = across * random.uniform(0.25, 0.85)
    centre = eye.mean(axis=0) + random.uniform(-0.3, 0.3, 2) * (along - across)
    gray = random.uniform(0.6, 1.2) if random.random() < 0.7 else random.uniform(0.0, 0.2)
    rows, cols = np.indices(image.shape, np.float32)
    far = np.hypot(cols - centre[0], rows - centre[1]) / max(radius, 1e-3)
    share = np.clip((1 - far) * random.uniform(2, 8) + 0.5, 0, 1) * random.uniform(0.6, 1.0)
    image += share.astype(np.float32) * (np.float32(gray) - image)


def _occlude(image: FloatArray, random: np.random.Generator) -> None:
    """Draw whisker-like lines, or a patch such as a paw or a lick spout."""
    size = image.shape[::-1]
    if random.random() < 0.6:
        for _ in range(int(random.integers(1, 8))):
            start, end = random.integers(0, size), random.integers(0, size)
            cv2.line(
                image,
                tuple(map(int, start)),
                tuple(map(int, end)),
                float(random.uniform(0, 1.2)),
                1,
                cv2.LINE_AA,
            )
        return
    centre = tuple(map(int, random.integers(0, size)))
    longer = max(size)
    axes = tuple(map(int, random.integers(longer // 24, longer // 7, 2)))
    cv2.ellipse(
        image,
        centre,
        axes,
        float(random.uniform(0, 180)),
        0,
        360,
        float(random.uniform(0, 1.1)),
        -1,
        cv2.LINE_AA,
    )
