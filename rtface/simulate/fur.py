"""The still part of a simulated face: background, lit fur, eye socket, nostril, mouth, follicles."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.records import Image
from rtface.simulate.anatomy import (
    CHIN,
    EYE_BALL,
    OUTLINE,
    REFERENCE_HEIGHT,
    REFERENCE_WIDTH,
    THROAT,
    Placement,
    Points,
    eye_margin,
)
from rtface.simulate.parameters import FaceParameters

FRACTION_BITS = 5
_HAIR_LEVELS = 12
_MANY_HAIRS = 14_000
_FAR = np.float32(1000)  # cells; OpenCV's distance from a line outside the frame overflows

Layer = NDArray[np.float32]


def fixed_point(points: Points) -> NDArray[np.int32]:
    """Turn pixels into the fixed-point integers of OpenCV's drawing functions (`shift=FRACTION_BITS`)."""
    return np.rint(points * (1 << FRACTION_BITS)).astype(np.int32)


def _smooth(closed: Points, times: int) -> Points:
    """Round the corners of a closed polygon (Chaikin's cutting)."""
    for _ in range(times):
        following = np.roll(closed, -1, axis=0)
        closed = np.stack([0.75 * closed + 0.25 * following, 0.25 * closed + 0.75 * following], 1).reshape(
            -1, 2
        )
    return closed


class _Canvas:
    """Smooth fields over the frame, computed on a coarse grid."""

    def __init__(self, place: Placement, width: int, height: int) -> None:
        self.place, self.width, self.height = place, width, height
        self.step = max(1, int(5 * place.scale))
        columns, rows = -(-width // self.step), -(-height // self.step)
        centre = (self.step - 1) / 2
        self.x = (np.arange(columns) * self.step + centre).astype(np.float32)
        self.y = (np.arange(rows) * self.step + centre).astype(np.float32)[:, None]

    def blob(self, centre: object, radius: float) -> Layer:
        """Return a Gaussian about a point of the reference face; `radius` is its standard deviation there."""
        x, y = self.place(centre)
        spread = 2 * (radius * self.place.scale) ** 2
        return np.asarray(
            np.exp(-((self.x - x) ** 2) / spread) * np.exp(-((self.y - y) ** 2) / spread), np.float32
        )

    def near(self, line: Points, reach: float) -> Layer:
        """Return the fall of light with the distance from a line of the reference face."""
        away = np.full((self.y.shape[0], self.x.shape[0]), 255, np.uint8)
        shrunk = fixed_point((self.place(line) - (self.step - 1) / 2) / self.step)
        cv2.polylines(away, [shrunk], False, 0, 1, cv2.LINE_8, FRACTION_BITS)
        cells = np.minimum(cv2.distanceTransform(away, cv2.DIST_L2, 5), _FAR)
        return np.asarray(np.exp(-cells * (self.step / (reach * self.place.scale))), np.float32)

    def full(self, coarse: Layer) -> Layer:
        """Enlarge a field to the frame."""
        size = (coarse.shape[1] * self.step, coarse.shape[0] * self.step)
        large = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(large[: self.height, : self.width], np.float32)

    def soft(self, image: Layer, deviation: float) -> Layer:
        """Blur by a standard deviation in reference pixels."""
        return np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.3, deviation * self.place.scale)), np.float32)

    def filled(self, polygon: Points, deviation: float) -> Layer:
        """Return a soft-edged mask, 0 to 1, of a polygon in reference pixels."""
        mask = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(mask, [fixed_point(self.place(polygon))], 255, cv2.LINE_AA, FRACTION_BITS)
        return self.soft(mask.astype(np.float32), deviation) / np.float32(255)

    def stroked(self, line: Points, thickness: float, deviation: float) -> Layer:
        """Return a soft-edged mask, 0 to 1, of a line in reference pixels."""
        mask = np.zeros((self.height, self.width), np.uint8)
        width = max(1, round(thickness * self.place.scale))
        cv2.polylines(mask, [fixed_point(self.place(line))], False, 255, width, cv2.LINE_AA, FRACTION_BITS)
        return self.soft(mask.astype(np.float32), deviation) / np.float32(255)


def _hairs(canvas: _Canvas, rng: np.random.Generator) -> Layer:
    """Return the fur's texture, about 0 with values in [-1, 1]: short strokes that lie back from the nose."""
    scale = canvas.place.scale
    area = canvas.width * canvas.height / scale**2
    count = int(min(_MANY_HAIRS, 14_000 * area / (REFERENCE_WIDTH * REFERENCE_HEIGHT)))
    count -= count % _HAIR_LEVELS
    roots = rng.uniform((0, 0), (canvas.width, canvas.height), (count, 2))
    back = roots - canvas.place((40, 120))
    angle = np.arctan2(back[:, 1], back[:, 0]) + rng.normal(0, 0.22, count)
    length = rng.uniform(10, 30, count) * scale
    tips = roots + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    strokes = fixed_point(np.stack([roots, tips], 1)).reshape(_HAIR_LEVELS, -1, 2, 2)
    texture = np.full((canvas.height, canvas.width), 128, np.uint8)
    order = rng.permutation(_HAIR_LEVELS)
    for level in order:
        gray = int(128 + 110 * (2 * level / (_HAIR_LEVELS - 1) - 1))
        width = max(1, round(1.6 * scale))
        cv2.polylines(texture, list(strokes[level]), False, gray, width, cv2.LINE_AA, FRACTION_BITS)
    return canvas.soft(texture.astype(np.float32) - np.float32(128), 0.9) / np.float32(128)


