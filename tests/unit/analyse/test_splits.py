from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.analyse.splits import hold_back, published, stretches, strict
from rtface.core.errors import DataError


def test_the_published_split_is_the_papers() -> None:
    split = published(10_000)
    assert len(stretches(split.train)) == 10
    assert len(split.train) == 7500
    assert split.test[:247].tolist() == list(range(753, 1000))
    assert 1000 in split.train
    before = split.train[np.searchsorted(split.train, split.test) - 1]
    assert (split.test - before).min() == 4
    assert 0.21 <= len(split.test) / 10_000 <= 0.25


@settings(deadline=None)
@given(st.integers(200, 5000), st.integers(0, 15))
def test_strict_gaps_stand_on_both_sides(samples: int, gap: int) -> None:
    split = strict(samples, gap)
    distance = np.abs(split.test[:, None] - split.train).min()
    assert distance > max(gap, 3)
    assert len(np.intersect1d(split.train, split.test)) == 0
    blocks = stretches(split.test)
    assert len(blocks) <= 10
    assert min(map(len, blocks)) >= max(gap, 3) - 1
    assert split.train[0] == 0
    assert split.test[-1] == samples - 1


def test_what_is_held_back_stands_behind_a_gap() -> None:
    split = strict(3000, 13)
    held = hold_back(split.train, 0.15, 13)
    assert np.isin(held.train, split.train).all()
    assert np.isin(held.test, split.train).all()
    for part in stretches(held.test):
        before = held.train[held.train < part[0]]
        assert part[0] - before[-1] == 14
    assert 0.13 < len(held.test) / len(split.train) < 0.17


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(DataError, match="60 neural samples are too few"):
        published(60)
    with pytest.raises(DataError, match="too few"):
        strict(70, 20)
    with pytest.raises(DataError, match="hold a part"):
        hold_back(np.arange(10), 0.2, 13)
