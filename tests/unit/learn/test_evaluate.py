"""Errors, calibration and reliability on answers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.learn.evaluate import Answers, calibrated, error_summary, fit_calibration, reliability
from rtface.records import FACEMAP_KEYPOINTS

RADIUS = 3.0


def made_answers(slope: float, intercept: float, count: int = 6000) -> Answers:
    """Scores whose chance of being within the radius follows a known logistic."""
    random = np.random.default_rng(0)
    odds = random.normal(0.5, 1.5, (count, 1))
    chance = 1 / (1 + np.exp(-(slope * odds + intercept)))
    within = random.random((count, 1)) < chance
    distance = np.where(within, RADIUS / 2, RADIUS * 2).astype(np.float32)
    return Answers(distance, (1 / (1 + np.exp(-odds))).astype(np.float32))


def test_errors_are_summed_up_over_labels_and_by_keypoint() -> None:
    distance = np.full((4, len(FACEMAP_KEYPOINTS)), np.nan, np.float32)
    distance[:, 0] = 1, 2, 3, 4
    distance[:2, 5] = 10, 20
    summary = error_summary(distance, 2.0)
    assert summary["n"] == 6
    assert summary["mean_px"] == pytest.approx(2 * 40 / 6, abs=0.01)
    assert summary["median_px"] == pytest.approx(7.0)
    assert summary["by_keypoint"]["eye(back)"]["mean_px"] == 5.0
    assert summary["by_keypoint"]["mouth"] == {"n": 2, "mean_px": 30.0, "median_px": 30.0, "p90_px": 38.0}
    assert set(summary["by_keypoint"]) == {"eye(back)", "mouth"}


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, -0.7), (1.8, 1.2)])
def test_the_fit_finds_the_logistic_that_made_the_answers(slope: float, intercept: float) -> None:
    assert fit_calibration(made_answers(slope, intercept), RADIUS) == pytest.approx(
        (slope, intercept), abs=0.12
    )


def test_the_fit_holds_where_nearly_all_shares_are_close_to_one() -> None:
    random = np.random.default_rng(1)
    odds = random.normal(4.3, 0.7, (1000, 1))
    within = random.random((1000, 1)) < 1 / (1 + np.exp(-(0.9 * odds - 2.3)))
    answers = Answers(
        np.where(within, 1.0, 9.0).astype(np.float32), (1 / (1 + np.exp(-odds))).astype(np.float32)
    )
    slope, intercept = fit_calibration(answers, RADIUS)
    assert 0.4 < slope < 1.4
    stated = calibrated(answers.score, slope, intercept)
    assert float(stated.mean()) == pytest.approx(float(within.mean()), abs=0.01)


def test_labels_that_are_missing_do_not_count() -> None:
    answers = made_answers(0.6, -0.7, 500)
    hidden = Answers(
        np.concatenate([answers.distance, np.full((300, 1), np.nan, np.float32)]),
        np.concatenate([answers.score, np.full((300, 1), 0.99, np.float32)]),
    )
    assert fit_calibration(hidden, RADIUS) == pytest.approx(fit_calibration(answers, RADIUS))


def test_calibrated_scores_are_reliable_and_plain_ones_were_not() -> None:
    answers = made_answers(0.5, -1.0)
    plain = reliability(answers.score, answers.distance, RADIUS)
    mended = reliability(
        calibrated(answers.score, *fit_calibration(answers, RADIUS)), answers.distance, RADIUS
    )
    assert plain["expected_calibration_error"] > 0.15
    assert mended["expected_calibration_error"] < 0.03
    assert sum(each["n"] for each in mended["bins"]) == answers.distance.size
