"""How a mouse's face lies in a side view: what tells keypoints that make a face from keypoints that do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtface.core.records import FloatArray

_SIDE_VIEW: dict[str, tuple[float, float]] = {
    "eye(top)": (0.02, -0.13),
    "eye(front)": (-0.15, -0.03),
    "eye(bottom)": (-0.01, 0.10),
    "eye(back)": (0.14, 0.06),
    "nose(top)": (-0.89, 0.03),
    "nose(tip)": (-0.99, 0.14),
    "nose(bottom)": (-0.93, 0.27),
    "whisker(I)": (-0.51, 0.15),
    "whisker(II)": (-0.52, 0.24),
    "whisker(III)": (-0.52, 0.34),
    "mouth": (-0.58, 0.58),
    "lowerlip": (-0.50, 0.65),
}
"""Mean places in the side view of the Facemap paper: from the eye's centre, in distances of eye to tip of the nose."""
_EYE = ("eye(top)", "eye(front)", "eye(bottom)", "eye(back)")
_NOSE = ("nose(bottom)", "nose(tip)", "nose(top)")
_WIDEST_TURN = 1.05
"""Radians by which the line from eye to nose may be turned from that of the template."""
_EYE_SIZE = 0.11, 0.65
"""Eye's width over the distance from eye to nose: least, and most (three quarters, nearly from the front)."""
_MISFIT = 0.16
"""Mean distance from the template after alignment, in distances of eye to nose, that halves what is left of 1."""


@dataclass(frozen=True, slots=True)
class FacePoints:
    """Which of an engine's keypoints tell where a face is.

    Attributes
    ----------
    rows : ndarray, shape (P,), int
        Of the engine's keypoints.
    template : ndarray, shape (P, 2), float32
    eye, nose : ndarray, int
        Which of `rows` are the eye's and the nose's.
    """

    rows: FloatArray
    template: FloatArray
    eye: FloatArray
    nose: FloatArray


def face_points(names: list[str], trained: list[bool]) -> FacePoints | None:
    """Return the trained keypoints that a face is known by; None without two of the eye and one of the nose."""
    rows = [row for row, name in enumerate(names) if trained[row] and name in _SIDE_VIEW]
    known = [names[row] for row in rows]
    eye = [index for index, name in enumerate(known) if name in _EYE]
    nose = [index for index, name in enumerate(known) if name in _NOSE]
    if len(eye) < 2 or not nose:
        return None
    template = np.array([_SIDE_VIEW[name] for name in known], np.float32)
    return FacePoints(np.array(rows), template, np.array(eye), np.array(nose))


def plausibility(points: FacePoints, xy: FloatArray, score: FloatArray) -> float:
    """Return how far keypoints lie to each other as those of a face that looks to the left, 0 to 1.

    Parameters
    ----------
    points : FacePoints
    xy : ndarray, shape (P, 2), float32
        Pixels, in the order of `points.rows`.
    score : ndarray, shape (P,), float32
        How much each counts.
    """
    eye, nose = xy[points.eye].mean(0), xy[points.nose].mean(0)
    away = nose - eye
    reach = float(np.hypot(*away))
    expected = points.template[points.nose].mean(0)
    turn = np.arctan2(away[1], away[0]) - np.arctan2(expected[1], expected[0])
    turn = abs((turn + np.pi) % (2 * np.pi) - np.pi)
    if reach < 1 or turn > _WIDEST_TURN:
        return 0.0
    width = float(np.ptp(xy[points.eye], axis=0).max()) / reach
    if not _EYE_SIZE[0] < width < _EYE_SIZE[1]:
        return 0.0
    misfit = _misfit(points.template, xy, np.maximum(score, 0.05)) / (1 + turn)
    return float(np.exp2(-((misfit / _MISFIT) ** 2)) * np.cos(turn / 2))


def _misfit(template: FloatArray, xy: FloatArray, weight: FloatArray) -> float:
    """Return the mean distance after the best similarity (turn, scale, shift, and no mirror), in template's units."""
    share = weight / weight.sum()
    target = xy[:, 0] + 1j * xy[:, 1]
    source = template[:, 0] + 1j * template[:, 1]
    target, source = target - share @ target, source - share @ source
    factor = (share @ (source.conj() * target)) / (share @ np.abs(source) ** 2)
    return float(share @ np.abs(target - factor * source)) / max(float(abs(factor)), 1e-6)
