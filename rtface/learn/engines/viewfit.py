"""What a proper view looks like, from what an engine finds in the frames that it was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.track.view import FEWEST_POINTS, ViewModel
from rtface.track.viewcheck import FREE_POINTS, ViewCheck

LEAST_LIMIT = 0.15
"""Least support of a known view: of pictures of the danger list (`bench/tracker/view.py`) none has as much."""

_REACH = 0.3, 0.6
"""Least and greatest distance from its place at which a keypoint still counts as in it, in units of the shape."""
_SPREADS = 2.0
"""Reach over the root mean square distance in the frames, where that is more than the least."""
_ABOVE_FOREIGN = 0.05
_BY_CHANCE = 1.2
"""Points beyond those that always lie in their places that may do so by chance, as three of an eye on a screw."""
_PERCENT_UNKNOWN = 10.0
"""More than this of the frames below the limit: it tells nothing."""
_LEAST_PERCENT = 1.0
_ROUNDS = 8
_WIDEST = 1e9
_HARDLY_SEEN = 0.05


def fit_view(
    names: Sequence[str],
    found: FloatArray,
    foreign: FloatArray,
    *,
    turned: FloatArray | None = None,
    mirrored: FloatArray | None = None,
    made_from: Mapping[str, Any] | None = None,
) -> ViewModel:
    """Make a view model.

    Parameters
    ----------
    names : sequence of str, length K
        The engine's trained keypoints.
    found : ndarray, shape (N, K, C), float32
        What the engine gives for each in N frames that it was trained on: x and y in pixels of its input, score.
    foreign : ndarray, shape (M, K, C), float32
        What it gives in pictures without a face: none may count as known.
    turned : ndarray, shape (L, K, C), float32, or None
        What it gives in such frames upside down: most may not.
    mirrored : ndarray, shape (L, K, C), float32, or None
        What it gives in frames that are shown to it mirrored: whether it knows faces both ways.
    made_from : mapping, optional
        For the record.

    Raises
    ------
    DataError
        There is nothing to tell views by: too few keypoints or frames, or scores that are as high in foreign pictures.
    """
    if len(names) < FEWEST_POINTS:
        raise DataError(f"{len(names)} keypoints are too few to know a view by: {FEWEST_POINTS} or more")
    if not len(found) or float(np.median(found[..., 2].mean(1))) < _HARDLY_SEEN:
        raise DataError("it is sure of nothing in the frames that it was trained on")
    if not np.isfinite(found[..., :3]).all():
        raise DataError("it gives no numbers in some of the frames that it was trained on")
    shape, reach, ways = _shape_of(found)
    wide = ViewModel(
        keypoints=tuple(names),
        shape=tuple((float(x), float(y)) for x, y in zip(shape.real, shape.imag, strict=True)),
        reach=tuple(reach.tolist()),
        size_px=(1 / _WIDEST, _WIDEST),
        turn_deg=(-360.0, 360.0),
        both_ways=True,
        limit=1e-6,
        usual=1.0,
    )
    check = ViewCheck(wide, tuple(names))
    seen = np.array([check.support(each) for each in found])
    support, size, turn = seen.T
    least, usual = float(np.percentile(support, _LEAST_PERCENT)), float(np.median(support))
    if usual <= LEAST_LIMIT:
        raise DataError(
            f"its keypoints lie too differently from frame to frame, or their scores are too low, to know a view by "
            f"(support {usual:.2f}, at least {LEAST_LIMIT:g} is needed)"
        )
    good = support >= max(least, LEAST_LIMIT)
    both = ways == 2 or (mirrored is not None and _median_support(check, mirrored) > 0.5 * usual)
    fitted = wide.model_copy(
        update={
            "size_px": (float(size[good].min()), float(size[good].max())),
            "turn_deg": (math.degrees(turn[good].min()), math.degrees(turn[good].max())),
            "both_ways": bool(both),
        }
    )
    narrow = ViewCheck(fitted, tuple(names))
    strangest = max((narrow.support(each)[0] for each in foreign), default=-1.0)
    if turned is not None:
        strangest = max(strangest, _median_support(narrow, turned))
    by_chance = _BY_CHANCE / (len(names) - FREE_POINTS)
    limit = max(LEAST_LIMIT, by_chance, strangest + _ABOVE_FOREIGN)
    if limit > float(np.percentile(support, _PERCENT_UNKNOWN)) or round(limit, 4) >= round(usual, 4):
        raise DataError(
            f"pictures without the face, or with it upside down, have a support of {strangest:.2f}, and some of the "
            f"frames that it was trained on no more than {least:.2f}: the two cannot be told from each other"
        )
    facts = {"frames": len(found), "least": round(least, 3), "foreign": round(strangest, 3)}
    rounded = {
        "shape": tuple((round(x, 4), round(y, 4)) for x, y in fitted.shape),
        "reach": tuple(round(each, 4) for each in fitted.reach),
        "size_px": tuple(round(each, 2) for each in fitted.size_px),
        "turn_deg": tuple(round(each, 2) for each in fitted.turn_deg),
        "limit": round(limit, 4),
        "usual": round(usual, 4),
        "made_from": facts | dict(made_from or {}),
    }
    return ViewModel.model_validate(fitted.model_dump() | rounded)


def _median_support(check: ViewCheck, found: FloatArray) -> float:
    return float(np.median([check.support(each)[0] for each in found])) if len(found) else -1.0


def _shape_of(found: FloatArray) -> tuple[NDArray[np.complex128], NDArray[np.float64], int]:
    """Return the mean shape, the reach of each keypoint, and in how many of the two ways faces look."""
    place = found[..., 0].astype(np.float64) + 1j * found[..., 1]
    weight = found[..., 2].astype(np.float64) ** 2 + 1e-6
    shape = _unit(place[int(weight.sum(1).argmax())])
    for _ in range(_ROUNDS):
        straight, off = _laid(shape, place, weight)
        reflected, off_reflected = _laid(shape, -place.conj(), weight)
        other = (weight * off_reflected).sum(1) < (weight * off).sum(1)
        laid = np.where(other[:, None], reflected, straight)
        shape = _unit((weight * laid).sum(0) / weight.sum(0))
    square = np.abs(laid - shape) ** 2
    spread = np.sqrt((weight * square).sum(0) / weight.sum(0))
    return shape, np.clip(_SPREADS * spread, *_REACH), 1 + (bool(other.any()) and not bool(other.all()))


def _unit(shape: NDArray[np.complex128]) -> NDArray[np.complex128]:
    centred = shape - shape.mean()
    return np.asarray(centred / max(float(np.sqrt((np.abs(centred) ** 2).mean())), 1e-9))


def _laid(
    shape: NDArray[np.complex128], place: NDArray[np.complex128], weight: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Return each frame's points laid over the shape, and their squared distances from it."""
    share = weight / weight.sum(1, keepdims=True)
    middle = (share * place).sum(1, keepdims=True)
    mean = (share * shape).sum(1, keepdims=True)
    factor = (share * np.conj(shape - mean) * (place - middle)).sum(1, keepdims=True)
    factor = factor / (share * np.abs(shape - mean) ** 2).sum(1, keepdims=True)
    laid = (place - middle) / np.where(np.abs(factor) < 1e-9, 1e-9, factor) + mean
    return laid, np.abs(laid - shape) ** 2
