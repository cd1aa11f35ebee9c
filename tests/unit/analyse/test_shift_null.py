from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from rtface.analyse.baselines import fit_ridge
from rtface.analyse.explained import variance_explained
from rtface.analyse.ridge.shift_null import explained_when_shifted
from rtface.analyse.splits import strict
from rtface.core.errors import DataError


def slow(random: np.random.Generator, samples: int, columns: int, tau: float) -> np.ndarray:
    decay = np.exp(-1 / tau)
    signal = lfilter([1], [1, -decay], random.standard_normal((samples + 2000, columns)), axis=0)[2000:]
    return (signal / signal.std(axis=0)).astype(np.float32)


def explained(inputs: np.ndarray, values: np.ndarray) -> float:
    split = strict(len(values), 13)
    line = fit_ridge(inputs[split.train], values[split.train], 100.0)
    return variance_explained(values[split.test], line.predict(inputs[split.test]))


def test_what_is_related_is_far_above_the_null_and_what_is_slow_alone_is_not() -> None:
    random = np.random.default_rng(1)
    samples = 4000
    inputs = slow(random, samples, 6, 900.0)
    unrelated = slow(random, samples, 12, 900.0)
    related = inputs @ random.standard_normal((6, 12)).astype(np.float32)
    related = related + 0.5 * slow(random, samples, 12, 3.0)
    split = strict(samples, 13)
    nothing = explained_when_shifted(inputs, unrelated, split, 100.0)
    something = explained_when_shifted(inputs, related, split, 100.0)
    assert explained(inputs, unrelated) > 0.2  # the trap: slow signals that share nothing
    assert explained(inputs, unrelated) < nothing.together.max()
    assert explained(inputs, related) > something.together.max() + 0.1
    assert nothing.by_output.shape == (20, 12)
    assert (nothing.shifts >= 400).all()
    assert (nothing.shifts <= 3600).all()


def test_each_shift_is_the_regression_of_moved_activity() -> None:
    random = np.random.default_rng(2)
    inputs, values = (random.standard_normal((800, n)).astype(np.float32) for n in (4, 3))
    split = strict(800, 13)
    found = explained_when_shifted(inputs, values, split, 7.0, 5)
    moved = np.roll(values, int(found.shifts[2]), axis=0)
    line = fit_ridge(inputs[split.train], moved[split.train], 7.0)
    wanted = variance_explained(moved[split.test], line.predict(inputs[split.test]))
    assert found.together[2] == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(DataError, match="no room"):
        explained_when_shifted(inputs[:10], values, split, 7.0)
