"""Whisking, blinks, licks and grooming against what is known: drawn movements, and the simulated mouse's own truth."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from support.feature_runs import MS, bank, column, every, run

from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.decide.features.events import Baseline
from rtface.decide.features.whisking import Axis
from rtface.simulate.face import MouseFace
from rtface.simulate.motion import MousePose

RATE_HZ = 200.0


def whisking(
    position: np.ndarray, angle_deg: float, times: np.ndarray, **settings: Any
) -> dict[str, np.ndarray]:
    """Return the whisking features of a point that moves along a line."""
    angle = np.radians(angle_deg)
    xy = 200 + position[:, None] * [np.cos(angle), np.sin(angle)]
    made = bank(["pad"], RATE_HZ, pad={"kind": "whisking", "point": "pad", **settings})
    values, *_ = run(made, xy[:, None], times)
    return {name.removeprefix("pad."): values[:, index] for index, name in enumerate(made.names)}


@pytest.mark.parametrize("angle_deg", [0.0, 35.0, 160.0])
@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_a_chirp_of_known_amplitude_and_frequency_is_found(angle_deg: float, lost: float) -> None:
    times = np.arange(4000) / RATE_HZ
    frequency = 9 + 9 * times / 20
    amplitude = 3 + 2 * np.sin(2 * np.pi * 0.2 * times)
    phase = 2 * np.pi * np.cumsum(frequency) / RATE_HZ
    kept = np.random.default_rng(0).random(4000) >= lost
    ours = whisking((amplitude * np.cos(phase))[kept], angle_deg, every(RATE_HZ, 4000)[kept])
    middle = slice(int(800 * (1 - lost)), None)
    truth_a, truth_f = amplitude[kept][middle], frequency[kept][middle]
    assert np.median(np.abs(ours["amplitude"][middle] / truth_a - 1)) < 0.05
    assert np.quantile(np.abs(ours["amplitude"][middle] / truth_a - 1), 0.95) < 0.15
    assert np.median(np.abs(ours["frequency"][middle] / truth_f - 1)) < 0.03
    assert np.quantile(np.abs(ours["frequency"][middle] / truth_f - 1), 0.95) < 0.1


@pytest.mark.parametrize("hz", [9.0, 13.0, 18.0])
def test_a_steady_sine_within_the_band_is_told_exactly(hz: float) -> None:
    times = np.arange(2000) / RATE_HZ
    ours = whisking(5 * np.sin(2 * np.pi * hz * times), 0.0, every(RATE_HZ, 2000))
    low, high = 6.0, 30.0
    # gain of the analogue Butterworth band-pass of order 2 at the warped frequency
    w, wl, wh = (2 * RATE_HZ * np.tan(np.pi * each / RATE_HZ) for each in (hz, low, high))
    gain = 1 / np.sqrt(1 + ((w * w - wl * wh) / (w * (wh - wl))) ** 4)
    assert ours["amplitude"][-400:] == pytest.approx(5 * gain, rel=0.005)
    assert ours["frequency"][-400:] == pytest.approx(hz, rel=0.01)
    assert np.mean(ours["frequency"][-400:]) == pytest.approx(hz, rel=0.001)
    assert np.std(ours["amplitude"][-400:]) < 0.02


def test_the_set_point_follows_a_slow_shift_and_not_the_rhythm() -> None:
    times = np.arange(6000) / RATE_HZ
    slow = np.where(times > 20, 6.0, 0.0)
    ours = whisking(slow + 4 * np.sin(2 * np.pi * 12 * times), 0.0, every(RATE_HZ, 6000), reference_s=1000)
    before, after = ours["setpoint"][3800:3990], ours["setpoint"][4200:4400]
    assert np.mean(after) - np.mean(before) == pytest.approx(6.0, abs=0.5)
    assert np.std(before) < 0.3


def test_a_still_pad_has_no_frequency_and_a_gap_forgets_the_rhythm() -> None:
    times = every(RATE_HZ, 1200)
    moving = 4 * np.sin(2 * np.pi * 12 * np.arange(1200) / RATE_HZ)
    assert np.isnan(whisking(np.zeros(1200), 0.0, times)["frequency"]).all()
    assert whisking(np.zeros(1200), 0.0, times)["amplitude"][-1] == pytest.approx(0, abs=1e-9)
    late = times.copy()
    late[600:] += 200 * MS
    ours = whisking(moving, 0.0, late)
    unknown = np.isnan(ours["amplitude"])
    warm_up = round(2 / 6.0 * RATE_HZ)
    assert not unknown[warm_up + 2 : 600].any()
    assert unknown[600 : 600 + warm_up - 1].all()
    assert not unknown[600 + warm_up + 2 :].any()


def test_a_known_axis_leaves_out_what_is_across() -> None:
    times = np.arange(1500) / RATE_HZ
    ours = whisking(4 * np.sin(2 * np.pi * 12 * times), 90.0, every(RATE_HZ, 1500), axis_deg=0.0)
    assert ours["amplitude"][-1] == pytest.approx(0, abs=1e-6)
    ours = whisking(4 * np.sin(2 * np.pi * 12 * times), 60.0, every(RATE_HZ, 1500), axis_deg=0.0)
    assert ours["amplitude"][-100:] == pytest.approx(2, rel=0.02)


def test_the_axis_is_the_principal_one_and_keeps_its_sense_while_it_turns() -> None:
    made, rng = Axis(0.5, None), np.random.default_rng(0)
    senses = []
    for index in range(4000):
        angle = np.pi * index / 2000  # a whole turn of the axis, and one more
        along, across = rng.normal(0, 3), rng.normal(0, 0.5)
        made.update(
            along * np.cos(angle) - across * np.sin(angle),
            along * np.sin(angle) + across * np.cos(angle),
            0.005,
        )
        senses.append((made.x, made.y))
    steps = np.sum(np.array(senses[1:]) * senses[:-1], axis=1)
    assert steps[200:].min() > 0.9
    settled, scatter = Axis(2.0, None), rng.normal(0, 1, (3000, 2)) @ np.array([[3, 1], [1, 1.0]])
    for x, y in scatter:
        settled.update(x, y, 0.005)
    principal = np.linalg.eigh(np.cov(scatter[-1200:].T))[1][:, -1]
    assert abs(np.dot(principal, (settled.x, settled.y))) > 0.99


@cache
def mouse(seed: int, frames: int = 5000) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[MousePose]]:
    """Return a simulated mouse's keypoints as a tracker would find them, scores, times, and what it did."""
    face, rng = MouseFace(640, 480, RATE_HZ, seed), np.random.default_rng(seed)
    xy = np.stack([face.truth(index) for index in range(frames)]).astype(float)
    hidden = np.isnan(xy[..., 0])
    xy += rng.normal(0, 0.3, xy.shape)
    xy[hidden] = rng.uniform(100, 400, (int(hidden.sum()), 2))  # a network says something everywhere
    return (
        xy,
        np.where(hidden, 0.05, 0.95),
        every(RATE_HZ, frames),
        [face._pose(each) for each in range(frames)],
    )


