"""Where a recording shows a face, and which way round: a search that ends in a crop.

Squares of several sizes on a grid are shown to the engine, as they are and mirrored. Each is worth the mean score of the
face's keypoints times how well they lie to each other. The best are refined on all frames that were given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from rtface.config import BackendSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK
from rtface.core.errors import DataError, UsageError
from rtface.core.records import MINIMUM_CROP, Crop, FloatArray, Image
from rtface.track.facegeometry import FacePoints, face_points, plausibility
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

FRAMES = 5
"""How many frames of a recording are looked at."""
_SIDES = (1.3, 1.1, 0.92, 0.77, 0.64, 0.53, 0.44, 0.36)
"""Of the squares, over the frame's shorter side."""
_STEP = 0.2
"""Of the grid, over a square's side."""
_COARSE_FRAMES = 1
_KEPT = 16
_ROUNDS = 4
CONFIDENT = 0.45
"""A crop that is worth less is never taken by itself."""
DOUBTFUL = 0.2
"""A crop that is worth less is not even offered: pictures without a face have as much."""
_ALIKE = 0.85
"""Another place that is worth this much of the best is about equally good."""
_APART = 0.6
"""Eyes and noses of two places this far apart, over the distance of eye to nose, are of two faces."""
_BANDS = 3
"""Small pictures of the whole frame below each square, so that gray levels are about those of the frame."""


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face.

    Attributes
    ----------
    crop : Crop
        What to show the network, mirrored where the mouse looks the other way than those that it learnt from.
    confidence : float
        0 to 1: the mean score of the face's keypoints times how well they lie to each other, median of the frames.
    frames : int
        Frames that were looked at.
    passes : int
        Runs of the network.
    seconds : float
        How long it took.
    """

    crop: Crop
    confidence: float
    frames: int
    passes: int
    seconds: float

    def in_words(self) -> str:
        """Return it as a line for people."""
        box = self.crop
        return (
            f"face found: crop {box.x},{box.y},{box.width},{box.height}"
            f"{', mirrored' if box.mirrored else ''}, confidence {self.confidence:.2f} "
            f"({self.frames} frames, {self.passes} passes, {self.seconds:.1f} s)"
        )


class DoubtfulFaceError(DataError):
    """No face is sure; the best place may be one, for a person to look at.

    Attributes
    ----------
    found : FoundFace
        The best place. It is never to be taken before a person has seen it.
    """

    def __init__(self, why: str, found: FoundFace) -> None:
        super().__init__(why)
        self.found = found


@dataclass(frozen=True, slots=True)
class _Square:
    """A square of the frame, which it may leave."""

    x: float
    y: float
    side: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a square is worth, and where the face's eye and nose are in the frame; the middle of several frames."""

    square: _Square
    worth: float
    eye: FloatArray
    nose: FloatArray


def find_face(engine: Engine, frames: Sequence[Image], settings: BackendSettings | None = None) -> FoundFace:
    """Find the face in frames of one recording.

    Parameters
    ----------
    engine : Engine
        A checked engine that knows an eye and a nose.
    frames : sequence of ndarray, shape (height, width), uint8
        A few whole frames of one size, spread over the recording.
    settings : BackendSettings or None
        What runs the engine; the first back end that is there when None.

    Raises
    ------
    BackendError, EngineError
        The engine cannot be run as asked.
    DataError
        There is no face; or no frames, or of different sizes.
    DoubtfulFaceError
        The best place is not sure, or two are about equally good.
    UsageError
        The engine has no keypoints that a face is known by.
    """
    began_ns = SYSTEM_CLOCK.now_ns()
    if len({frame.shape for frame in frames}) != 1:
        raise DataError("a face is sought in frames of one size, one or more")
    skeleton = engine.manifest.skeleton
    points = face_points([point.name for point in skeleton], [point.trained for point in skeleton])
    if points is None:
        raise UsageError(
            f"a face is found by its eye and nose, which {engine.manifest.name} does not know: give the crop "
            "in numbers, or find it with the default engine (`rtface cameras crop`)"
        )
    with _Search(engine, settings, points, frames) as search:
        best = _refined(search)
        if not best or best[0].worth < DOUBTFUL:
            raise DataError(f"no face found: {_below(best[0].worth if best else 0.0)}")
        found = FoundFace(
            _as_crop(best[0].square, frames[0].shape),
            best[0].worth,
            len(frames),
            search.passes,
            (SYSTEM_CLOCK.now_ns() - began_ns) / NS_PER_S,
        )
        if why := _doubt(best):
            raise DoubtfulFaceError(why, found)
        return found


def _refined(search: _Search) -> list[_Seen]:
    """Return the best squares, best first."""
    few = range(_COARSE_FRAMES)
    coarse = [search.look(square, few) for square in _grid(search.shape)]
    best = _of_different_places(coarse)[:_KEPT]
    best = sorted((search.look(each.square) for each in best), key=_worth)[:3]
    done = []
    for each in best:
        at, step = each, _STEP / 2
        for _ in range(_ROUNDS):
            nearby = [search.look(square) for square in _around(at.square, step)]
            at = min([at, *nearby], key=_worth)
            step /= 2
        done.append(at)
    return sorted(done, key=_worth)


