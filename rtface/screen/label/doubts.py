"""Labels that may be wrong: far from a sure guess, out of the shape of the others, or on top of each other.

Nothing here is said to be wrong: a person looks at the frame and decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SURE = 0.5
"""Least score of a guess that a label is held against."""

_FEWEST_POINTS = 4
_FEWEST_FRAMES = 5
_FAR = 4.0
_LEAST_FACE = 0.03
_SAME_PX = 0.5


@dataclass(frozen=True, slots=True)
class Doubt:
    """A label that is worth a second look.

    Attributes
    ----------
    row, column : int
        Its frame and keypoint.
    why : str
        ``guess``, ``shape`` or ``same``.
    px : float
        Pixels from where it would be expected; to the other point for ``same``.
    amount : float
        How doubtful, 1 or more: the larger the more.
    """

    row: int
    column: int
    why: str
    px: float
    amount: float


def doubts(
    xy: NDArray[np.float64], guesses: Mapping[tuple[int, int], Sequence[float]] | None = None
) -> list[Doubt]:
    """Return the doubtful labels, the most doubtful first, each once.

    Parameters
    ----------
    xy : ndarray, shape (N, K, 2)
        Labels in pixels, NaN where there is none.
    guesses : mapping, optional
        x, y and score that a network found, by frame and keypoint.
    """
    found: dict[tuple[int, int], Doubt] = {}
    for each in (*_out_of_shape(xy), *_far_from_guesses(xy, guesses or {}), *_same_place(xy)):
        before = found.get((each.row, each.column))
        if before is None or before.amount < each.amount:
            found[each.row, each.column] = each
    return sorted(found.values(), key=lambda each: -each.amount)


def face_size(xy: NDArray[np.float64]) -> float:
    """Return the root mean square distance of the keypoints from their middle, in pixels; 0 where it is not known."""
    spread = [
        float(np.sqrt(((row[here] - row[here].mean(axis=0)) ** 2).sum(axis=1).mean()))
        for row in xy
        if (here := ~np.isnan(row[:, 0])).sum() >= 2
    ]
    return float(np.median(spread)) if spread else 0.0


def _far_from_guesses(
    xy: NDArray[np.float64], guesses: Mapping[tuple[int, int], Sequence[float]]
) -> list[Doubt]:
    apart = {
        place: float(np.hypot(*(xy[place] - guess[:2])))
        for place, guess in guesses.items()
        if guess[2] >= SURE and not np.isnan(xy[place]).any()
    }
    least = _LEAST_FACE * face_size(xy)
    found = []
    for column in {column for _, column in apart}:
        here = [px for (_, each), px in apart.items() if each == column]
        limit = max(least, _FAR * float(np.median(here)) if len(here) >= _FEWEST_FRAMES else 2 * least)
        if limit > 0:
            found += [
                Doubt(row, column, "guess", px, px / limit)
                for (row, each), px in apart.items()
                if each == column and px > limit
            ]
    return found


def _out_of_shape(xy: NDArray[np.float64]) -> list[Doubt]:
    """Return labels far from where most of the frame's labels would have them, shifted, turned and scaled as they are."""
    here = ~np.isnan(xy[..., 0])
    if not here.any():
        return []
    points = xy @ (1, 1j)
    common = points[here.sum(axis=1).argmax()]
    with np.errstate(invalid="ignore"):
        brought = np.array([_mapped(row, common, row) for row in points])
    known = ~np.isnan(brought.real)
    common = np.array(
        [
            np.median(column[there].real) + 1j * np.median(column[there].imag) if there.any() else np.nan
            for column, there in zip(brought.T, known.T, strict=True)
        ]
    )
    residuals = np.abs(np.array([_mapped(common, row, common) for row in points]) - points)
    least = 2 * _LEAST_FACE * face_size(xy)
    found = []
    for column, values in enumerate(residuals.T):
        those = values[~np.isnan(values)]
        if len(those) < _FEWEST_FRAMES:
            continue
        limit = max(least, _FAR * float(np.median(those)))
        if limit > 0:
            found += [
                Doubt(int(row), column, "shape", float(values[row]), float(values[row] / limit))
                for row in np.flatnonzero(np.nan_to_num(values) > limit)
            ]
    return found


def _mapped(source: NDArray[Any], target: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """Return where points go by the shift, turn and scale that bring most of `source` next to `target`; complex numbers.

    NaN where the two have too few points in common. The fit is that of two points whose median distance is the least,
    and then that of the better half of all.
    """
    common = np.flatnonzero(~np.isnan(source.real) & ~np.isnan(target.real))
    if len(common) < _FEWEST_POINTS:
        return np.full(len(points), np.nan + 0j)
    one, other = source[common], target[common]
    first, second = np.triu_indices(len(common), 1)
    apart = one[second] - one[first]
    usable = np.abs(apart) > 0
    first, second, apart = first[usable], second[usable], apart[usable]
    if not len(apart):
        return np.full(len(points), np.nan + 0j)
    turn = (other[second] - other[first]) / apart
    shift = other[first] - turn * one[first]
    off = np.abs(turn[:, None] * one + shift[:, None] - other)
    half = len(common) // 2
    best = off[np.sort(off, axis=1)[:, half].argmin()].argsort()[: half + 1]
    middle, towards = one[best].mean(), other[best].mean()
    before = one[best] - middle
    spread = float((np.abs(before) ** 2).sum())
    fitted = ((other[best] - towards) * before.conj()).sum() / spread if spread > 0 else 1
    mapped: NDArray[Any] = fitted * (points - middle) + towards
    return mapped


def _same_place(xy: NDArray[np.float64]) -> list[Doubt]:
    found = []
    for row, points in enumerate(xy):
        here = np.flatnonzero(~np.isnan(points[:, 0]))
        for at, column in enumerate(here):
            for other in here[at + 1 :]:
                px = float(np.hypot(*(points[column] - points[other])))
                if px < _SAME_PX:
                    found.append(Doubt(row, int(other), "same", px, 10.0))
    return found
