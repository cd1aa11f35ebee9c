"""Whether keypoints lie to each other as in a view that the engine knows.

The engine's mean shape is laid over the keypoints by the best turn, size and shift (similarity Procrustes), found twice, the
second time with less weight on what lies far off. A keypoint counts as its score is high: for the view where it lies in its
place, against it where it does not. Two points lie in their places in any view, so that two are taken off. What is left, as part
of the most that there can be, is the support.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FloatArray
from rtface.track.view import ViewModel

FREE_POINTS = 2
"""Points whose places a turn, a size and a shift can always meet."""
_FAINT = 1e-3
"""Weight of a keypoint whose score is 0, so that the sums are never empty."""
_SIZE_SLACK, _TURN_SLACK = math.log(1.5), math.radians(30.0)
"""How far beyond the range that the engine learnt a view of half the support lies: size (factor) and turn."""
_Alignment = tuple[float, float, float, float]
_SUMS = 9
"""Rows below: 1, x, y, and of the shape u, v, u2 + v2, then ux + vy, uy - vx, x2 + y2."""


class ViewCheck:
    """Holds the keypoints of one frame after the other against a view model.

    Every sum over keypoints that an alignment needs, and every distance that comes of one, is linear in nine numbers a
    keypoint, which are made once a frame: so a round costs two small products of matrices.

    Parameters
    ----------
    view : ViewModel
    names : sequence of str
        The engine's keypoints, in the order of its outputs.
    """

    def __init__(self, view: ViewModel, names: tuple[str, ...]) -> None:
        self._rows = np.array([names.index(name) for name in view.keypoints], np.intp)
        u, v = np.array(view.shape, np.float64).T
        sides = [(u, v), (-u, v)] if view.both_ways else [(u, v)]
        self._count = count = len(u)
        self._table = np.ones((len(sides), _SUMS, count))
        for table, (across, down) in zip(self._table, sides, strict=True):
            table[3], table[4], table[5] = across, down, across**2 + down**2
        self._conjugate = self._table[:, 3] - 1j * self._table[:, 4]
        self._ones = np.ones(count)
        self._inverse = 1 / np.array(view.reach, np.float64) ** 2
        self._parts = np.empty((len(sides), 1, _SUMS))
        self._limit, self._usual = view.limit, view.usual
        self._sizes = tuple(math.log(each) for each in view.size_px)
        self._turns = tuple(math.radians(each) for each in view.turn_deg)

    def view_ok(self, found: FloatArray) -> float:
        """Return how far a frame shows a view that the engine knows: 0 to 1, 0.5 at the limit.

        Parameters
        ----------
        found : ndarray, shape (K, C), float32
            The engine's outputs: x and y in pixels of the network's input, score.
        """
        support, _, _ = self.support(found)
        if not support > 0:
            return 0.0
        if support < self._limit:
            return 0.5 * support / self._limit
        return min(1.0, 0.5 + 0.5 * (support - self._limit) / (self._usual - self._limit))

    def support(self, found: FloatArray) -> tuple[float, float, float]:
        """Return the support (1 at most, NaN for outputs that are no numbers), the size in pixels and the turn in radians."""
        seen = found.take(self._rows, axis=0)[:, :3].astype(np.float64)
        flat = seen.ravel()
        if not math.isfinite(flat @ flat):
            return math.nan, math.nan, math.nan
        score = seen[:, 2]
        self._fill(seen[:, 0] + 1j * seen[:, 1])
        faint = score * score + _FAINT
        _, far = self._laid(faint)
        near = 1 / (1 + far)
        fits, far = self._laid(faint * near * near)
        held = (np.exp(-0.5 * far) @ score).tolist()
        side = held.index(max(held))
        support = (2 * held[side] - float(score @ self._ones) - FREE_POINTS) / (self._count - FREE_POINTS)
        real, imaginary, _, _ = fits[side]
        size, turn = math.hypot(real, imaginary), math.atan2(imaginary, real) * (1 - 2 * side)
        return (support * self._fits(size, turn) if support > 0 else support), size, turn

    def _laid(self, weight: NDArray[np.float64]) -> tuple[list[_Alignment], NDArray[np.float64]]:
        """Return how each shape lies best over the points, and how far each point is from its place, over its reach, squared."""
        fits = [_aligned(each) for each in np.matmul(self._table, weight[..., None])[..., 0].tolist()]
        self._parts[:, 0] = [_distance(*each) for each in fits]
        return fits, np.matmul(self._parts, self._table)[:, 0] * self._inverse

    def _fill(self, place: NDArray[np.complex128]) -> None:
        """Put a frame's numbers into the table."""
        table, turned = self._table, self._conjugate * place
        table[:, 1], table[:, 2] = place.real, place.imag
        table[:, 6], table[:, 7] = turned.real, turned.imag
        table[:, 8] = place.real**2 + place.imag**2

    def _fits(self, size: float, turn: float) -> float:
        """Return what is left for a size and a turn beyond what the engine learnt: 1 within, 0.5 at the slack."""
        logged = math.log(max(size, 1e-9))
        beyond = max(self._sizes[0] - logged, logged - self._sizes[1], 0.0) / _SIZE_SLACK
        twisted = max(self._turns[0] - turn, turn - self._turns[1], 0.0) / _TURN_SLACK
        return float(0.5 ** (beyond * beyond + twisted * twisted))


def _aligned(sums: list[float]) -> _Alignment:
    """Return the turn and size a, b and the shift p, q of the best x = au - bv + p, y = bu + av + q."""
    total, x, y, u, v, square, along, across, _ = sums
    spread = square - (u * u + v * v) / total + 1e-12
    a = (along - (u * x + v * y) / total) / spread
    b = (across - (u * y - v * x) / total) / spread
    if a == b == 0:
        a = 1e-9
    return a, b, (x - a * u + b * v) / total, (y - b * u - a * v) / total


def _distance(a: float, b: float, p: float, q: float) -> tuple[float, ...]:
    """Return the factors of the nine numbers whose sum is the squared distance from the place, in the shape's units."""
    d = 1 / (a * a + b * b)
    return (
        (p * p + q * q) * d,
        -2 * p * d,
        -2 * q * d,
        2 * (a * p + b * q) * d,
        2 * (a * q - b * p) * d,
        1.0,
        -2 * a * d,
        -2 * b * d,
        d,
    )