def _worth(seen: _Seen) -> float:
    return -seen.worth


def _of_different_places(seen: list[_Seen]) -> list[_Seen]:
    kept: list[_Seen] = []
    for each in sorted(seen, key=_worth):
        if each.worth > 0 and not any(_same_face(each, other) for other in kept):
            kept.append(each)
    return kept


def _same_face(one: _Seen, other: _Seen) -> bool:
    reach = max(np.hypot(*(one.eye - one.nose)), np.hypot(*(other.eye - other.nose)))
    apart = max(np.hypot(*(one.eye - other.eye)), np.hypot(*(one.nose - other.nose)))
    return bool(apart < _APART * reach)


def _below(worth: float) -> str:
    return (
        f"the best place has a confidence of {worth:.2f}, and {CONFIDENT} is needed; is the lamp on and "
        "the mouse in the picture? Else give the crop yourself"
    )


def _doubt(best: list[_Seen]) -> str:
    """Return what speaks against taking the best place; empty where nothing does."""
    if best[0].worth < CONFIDENT:
        return f"no face found that is sure: {_below(best[0].worth)}"
    for other in best[1:]:
        if (
            other.worth > _ALIKE * best[0].worth
            and other.worth > CONFIDENT
            and not _same_face(best[0], other)
        ):
            (x, y), (u, v) = (each.eye.round().astype(int) for each in (best[0], other))
            return (
                f"two places are about equally good (confidence {best[0].worth:.2f} with an eye at {x}, {y}, and "
                f"{other.worth:.2f} with one at {u}, {v}): is there a second mouse or a mirror? Else give the crop yourself"
            )
    return ""


def _grid(shape: tuple[int, int]) -> Iterator[_Square]:
    height, width = shape
    for part in _SIDES:
        side = part * min(shape)
        if side < MINIMUM_CROP:
            continue
        for mirrored in (False, True):
            for y in _places(height, side):
                for x in _places(width, side):
                    yield _Square(x, y, side, mirrored)


def _places(length: int, side: float) -> FloatArray:
    """Return where squares begin; one that is larger than the frame lies in its middle."""
    room = length - side
    if room <= 0:
        return np.array([room / 2], np.float32)
    return np.linspace(0, room, 1 + int(np.ceil(room / (_STEP * side))), dtype=np.float32)


def _around(at: _Square, step: float) -> Iterator[_Square]:
    move = step * at.side
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        yield replace(at, x=at.x + dx * move, y=at.y + dy * move)
    for factor in (1 - step, 1 + step):
        side = at.side * factor
        yield replace(at, x=at.x + (at.side - side) / 2, y=at.y + (at.side - side) / 2, side=side)


def _as_crop(square: _Square, shape: tuple[int, int]) -> Crop:
    """Return what of a square lies within the frame, in whole pixels."""
    height, width = shape
    left, top = max(0, round(square.x)), max(0, round(square.y))
    right, bottom = min(width, round(square.x + square.side)), min(height, round(square.y + square.side))
    return Crop(left, top, right - left, bottom - top, square.mirrored)


class _Search:
    """Shows squares of frames to an engine, all in one shape of input, so that nothing is compiled anew."""

    def __init__(
        self, engine: Engine, settings: BackendSettings | None, points: FacePoints, frames: Sequence[Image]
    ) -> None:
        self._size = engine.manifest.input.size
        self._points = points
        self._frames = frames
        self._tracker = PictureTracker(engine, settings, Crop(0, 0, self._size, self._size))
        self._canvas = np.zeros(((1 + _BANDS) * self._size, self._size), np.uint8)
        self._small = [cv2.resize(frame, (self._size,) * 2, interpolation=cv2.INTER_AREA) for frame in frames]
        self.shape = frames[0].shape
        self.passes = 0

    def __enter__(self) -> _Search:
        return self

    def __exit__(self, *_: object) -> None:
        self._tracker.close()

    def look(self, square: _Square, which: Sequence[int] | None = None) -> _Seen:
        """Return what a square is worth in some frames, or in all: the middle of them."""
        found = [self._look(square, number) for number in which or range(len(self._frames))]
        worth, eye, nose = (np.median([each[part] for each in found], axis=0) for part in range(3))
        return _Seen(square, float(worth), eye, nose)

    def _look(self, square: _Square, number: int) -> tuple[float, FloatArray, FloatArray]:
        size, scale = self._size, square.side / self._size
        middle = (scale - 1) / 2
        warp = np.array([[scale, 0, square.x + middle], [0, scale, square.y + middle]], np.float64)
        if square.mirrored:
            warp[0] = -scale, 0, square.x + square.side - 1 - middle
        self._canvas[:size] = cv2.warpAffine(
            self._frames[number], warp, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        for band in range(1, 1 + _BANDS):
            self._canvas[band * size : (band + 1) * size] = self._small[number]
        pose = self._tracker.track(self._canvas)
        self.passes += 1
        xy, score = pose.xy[self._points.rows], pose.score[self._points.rows]
        worth = float(score.mean()) * plausibility(self._points, xy, score)
        eye, nose = (
            warp[:, :2] @ xy[part].mean(0) + warp[:, 2] for part in (self._points.eye, self._points.nose)
        )
        return worth, eye, nose
