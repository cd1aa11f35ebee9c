"""A picture of the overlay video: the frame with its points, and below it what was decided and whether the light was on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rtface.core.records import FloatArray, Image

COLOURS = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
)
"""Blue, green, red of the Okabe-Ito colours, which the colour-blind can tell apart; black is left out."""
LEAST_WIDTH = 480
"""Pixels: what the text below needs; smaller frames are enlarged."""
BAR = 76
"""Pixels below the frame."""
_GOOD = 0.5
"""Score from which on a point is drawn filled."""
_TEXT, _MUTED, _LIGHT, _DARK = (235, 235, 235), (160, 160, 160), (240, 200, 60), (70, 70, 70)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_HEIGHT, _SMALL = 0.42, 0.33


@dataclass(frozen=True, slots=True)
class Told:
    """What stands below a frame.

    Attributes
    ----------
    seconds : float
        Since the session began.
    frame_id : int
    decided : sequence of str
        The newest decisions, the newest first.
    fresh : bool
        The newest of them was made on this frame or just before.
    lit : bool or None
        Whether the light was on; None while that is blinded.
    output : bool
        Whether there was anything that makes light.
    """

    seconds: float
    frame_id: int
    decided: Sequence[str]
    fresh: bool
    lit: bool | None
    output: bool = True


def overlay_size(width: int, height: int) -> tuple[int, int, int]:
    """Return width and height of the overlay's pictures, both even, and by how much a frame is enlarged."""
    enlarged = max(1, -(-LEAST_WIDTH // width))
    return _even(width * enlarged), _even(height * enlarged + BAR), enlarged


def draw_overlay(
    image: Image,
    xy: FloatArray | None,
    score: FloatArray | None,
    told: Told,
    names: Sequence[str] = (),
) -> Image:
    """Return the picture.

    Parameters
    ----------
    image : ndarray, shape (height, width), uint8
    xy : ndarray, shape (K, 2), or None
        Keypoints in pixels of the frame, NaN where there is none; None for a frame without a pose.
    score : ndarray, shape (K,), or None
    told : Told
    names : sequence of str, length K or 0
        Of the keypoints: written beside them with their scores; no names, no scores.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
        Blue, green, red; of `overlay_size`.
    """
    height, width = image.shape
    out_width, out_height, enlarged = overlay_size(width, height)
    picture = np.zeros((out_height, out_width, 3), np.uint8)
    face = image if enlarged == 1 else cv2.resize(
        image, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_NEAREST
    )  # fmt: skip
    picture[: face.shape[0], : face.shape[1]] = face[:, :, None]
    if xy is not None and score is not None:
        _draw_points(picture[: face.shape[0]], xy, score, enlarged, names)
    _draw_bar(picture[face.shape[0] :], told)
    return picture


def _draw_points(
    picture: Image, xy: FloatArray, score: FloatArray, enlarged: int, names: Sequence[str]
) -> None:
    radius = max(2, picture.shape[1] // 200)
    for number, ((x, y), sure) in enumerate(zip(xy, score, strict=True)):
        if not (np.isfinite(x) and np.isfinite(y)) or not (abs(x) < 1e5 and abs(y) < 1e5):
            continue
        at = round((float(x) + 0.5) * enlarged - 0.5), round((float(y) + 0.5) * enlarged - 0.5)
        colour = COLOURS[number % len(COLOURS)]
        filled = cv2.FILLED if sure >= _GOOD else 1
        cv2.circle(picture, at, radius + 1, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.circle(picture, at, radius, colour, filled, cv2.LINE_AA)
        if names:
            beside = at[0] + radius + 3, at[1] + 4
            text = _plain(f"{names[number]} {sure:.2f}")
            cv2.putText(picture, text, beside, _FONT, _SMALL, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.putText(picture, text, beside, _FONT, _SMALL, colour, 1, cv2.LINE_AA)


def _draw_bar(bar: Image, told: Told) -> None:
    bar[:] = 24
    width = bar.shape[1]
    _write(bar, f"{told.seconds:.3f} s   frame {told.frame_id}", 8, 18, _TEXT)
    for line, text in enumerate(told.decided[:2]):
        colour = _TEXT if line == 0 and told.fresh else _MUTED
        _write(bar, text, 8, 42 + 22 * line, colour)
    if not told.output:
        return
    left = width - 96
    if told.lit is None:
        _write(bar, "light: blinded", left - 24, 18, _MUTED)
        return
    colour = _LIGHT if told.lit else _DARK
    cv2.rectangle(bar, (left, 6), (width - 8, 24), colour, cv2.FILLED if told.lit else 1)
    _write(bar, "LIGHT" if told.lit else "dark", left + 22, 19, (0, 0, 0) if told.lit else _MUTED)


def _write(bar: Image, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    plain = _plain(text)
    room = bar.shape[1] - x - 8
    while plain and cv2.getTextSize(plain, _FONT, _HEIGHT, 1)[0][0] > room:
        plain = plain[:-1]
    cv2.putText(bar, plain, (x, y), _FONT, _HEIGHT, colour, 1, cv2.LINE_AA)


def _plain(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")  # OpenCV's fonts have no more


def _even(pixels: int) -> int:
    return pixels + pixels % 2