def runs(state: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last + 1 of each stretch that is True."""
    edges = np.flatnonzero(np.diff(np.r_[False, state, False].astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.parametrize("seed", [1, 2])
def test_each_blink_of_a_simulated_mouse_is_found_and_no_other(seed: int) -> None:
    xy, score, times, poses = mouse(seed)
    made = bank(FACEMAP_KEYPOINTS, RATE_HZ, eye={"kind": "blink"})
    values, *_ = run(made, xy, times, score)
    found, closure = runs(values[:, 0] == 1), np.array([each.eye_closure for each in poses])
    truth = [each for each in runs(closure > 0.6) if each[0] > RATE_HZ]
    assert len(truth) >= 3
    assert len(found) == len(truth)
    for (begin, end), (first, last) in zip(truth, found, strict=True):
        assert abs(first - begin) <= 6  # 30 ms
        assert abs(last - end) <= 6


def test_the_opening_is_the_area_over_that_of_the_open_eye() -> None:
    half_height = np.full(3000, 10.0)
    half_height[1000:1030] = 2.0
    half_height[2000:] = 8.0  # a squint is not a blink
    corners = np.array([[-20, 0], [0, -1], [20, 0], [0, 1.0]])
    xy = 100 + corners * np.stack([np.ones(3000), half_height], 1)[:, None]
    made = bank(FACEMAP_KEYPOINTS[:4], RATE_HZ, eye={"kind": "blink", "points": FACEMAP_KEYPOINTS[:4]})
    values, *_ = run(made, xy, every(RATE_HZ, 3000))
    assert np.isnan(values[:200]).all()
    assert values[900, 1] == pytest.approx(1.0)
    assert values[1010, 1] == pytest.approx(0.2, abs=0.01)
    assert runs(values[:, 0] == 1) == [(1000, 1030)]
    assert values[2010, 1] == pytest.approx(0.8, abs=0.02)


def test_a_blink_ends_above_another_opening_than_it_begins_below() -> None:
    openings = [*[1.0] * 400, 0.6, 0.55, 0.45, 0.6, 0.64, 0.7, 0.6]
    corners = np.array([[-20, 0], [0, -10], [20, 0], [0, 10.0]])
    xy = 100 + corners * np.stack([np.ones(407), np.array(openings)], 1)[:, None]
    made = bank("abcd", RATE_HZ, eye={"kind": "blink", "points": [*"abcd"]})
    values, *_ = run(made, xy, every(RATE_HZ, 407))
    assert values[400:, 0].tolist() == [0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("high", [True, False])
def test_the_baseline_is_the_level_at_rest(high: bool) -> None:
    rng = np.random.default_rng(0)
    level = rng.normal(100, 1, 60_000)
    level[rng.random(60_000) < 0.1] += -60 if high else 60
    made = Baseline(20.0, high)
    for value in level.tolist():
        made.update(value, 0.005)
    assert made.level == pytest.approx(100, abs=4)
    start = Baseline(20.0, high)
    start.update(40.0 if high else 160.0, 0.0)  # a start amid an event
    for _ in range(200):
        start.update(100.0, 0.005)
    assert start.level == pytest.approx(100, abs=1)


@pytest.mark.parametrize("seed", [1, 2])
def test_rhythmic_openings_of_a_simulated_mouse_s_mouth_are_found_and_drifts_are_not(seed: int) -> None:
    xy, score, times, poses = mouse(seed)
    made = bank(FACEMAP_KEYPOINTS, RATE_HZ, mouth={"kind": "lick"})
    values, *_ = run(made, xy, times, score)
    found = values[:, 0] == 1
    jaw, tongue = np.array([each.jaw for each in poses]), np.array([each.tongue for each in poses])
    chew = (jaw[:, 1] - 10 * tongue - 5 / 6 * jaw[:, 0]) / (12 - 10 / 3)
    rhythm = np.maximum(tongue, chew)
    strong = [each for each in runs(tongue > 0.8) if each[0] > 300]
    assert len(strong) > 20
    assert np.mean([found[max(0, begin - 20) : end + 20].any() for begin, end in strong]) > 0.7
    bouts = [each for each in runs(np.convolve(tongue > 0.8, np.ones(61), "same") > 0) if each[0] > 300]
    assert len(bouts) >= 2
    assert all(found[begin:end].any() for begin, end in bouts if end - begin > RATE_HZ / 2)
    active = np.convolve(rhythm > 0.05, np.ones(201), "same") > 0  # half a second to both sides
    assert (~active).sum() > 500
    assert found[~active].mean() < 0.05


@pytest.mark.parametrize("seed", [1, 2])
def test_grooming_is_a_paw_that_is_seen_at_the_mouth(seed: int) -> None:
    xy, score, times, _ = mouse(seed)
    near = 90.0
    made = bank(FACEMAP_KEYPOINTS, RATE_HZ, groom={"kind": "groom", "near_px": near})
    values, scores, exposures = run(made, xy, times, score)
    paw, mouth = FACEMAP_KEYPOINTS.index("paw"), FACEMAP_KEYPOINTS.index("mouth")
    points = xy.astype(np.float32).astype(float)
    distance = np.linalg.norm(points[:, paw] - points[:, mouth], axis=1)
    seen = score[:, paw] > 0.5
    on, truth = False, []
    for far, visible in zip(distance, seen, strict=True):
        on = bool(visible and (far <= 1.2 * near if on else far < near))
        truth.append(on)
    assert sum(truth) > 20
    np.testing.assert_array_equal(values[:, 0], truth)
    assert np.isnan(values[~seen, 1]).all()
    assert scores[~seen, 0] == pytest.approx(0.95)  # as sure of that as 1 less the paw's score
    assert (exposures == times[:, None]).all()
    unseeable = xy.copy()
    unseeable[:, paw] = np.nan  # an engine that was never trained on paws
    values, scores, _ = run(
        bank(FACEMAP_KEYPOINTS, groom={"kind": "groom", "near_px": near}), unseeable, times, 0.9
    )
    assert np.isnan(values).all()
    assert column(made, "groom.groom") == 0
    assert (scores == 0).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_whisking_of_a_simulated_mouse_is_found_in_its_bouts(seed: int) -> None:
    xy, score, times, _ = mouse(seed)
    made = bank(FACEMAP_KEYPOINTS, RATE_HZ, pad={"kind": "whisking", "point": ["whisker(I)", "whisker(II)"]})
    values, *_ = run(made, xy, times, score)
    amplitude, frequency = values[:, 0], values[:, 1]
    envelope, true_hz = _bouts(seed, len(times))
    assert np.nanmedian(amplitude[envelope > 0.8]) > 8 * np.nanmedian(amplitude[envelope == 0])
    assert np.nanmedian(frequency[envelope > 0.8]) == pytest.approx(true_hz, rel=0.1)
    inside = np.isfinite(amplitude)
    assert np.corrcoef(amplitude[inside], envelope[inside])[0, 1] > 0.9


def _bouts(seed: int, frames: int) -> tuple[np.ndarray, float]:
    """Return the envelope of a simulated mouse's whisking, from 0 to 1, and its frequency."""
    from rtface.simulate import motion

    of = MouseFace(640, 480, RATE_HZ, seed)._motion
    row = list(motion._BANDS_HZ).index("whisk")
    times = np.arange(frames) / RATE_HZ
    slow = np.sin(of._omega[row] * times[:, None] + of._phase[row]).sum(1) * np.sqrt(2 / motion._COMPONENTS)
    return np.array([motion._bout(each) for each in slow]), of._whisk_hz
