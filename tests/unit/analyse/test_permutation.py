from __future__ import annotations

import numpy as np
import pytest

from rtface.analyse.permutation import against_shuffled_trials
from rtface.core.errors import DataError


def test_encoding_of_single_trials_is_found() -> None:
    random = np.random.default_rng(0)
    drive = random.normal(size=(200, 1))
    actual = (0.5 * drive + random.normal(size=(200, 20))).astype(np.float32)
    found = against_shuffled_trials(actual, np.repeat(drive, 20, axis=1).astype(np.float32), shuffles=199)
    assert found.p == 1 / 200
    assert found.observed > 0.3
    assert abs(found.null.mean()) < 0.02


def test_slow_drift_and_what_every_trial_repeats_are_no_encoding() -> None:
    values = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        drift = np.linspace(-3, 3, 200)[:, None, None]
        course = np.sin(np.arange(8))[None, :, None]
        actual = drift + course + random.normal(size=(200, 8, 5))
        predicted = drift + course + random.normal(size=(200, 8, 5))
        values.append(
            against_shuffled_trials(actual.astype(np.float32), predicted.astype(np.float32), shuffles=39).p
        )
    # p of a true null hypothesis is even over 0 to 1.
    assert np.mean(np.array(values) <= 0.1) < 0.3
    assert 0.3 < np.mean(values) < 0.7


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(DataError, match="shape"):
        against_shuffled_trials(np.ones((9, 2), np.float32), np.ones((9, 3), np.float32))
    with pytest.raises(DataError, match="too few"):
        against_shuffled_trials(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32))
    with pytest.raises(DataError, match="changes"):
        against_shuffled_trials(np.ones((50, 2), np.float32), np.ones((50, 2), np.float32))
