"""Calibration and reliability on answers whose chances are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rtface.core.records import FloatArray
from rtface.learn.tracker.calibration import Calibration, fit_calibration, reliability
from rtface.learn.tracker.evaluation import Predictions
from rtface.networks.small import SmallDecode

RADIUS = 3.0


def logistic(odds: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


def made_answers(
    slope: float, *intercepts: float, count: int = 6000, middle: float = 0.5, seed: int = 0
) -> Predictions:
    """Scores whose chance of being within the radius follows a known logistic, a keypoint for each intercept."""
    random = np.random.default_rng(seed)
    odds = random.normal(middle, 1.5, (count, len(intercepts))).astype(np.float32)
    within = random.random(odds.shape) < logistic(slope * odds + np.array(intercepts, np.float32))
    distance = np.where(within, RADIUS / 2, RADIUS * 2).astype(np.float32)
    return Predictions(distance, logistic(odds), np.ones(count, np.float32))


def calibration_error(score: FloatArray, answers: Predictions) -> float:
    return float(reliability(score, answers.distance, RADIUS)["expected_calibration_error"])


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, -0.7), (1.8, 1.2)])
def test_the_fit_finds_the_logistic_that_made_the_answers(slope: float, intercept: float) -> None:
    fit = fit_calibration(made_answers(slope, intercept), RADIUS)
    assert fit.slope == pytest.approx(slope, abs=0.12)
    assert fit.intercept == pytest.approx([intercept], abs=0.12)


def test_each_keypoint_has_an_intercept_of_its_own() -> None:
    truth = (-1.5, 0.0, 1.5)
    answers, fresh = made_answers(0.8, *truth), made_answers(0.8, *truth, seed=1)
    fit = fit_calibration(answers, RADIUS)
    assert fit.intercept == pytest.approx(truth, abs=0.15)
    common = Calibration(fit.slope, np.full(3, fit.intercept.mean(), np.float32))
    for keypoint in (0, 2):
        alone = Predictions(fresh.distance[:, [keypoint]], fresh.score[:, [keypoint]], fresh.scale)
        assert calibration_error(fit.apply(fresh.score)[:, [keypoint]], alone) < 0.03
        assert calibration_error(common.apply(fresh.score)[:, [keypoint]], alone) > 0.1


def test_a_keypoint_with_few_labels_goes_with_the_rest() -> None:
    answers = made_answers(1.0, -1.0, -1.0, count=2000)
    answers.distance[2:, 1] = np.nan
    answers.distance[:2, 1] = RADIUS / 2
    fit = fit_calibration(answers, RADIUS)
    assert fit.intercept[0] == pytest.approx(-1.0, abs=0.2)
    assert -1.1 < fit.intercept[1] < 1.0, "by itself it would go to infinity"
    unseen = made_answers(1.0, -1.0, -1.0, count=2000)
    unseen.distance[:, 1] = np.nan
    fit = fit_calibration(unseen, RADIUS)
    assert fit.intercept[1] == pytest.approx(fit.intercept[0], abs=0.2)


def test_scores_are_calibrated_after_the_fit_and_were_not_before() -> None:
    answers, fresh = made_answers(0.5, -1.0, -0.4), made_answers(0.5, -1.0, -0.4, seed=1)
    assert calibration_error(fresh.score, fresh) > 0.15
    assert calibration_error(fit_calibration(answers, RADIUS).apply(fresh.score), fresh) < 0.03


def test_the_fit_holds_where_nearly_all_shares_are_close_to_one() -> None:
    answers = made_answers(0.9, -2.3, count=1000, middle=4.3)
    fit = fit_calibration(answers, RADIUS)
    assert 0.4 < fit.slope < 1.4
    within = answers.distance <= RADIUS
    assert float(fit.apply(answers.score).mean()) == pytest.approx(float(within.mean()), abs=0.01)


@pytest.mark.parametrize("distance", [0.0, 50.0])
def test_answers_that_are_all_right_or_all_wrong_give_finite_scores(distance: float) -> None:
    score = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]], np.float32)
    fit = fit_calibration(
        Predictions(np.full((3, 2), distance, np.float32), score, np.ones(3, np.float32)), RADIUS
    )
    stated = fit.apply(score)
    assert np.isfinite(stated).all()
    assert (stated[2] > 0.5).all() == (distance == 0.0)


def test_labels_that_are_missing_do_not_count() -> None:
    answers = made_answers(0.6, -0.7, count=500)
    hidden = Predictions(
        np.concatenate([answers.distance, np.full((300, 1), np.nan, np.float32)]),
        np.concatenate([answers.score, np.full((300, 1), 0.99, np.float32)]),
        np.ones(800, np.float32),
    )
    with_hidden, without = (fit_calibration(each, RADIUS) for each in (hidden, answers))
    assert with_hidden.slope == pytest.approx(without.slope)
    assert with_hidden.intercept == pytest.approx(without.intercept)
    judged = reliability(hidden.score, hidden.distance, RADIUS)
    assert judged == reliability(answers.score, answers.distance, RADIUS)
    assert sum(each["n"] for each in judged["bins"]) == 500


def test_reliability_of_a_case_counted_by_hand() -> None:
    score = np.array([[0.6, 0.6, 0.6, 0.6, 1.0]], np.float32)
    distance = np.array([[1, 1, 1, 9, 9]], np.float32)
    judged = reliability(score, distance, RADIUS)
    assert judged["bins"] == [
        {"n": 4, "stated": 0.6, "within": 0.75},
        {"n": 1, "stated": 1.0, "within": 0.0},
    ]
    assert judged["expected_calibration_error"] == pytest.approx(0.8 * 0.15 + 0.2 * 1.0, abs=1e-4)


def test_the_decode_states_what_the_calibration_says_of_its_plain_score() -> None:
    calibration = Calibration(1.7, np.array([-0.4, 0.9], np.float32))
    logits = 4 * torch.randn(3, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    plain, fitted = SmallDecode(2), SmallDecode(2)
    fitted.load_state_dict(
        {"slope": torch.tensor(calibration.slope), "intercept": torch.from_numpy(calibration.intercept)}
    )
    stated = fitted(logits)[..., 2].numpy()
    np.testing.assert_allclose(stated, calibration.apply(plain(logits)[..., 2].numpy()), rtol=1e-3)
