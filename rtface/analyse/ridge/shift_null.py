"""What a regression explains of activity that it has nothing to do with: the same activity, moved in time.

Two slow signals seem to predict each other, on held-out time too, although they share nothing. A regression that is
fitted and judged alike after the activity was turned round in time by minutes shows how much of that there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from rtface.analyse.explained import by_column, variance_explained
from rtface.analyse.splits import Split
from rtface.core.errors import DataError
from rtface.core.records import FloatArray

Float64Array = NDArray[np.float64]

SHIFTS = 20

_NEAREST = 0.1
"""Share of the recording by which activity is moved at least."""


@dataclass(frozen=True, eq=False)
class ShiftNull:
    """A regression's variance explained after activity was turned round in time by each of n shifts.

    Attributes
    ----------
    shifts : ndarray, shape (n,), int64
        In neural samples.
    together : ndarray, shape (n,), float64
        Of all columns jointly.
    by_output : ndarray, shape (n, C), float64
        Of each column.
    """

    shifts: NDArray[np.int64]
    together: Float64Array
    by_output: Float64Array


def explained_when_shifted(
    inputs: FloatArray, values: FloatArray, split: Split, penalty: float, count: int = SHIFTS
) -> ShiftNull:
    """Fit and judge a ridge regression as it is, but of activity that is turned round in time.

    Parameters
    ----------
    inputs : ndarray, shape (S, D)
        At the neural samples.
    values : ndarray, shape (S, C)
        Activity. It is turned round by evenly spaced shifts of a tenth to nine tenths of the samples.
    split : Split
        Samples to fit on, samples to judge by.
    penalty : float
        That of the regression which it is the null of.
    count : int
        Shifts at most.

    Raises
    ------
    DataError
        The recording has no room for a shift.
    """
    samples = len(values)
    shifts = np.unique(
        np.linspace(_NEAREST * samples, (1 - _NEAREST) * samples, count).round().astype(np.int64)
    )
    shifts = shifts[(shifts > 0) & (shifts < samples)]
    if len(inputs) != samples or not len(shifts):
        raise DataError(f"{len(inputs)} samples of inputs and {samples} of activity have no room for a shift")
    centre = inputs[split.train].mean(axis=0, dtype=np.float64)
    x, there = inputs[split.train] - centre, inputs[split.test] - centre
    square = x.T @ x
    square[np.diag_indices_from(square)] += max(penalty, 1e-9 * np.trace(square) / len(square))
    factor = cho_factor(square)
    together, by_output = np.empty(len(shifts)), np.empty((len(shifts), values.shape[1]))
    for row, shift in enumerate(shifts.tolist()):
        moved = np.roll(values, shift, axis=0)
        level = moved[split.train].mean(axis=0, dtype=np.float64)
        weights = cho_solve(factor, x.T @ (moved[split.train] - level))
        predicted, actual = there @ weights + level, moved[split.test]
        together[row], by_output[row] = variance_explained(actual, predicted), by_column(actual, predicted)
    return ShiftNull(shifts, together, by_output)
