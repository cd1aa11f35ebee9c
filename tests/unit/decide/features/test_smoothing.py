"""Filters and smoothers, sample by sample, against the same computed offline in another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from rtface.decide.features.filters import BandPass, Feed, LowPass, RunningMean, unwarped, warped
from rtface.decide.features.smoothing import PredictionError, Smoother, Unsmoothed, make_smoother
from rtface.decide.features.specs import KalmanSpec, OneEuroSpec


def walk(seed: int, count: int = 400) -> np.ndarray:
    """Return points of a random walk with noise, shape (count, 2)."""
    rng = np.random.default_rng(seed)
    return 100 + np.cumsum(rng.normal(0, 1, (count, 2)), axis=0) + rng.normal(0, 0.5, (count, 2))


def fed(smoother: Smoother, points: np.ndarray, dts: np.ndarray) -> np.ndarray:
    """Return x, y, vx and vy after each point, shape (count, 4)."""
    smoother.start(*points[0].tolist())
    rows = [(smoother.x, smoother.y, smoother.vx, smoother.vy)]
    for (x, y), dt_s in zip(points[1:].tolist(), dts.tolist(), strict=True):
        smoother.step(x, y, dt_s)
        rows.append((smoother.x, smoother.y, smoother.vx, smoother.vy))
    return np.array(rows)


def irregular(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([0.004, 0.005, 0.005, 0.005, 0.011, 0.02], count)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(("band", "rate_hz"), [((6, 30), 200.0), ((3, 20), 60.5), ((1, 200), 500.0)])
def test_the_band_pass_is_scipy_s(order: int, band: tuple[float, float], rate_hz: float) -> None:
    points = walk(order) - 100
    made, half_s = BandPass(*band, order, rate_hz), 0.5 / rate_hz
    ours = []
    for x, y in points.tolist():
        made.step(x, y, half_s)
        ours.append((made.x, made.y))
    sections = signal.butter(order, band, "bandpass", fs=rate_hz, output="sos")
    np.testing.assert_allclose(ours, signal.sosfilt(sections, points, axis=0), atol=1e-9 * 400)


def test_the_low_pass_is_scipy_s() -> None:
    points = walk(5) - 100
    made = LowPass(3.0, 200.0)
    ours = []
    for x, y in points.tolist():
        made.step(x, y, 0.0025)
        ours.append((made.x, made.y))
    sections = signal.butter(2, 3.0, fs=200.0, output="sos")
    np.testing.assert_allclose(ours, signal.sosfilt(sections, points, axis=0), atol=1e-9)


@pytest.mark.parametrize("hz", [6.0, 12.0, 25.0])
def test_the_derivative_is_a_quarter_of_a_turn_ahead(hz: float) -> None:
    made = BandPass(6, 30, 2, 200.0)
    rows = []
    for index in range(1000):
        made.step(math.sin(2 * math.pi * hz * index / 200), 0.0, 0.0025)
        rows.append((made.x, made.vx / warped(hz, 200.0)))
    phases = np.angle(np.fft.rfft(np.array(rows[600:]), axis=0)[round(400 * hz / 200)])
    assert math.isclose((phases[1] - phases[0]) % (2 * math.pi), math.pi / 2, abs_tol=1e-6)
    lengths = np.abs(np.fft.rfft(np.array(rows[600:]), axis=0)[round(400 * hz / 200)])
    assert math.isclose(lengths[0], lengths[1], rel_tol=1e-6)
    assert math.isclose(unwarped(warped(hz, 200.0), 200.0), hz)


def test_intervals_that_vary_change_little_of_a_slow_rhythm() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([0.004, 0.005, 0.006], 2000))
    made, errors = BandPass(4, 40, 1, 200.0), []
    steady = BandPass(4, 40, 1, 200.0)
    even = {}
    for index in range(2100):
        steady.step(math.sin(2 * math.pi * 12 * index / 200), 0.0, 0.0025)
        even[index] = steady.x
    before = 0.0
    for time_s in times.tolist():
        made.step(math.sin(2 * math.pi * 12 * time_s), 0.0, (time_s - before) / 2)
        before = time_s
        if time_s > 1:
            place = time_s * 200
            part = place - math.floor(place)
            truth = (1 - part) * even[math.floor(place)] + part * even[math.floor(place) + 1]
            errors.append(made.x - truth)
    assert np.sqrt(np.mean(np.square(errors))) < 0.05


def test_the_feed_steps_through_lost_frames_at_the_nominal_rate() -> None:
    points = [(0.3 * index, -0.1 * index) for index in range(60)]  # a line: interpolation is exact
    whole, holes = LowPass(10.0, 200.0), LowPass(10.0, 200.0)
    feeds = Feed(200.0, whole), Feed(200.0, holes)
    for feed in feeds:
        feed.start(*points[0])
    last = 0
    for index in range(1, 58):
        feeds[0].step(*points[index], 0.005)
        if index % 7 not in (2, 3, 4):
            feeds[1].step(*points[index], 0.005 * (index - last))
            last = index
    assert math.isclose(whole.x, holes.x, rel_tol=1e-9)
    assert math.isclose(whole.y, holes.y, rel_tol=1e-9)


def test_one_euro_is_its_formula() -> None:
    points, dts = walk(1), irregular(2, 399)
    ours = fed(make_smoother(OneEuroSpec(kind="one_euro", min_cutoff_hz=1.5, beta=0.02)), points, dts)

    def alpha(cutoff_hz: float, dt_s: float) -> float:
        tau = 1 / (2 * np.pi * cutoff_hz)
        return 1 / (1 + tau / dt_s)

    position, speed = points[0], np.zeros(2)
    rows = [position]
    for point, dt_s in zip(points[1:], dts, strict=True):
        a = alpha(10.0, dt_s)
        speed = a * (point - position) / dt_s + (1 - a) * speed
        a = alpha(1.5 + 0.02 * np.linalg.norm(speed), dt_s)
        position = a * point + (1 - a) * position
        rows.append(position)
    np.testing.assert_allclose(ours[:, :2], rows, rtol=1e-12)
    np.testing.assert_allclose(ours[1:, 2:], np.diff(rows, axis=0) / dts[:, None], rtol=1e-6, atol=1e-6)


def matrices(model: str, points: np.ndarray, dts: np.ndarray, noise: float, process: float, ahead_s: float):
    """Kalman's filter as the textbooks have it, with matrices; the covariance in Joseph's form."""
    size, r, q = (2, 3)[model == "acceleration"], noise**2, process**2

    def moved(dt_s: float) -> np.ndarray:
        return np.array(
            [
                [dt_s ** (j - i) / math.factorial(j - i) if j >= i else 0 for j in range(size)]
                for i in range(size)
            ]
        )

    def noise_of(dt_s: float) -> np.ndarray:  # the integral of exp(F s) G q G' exp(F s)' over the interval
        nodes, weights = np.polynomial.legendre.leggauss(6)
        total = np.zeros((size, size))
        for node, weight in zip(nodes, weights, strict=True):
            column = moved(dt_s * (node + 1) / 2)[:, -1]
            total += weight * dt_s / 2 * q * np.outer(column, column)
        return total

    start = {2: [r, q], 3: [r, q / 3, q]}[size]
    state, p = np.zeros((size, 2)), np.diag(start)
    state[0], h = points[0], np.eye(1, size)
    rows = []
    for point, dt_s in zip(points[1:], dts, strict=True):
        f = moved(dt_s)
        state, p = f @ state, f @ p @ f.T + noise_of(dt_s)
        k = p @ h.T / (h @ p @ h.T + r)
        state = state + k @ (point[None] - h @ state)
        joseph = np.eye(size) - k @ h
        p = joseph @ p @ joseph.T + r * k @ k.T
        rows.append((moved(ahead_s) @ state)[:2].ravel())
    return np.array(rows)


@pytest.mark.parametrize(("model", "process", "known"), [("velocity", 2e3, 3), ("acceleration", 1e5, 4)])
@pytest.mark.parametrize("latency_ms", [0.0, 12.0])
def test_kalman_is_the_matrix_form(model: str, process: float, known: int, latency_ms: float) -> None:
    points, dts = walk(3), irregular(4, 399)
    spec = KalmanSpec.model_validate(
        {"kind": "kalman", "model": model, "latency_ms": latency_ms, "noise_px": 0.7}
    )
    ours = fed(make_smoother(spec), points, dts)
    truth = matrices(model, points, dts, 0.7, process, latency_ms / 1e3)
    assert np.isnan(ours[: known - 1]).all()
    np.testing.assert_allclose(ours[known - 1 :], truth[known - 2 :], rtol=1e-7, atol=1e-5)


@pytest.mark.parametrize("model", ["velocity", "acceleration"])
def test_prediction_is_nearer_to_where_the_point_will_be_than_no_prediction(model: str) -> None:
    rate_hz, ahead = 200.0, 3  # 15 ms
    times = np.arange(3000) / rate_hz
    truth = np.stack([300 + 30 * np.sin(2 * np.pi * 2 * times), 200 + 15 * np.sin(2 * np.pi * 3 * times)], 1)
    seen = truth + np.random.default_rng(0).normal(0, 0.3, truth.shape)
    spec = {"kind": "kalman", "model": model, "latency_ms": 15, "noise_px": 0.3}
    made = make_smoother(KalmanSpec.model_validate(spec))
    ours = fed(made, seen, np.full(2999, 1 / rate_hz))[:, :2]

    def off(guess: np.ndarray) -> float:
        away = np.linalg.norm(guess[500:-ahead] - truth[500 + ahead :], axis=1)
        return float(np.sqrt(np.mean(away**2)))

    assert off(ours) < 0.5 * off(seen)
    away = np.linalg.norm(ours[2000:-ahead] - seen[2000 + ahead :], axis=1)
    assert made.error == pytest.approx(np.sqrt(np.mean(away**2)), rel=0.1)  # what it says of itself is true


def test_the_prediction_error_is_that_of_predictions_that_are_due() -> None:
    made = PredictionError(0.010, 1e9)
    made.start(0.0, 0.0)
    for index in range(1, 13):
        made.measured(4.0 * index, 0.0, 0.004)  # 1000 px/s
        made.predicted(4.0 * index, 3.0)  # that it stays, 3 px off to the side
    assert math.isnan(made.rms)  # ten of them must be due
    made.measured(52.0, 0.0, 0.004)
    assert made.rms == pytest.approx(math.hypot(10.0, 3.0))
    made.start(0.0, 0.0)
    made.measured(500.0, 0.0, 0.02)
    assert made.rms == pytest.approx(math.hypot(10.0, 3.0))  # nothing was predicted from before the start


@pytest.mark.parametrize("bridge_ms", [0.0, 40.0])
def test_ahead_of_a_kalman_filter_goes_on_in_a_line(bridge_ms: float) -> None:
    made = make_smoother(
        KalmanSpec.model_validate(
            {"kind": "kalman", "latency_ms": 0, "noise_px": 1e-3, "bridge_ms": bridge_ms}
        )
    )
    assert made.bridge_s == bridge_ms / 1e3
    assert all(map(math.isnan, made.ahead(0.1)))
    fed(made, np.stack([np.arange(50.0), np.zeros(50)], 1), np.full(49, 0.005))
    x, y, vx, vy = made.ahead(0.02)
    assert (x, y) == (pytest.approx(53.0, abs=0.05), pytest.approx(0.0, abs=1e-6))
    assert (vx, vy) == (pytest.approx(200.0, rel=0.01), pytest.approx(0.0, abs=1e-6))


def test_without_smoothing_all_is_as_measured() -> None:
    ours = fed(Unsmoothed(), np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([0.01]))
    np.testing.assert_allclose(ours[1], [3.0, 1.0, 200.0, -100.0])
    assert np.isnan(ours[0, 2:]).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1.0)), min_size=1, max_size=40))
def test_a_running_mean_that_forgets_nothing_is_the_mean(samples: list[tuple[float, float]]) -> None:
    made = RunningMean(1e12)
    made.update(123.0, 0.0, 0.0)
    for value, dt_s in samples:
        made.update(value, 0.0, dt_s)
    values, weights = np.array(samples).T
    assert made.x == pytest.approx(np.average(values, weights=weights), abs=1e-6)


def test_a_running_mean_forgets_exponentially() -> None:
    made = RunningMean(2.0)
    for _ in range(10_000):
        made.update(1.0, 1.0, 0.01)
    for _ in range(200):
        made.update(0.0, 0.0, 0.01)
    assert made.x == pytest.approx(math.exp(-1), rel=1e-3)