def _light(canvas: _Canvas, parameters: FaceParameters, rng: np.random.Generator) -> Layer:
    """Return the gray levels of smooth, hairless skin over the frame."""
    blob, near = canvas.blob, canvas.near
    chin = near(CHIN, 32) * (1.1 * blob((190, 290), 120) + 0.45 * blob((340, 420), 90))
    lit = 260 * chin + 190 * blob((150, 185), 42) + 62 * blob((270, 230), 105) + 40 * blob((330, 235), 45)
    rim = (
        55 * blob((590, 196), 26) + 30 * blob((770, 130), 45) + 130 * near(THROAT, 22) * blob((720, 570), 170)
    )
    shade = 1 - 0.45 * blob((640, -60), 160) - 0.3 * blob((560, 330), 130)
    skin = parameters.fur * shade + parameters.light * (lit + rim)
    for centre in rng.uniform((60, -60), (REFERENCE_WIDTH, REFERENCE_HEIGHT), (6, 2)):
        skin *= 1 + np.float32(parameters.patches * rng.uniform(-1, 1)) * blob(centre, rng.uniform(40, 140))
    return canvas.full(skin)


def _background(canvas: _Canvas, parameters: FaceParameters, rng: np.random.Generator) -> Layer:
    level = np.full((canvas.y.shape[0], canvas.x.shape[0]), float(parameters.background), np.float32)
    for number in range(parameters.clutter):
        centre = rng.uniform((0, 0), (REFERENCE_WIDTH, REFERENCE_HEIGHT))
        strength = np.float32(rng.uniform(-0.5, 1.0) * (14 + 0.5 * parameters.background))
        if number % 2:
            end = centre + rng.uniform(-250, 250, 2)
            level += 2 * strength * canvas.near(np.stack([centre, end]), rng.uniform(4, 14))
        else:
            level += strength * canvas.blob(centre, rng.uniform(30, 130))
    return canvas.full(level)


def _fringe(canvas: _Canvas, image: Image, rng: np.random.Generator, light: Layer, gain: float) -> None:
    """Draw hairs that stand out from the outline."""
    outline = canvas.place(_smooth(OUTLINE, 2))
    middle = canvas.place((420, 220))
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        for _ in range(min(80, int(np.hypot(*(b - a)) / (4 * canvas.place.scale)) + 1)):
            root = a + rng.random() * (b - a)
            x, y = np.rint(root).astype(int)
            if not (0 <= x < canvas.width and 0 <= y < canvas.height):
                continue
            outward, back = root - middle, root - canvas.place((40, 190))
            way = (
                outward / np.hypot(*outward) + 1.4 * back / (np.hypot(*back) + 1e-6) + rng.normal(0, 0.25, 2)
            )
            tip = root + way / np.hypot(*way) * rng.uniform(6, 26) * canvas.place.scale
            gray = int(min(255, light[y, x] * gain * rng.uniform(0.25, 1.0)))
            ends = fixed_point(np.stack([root, tip]))
            cv2.line(image, ends[0].tolist(), ends[1].tolist(), gray, 1, cv2.LINE_AA, FRACTION_BITS)


def render_still(
    place: Placement,
    parameters: FaceParameters,
    follicles: Points,
    width: int,
    height: int,
    rng: np.random.Generator,
) -> Image:
    """Render everything that does not move by itself.

    Parameters
    ----------
    place : Placement
        Where the face lies.
    parameters : FaceParameters
        How it is drawn.
    follicles : ndarray, shape (N, 2)
        Roots of the whiskers, reference pixels.
    width, height : int
        Frame in pixels.
    rng : Generator
        Source of fur and background.

    Returns
    -------
    ndarray, shape (height, width), uint8
    """
    canvas = _Canvas(place, width, height)
    light = _light(canvas, parameters, rng)
    head = light * (1 + parameters.texture * _hairs(canvas, rng))
    for follicle in follicles:
        dash = follicle + np.array([(-7.0, 2.0), (7.0, -2.0)])
        head *= 1 - 0.5 * canvas.stroked(dash, 5, 1.5)
    socket = EYE_BALL + 1.13 * (eye_margin(0.0) - EYE_BALL)
    head *= 1 - 0.5 * canvas.filled(socket, 5)
    nostril = np.array([(150.0, 196.0), (158.0, 204.0), (168.0, 203.0), (174.0, 196.0)])
    head *= 1 - 0.65 * canvas.stroked(nostril, 9, 2.5)
    lips = np.array([(307.0, 396.0), (330.0, 404.0), (352.0, 402.0), (372.0, 396.0)])
    head *= 1 - 0.55 * canvas.stroked(lips, 5, 2)

    mask = canvas.filled(_smooth(OUTLINE, 2), 1.6)
    scene = _background(canvas, parameters, rng)
    scene += mask * (head - scene)
    image = np.clip(scene, 0, 255).astype(np.uint8)
    _fringe(canvas, image, rng, light, 1.1)
    scene = canvas.soft(image.astype(np.float32), parameters.blur)
    if parameters.gamma != 1:
        scene = np.float32(255) * (scene / np.float32(255)) ** np.float32(parameters.gamma)
    return np.clip(scene, 0, 255).astype(np.uint8)
