"""The difference of two networks: found where it is, with an interval that covers it as often as stated."""

from __future__ import annotations

import numpy as np
import pytest

from bench.tracker.intervals import difference_interval


def test_a_difference_that_is_there_is_found_and_its_sign_is_ours_less_theirs() -> None:
    random = np.random.default_rng(0)
    theirs = random.exponential(3.0, (60, 4)).astype(np.float32)
    ours = theirs - 0.5 + random.normal(0, 0.3, theirs.shape).astype(np.float32)
    found = difference_interval(ours, theirs)
    assert found["low_px"] < found["difference_px"] < found["high_px"] < 0
    assert found["difference_px"] == pytest.approx(-0.5, abs=0.1)
    assert difference_interval(ours, theirs) == found, "the same seed gives the same interval"


def test_the_interval_covers_the_truth_as_often_as_it_says_when_a_frames_errors_go_together() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        by_frame = random.normal(0.3, 1.0, (40, 1)) + random.normal(0, 0.2, (40, 6))
        by_frame[random.random(by_frame.shape) < 0.2] = np.nan
        gap = by_frame.astype(np.float32)
        interval = difference_interval(gap, np.zeros_like(gap))
        covered += interval["low_px"] <= 0.3 <= interval["high_px"]
    assert 87 <= covered <= 99, "drawing labels instead of frames covers about half"
