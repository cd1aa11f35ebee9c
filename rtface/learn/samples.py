"""Training samples: frames, warped and disturbed at random.

Each sample is one warp from the camera's pixels to the network's: the same bilinear reading of the full frame, with
the same levels, as in the engine, so that the network learns from the pictures that it will be shown, coarse sampling
and all. Then come changes of gray levels that a rig's light and lens could make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.geometry import NetworkFrame, whole_frame
from rtface.records import FloatArray, Image
from rtface.simulate.face import MouseFace
from rtface.track.normalise import levels

_SIMULATED_SIZES = ((640, 480), (480, 480), (640, 400), (864, 646))
_INDEX_STEP = 997


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame that samples are drawn from.

    Attributes
    ----------
    image : ndarray, shape (height, width), uint8
        The whole camera frame.
    levels : ndarray, shape (2,), float32
        The gray levels that become 0 and 1: its 1st and 99th percentile.
    xy : ndarray, shape (15, 2), float32
        Pixels of the frame; NaN where there is no label.
    """

    image: Image
    levels: FloatArray
    xy: FloatArray


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far samples differ from their pictures; all ranges are symmetric about no change."""

    rotation_deg: float = 20.0
    zoom: float = 1.35
    shift: float = 0.12
    flip: float = 0.4
    contrast: float = 0.35
    gamma: float = 1.6
    blur: float = 0.3
    noise: float = 0.06
    occlusion: float = 0.3


def prepare(image: Image, xy: FloatArray) -> Picture:
    """Take a frame's levels.

    Parameters
    ----------
    image : ndarray, shape (height, width), uint8
    xy : ndarray, shape (15, 2), float32
        Pixels of the frame.
    """
    return Picture(image, levels(image), xy)


def simulated_pictures(count: int, seed: int, *, per_mouse: int = 4) -> list[Picture]:
    """Render mice of widely random looks.

    Parameters
    ----------
    count : int
        Pictures in all.
    seed : int
        The first mouse's; the same seed gives the same pictures.
    per_mouse : int
        Pictures of each mouse.
    """
    pictures = []
    for mouse in range(-(-count // per_mouse)):
        width, height = _SIMULATED_SIZES[mouse % len(_SIMULATED_SIZES)]
        make = MouseFace if mouse % 3 == 0 else MouseFace.randomised
        face = make(width, height, 1.0, seed + mouse)
        frame = np.zeros((height, width), np.uint8)
        for shot in range(per_mouse):
            index = mouse + shot * _INDEX_STEP
            face.render(index, frame)
            pictures.append(prepare(frame.copy(), face.truth(index)))
    return pictures[:count]


def draw_batch(
    pictures: Sequence[Picture], size: int, how: Augmentation, random: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Make one sample of each picture.

    Returns
    -------
    images : ndarray, shape (N, 1, size, size), float32
    xy : ndarray, shape (N, 15, 2), float32
        Pixels of the samples; NaN where there is no label or the point left the sample.
    """
    samples = [draw_sample(picture, size, how, random) for picture in pictures]
    return np.stack([image[None] for image, _ in samples]), np.stack([xy for _, xy in samples])


def draw_sample(
    picture: Picture, size: int, how: Augmentation, random: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Warp and disturb one picture; shapes as in `draw_batch` without the first axis."""
    warp = _random_warp(size, how, random) @ _to_network(picture, size)
    image = _read(picture, warp, size)
    xy = (picture.xy @ warp[:2, :2].T + warp[:2, 2]).astype(np.float32)
    gone = ((xy < 0) | (xy > size - 1)).any(axis=1)
    xy[gone] = np.nan
    return _disturb(image, how, random), xy


def plain_sample(picture: Picture, size: int) -> tuple[FloatArray, FloatArray]:
    """Return what the engine shows its network: the frame at the network's size, undisturbed."""
    warp = _to_network(picture, size)
    xy = (picture.xy @ warp[:2, :2].T + warp[:2, 2]).astype(np.float32)
    return _read(picture, warp, size), xy


def _to_network(picture: Picture, size: int) -> NDArray[np.float64]:
    """Return the 3x3 matrix from the frame's pixels to the network's."""
    height, width = picture.image.shape
    frame = NetworkFrame(whole_frame(width, height), size, half_pixel=True)
    zero, one = frame.to_network(np.array([[0, 0], [1, 1]], np.float32)).astype(np.float64)
    matrix = np.diag([*(one - zero), 1.0])
    matrix[:2, 2] = zero
    return matrix


def _read(picture: Picture, warp: NDArray[np.float64], size: int) -> FloatArray:
    """Sample and normalise the frame; what lies outside it is 0."""
    low, high = picture.levels
    outside = (round(float(low)),)
    image = cv2.warpAffine(picture.image, warp[:2], (size, size), flags=cv2.INTER_LINEAR, borderValue=outside)
    return np.asarray((image.astype(np.float32) - low) / max(float(high - low), 1.0), np.float32)


def _random_warp(size: int, how: Augmentation, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a 3x3 matrix from the network's pixels to the sample's."""
    angle = np.deg2rad(random.uniform(-how.rotation_deg, how.rotation_deg))
    zoom = np.exp(random.uniform(-1, 1) * np.log(how.zoom))
    stretch = np.exp(random.uniform(-0.08, 0.08))
    mirror = -1.0 if random.random() < how.flip else 1.0
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([mirror * zoom * stretch, zoom / stretch])
    middle = (size - 1) / 2
    to = (size - 1) / 2 + random.uniform(-how.shift, how.shift, 2) * size
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, to - turn @ np.array([middle, middle])
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


def _occlude(image: FloatArray, random: np.random.Generator) -> None:
    """Draw whisker-like lines, or a patch such as a paw or a lick spout."""
    size = image.shape[0]
    if random.random() < 0.6:
        for _ in range(int(random.integers(1, 8))):
            start, end = random.integers(0, size, 2), random.integers(0, size, 2)
            cv2.line(
                image,
                tuple(map(int, start)),
                tuple(map(int, end)),
                float(random.uniform(0, 1.2)),
                1,
                cv2.LINE_AA,
            )
        return
    centre = tuple(map(int, random.integers(0, size, 2)))
    axes = tuple(map(int, random.integers(size // 24, size // 7, 2)))
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
