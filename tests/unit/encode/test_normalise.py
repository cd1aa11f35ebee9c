from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtface.core.errors import UsageError
from rtface.encode.normalise import Normaliser, NormaliseRules, reference

RATE = 50.0


def walk(frames: int, seed: int = 0, points: int = 2, extras: int = 1) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    steps = random.normal(0, 0.5, (frames, 2 * points + extras))
    slow = np.cumsum(steps, axis=0)
    return 100 + 5 * np.sin(np.arange(frames)[:, None] / 9 + np.arange(slow.shape[1])) + 0.02 * slow


def made(raw: NDArray[np.float64], points: int = 2, **rules: Any) -> Normaliser:
    chosen = NormaliseRules(**rules)
    return Normaliser(chosen, points, RATE, *reference(raw, points, chosen))


def test_a_frozen_reference_is_a_plain_z_score() -> None:
    raw = walk(400)
    inputs = made(raw, memory_s=None).run(raw)
    np.testing.assert_allclose(inputs, (raw - raw.mean(0)) / raw.std(0), atol=1e-5)


def test_a_recording_is_the_same_frame_by_frame_and_at_once() -> None:
    raw = walk(300)
    raw[40:60] = np.nan
    raw[100, 0] += 80
    at_once = made(raw).run(raw)
    one = made(raw)
    assert np.array_equal(np.stack([one.step(row) for row in raw]), at_once)
    one.reset()
    assert np.array_equal(np.stack([one.step(row) for row in raw]), at_once)


def test_only_the_past_counts() -> None:
    raw = walk(300)
    other = raw.copy()
    other[200:] += 3
    normaliser = made(raw)
    first = normaliser.run(raw)
    normaliser.reset()
    second = normaliser.run(other)
    assert np.array_equal(first[:200], second[:200])
    assert not np.array_equal(first[200], second[200])


def test_a_jump_is_held_back_as_a_whole_point_and_the_rest_goes_on() -> None:
    raw = walk(200)
    clean = made(raw, memory_s=None).run(raw)
    raw[120, 1] += 60
    normaliser = made(walk(200), memory_s=None)
    inputs = [normaliser.step(row) for row in raw[:121]]
    assert normaliser.held.tolist() == [True, True, False, False, False]
    np.testing.assert_array_equal(inputs[120][:2], inputs[119][:2])
    np.testing.assert_allclose(inputs[120][2:], clean[120][2:], atol=1e-6)
    # The way back is a jump too; then all is as before.
    normaliser.step(raw[121])
    assert normaliser.held[:2].all()
    np.testing.assert_allclose(normaliser.step(raw[122]), clean[122], atol=1e-6)


def test_a_place_that_stays_far_off_is_believed_when_the_median_has_followed() -> None:
    raw = np.full((200, 2), 100.0)
    raw[100:] = 140.0
    normaliser = Normaliser(NormaliseRules(), 1, RATE, np.array([100.0, 100]), np.array([5.0, 5]))
    held = np.array([(normaliser.step(row), normaliser.held.all())[1] for row in raw])
    assert not held[:100].any()
    assert held[100:125].all()
    assert not held[127:].any()


def test_what_is_never_seen_is_at_the_mean() -> None:
    normaliser = made(walk(50))
    assert np.array_equal(normaliser.step(np.full(5, np.nan)), np.zeros(5, np.float32))
    assert normaliser.held.all()


def test_the_running_score_follows_a_camera_that_was_moved() -> None:
    raw = walk(6000)
    moved = raw + 20
    normaliser = made(raw, memory_s=20.0, reference_s=10.0)
    inputs = normaliser.run(moved)
    assert abs(inputs[:20].mean()) > 2
    assert abs(inputs[-1000:].mean()) < 0.3
    assert 0.7 < inputs[-1000:].std() < 1.4


def test_running_mean_and_variance_are_those_of_all_that_was_seen() -> None:
    raw = walk(500, points=0, extras=2)
    rules = NormaliseRules(memory_s=1e9, reference_s=1e-9)
    normaliser = Normaliser(rules, 0, RATE, np.zeros(2), np.ones(2))
    last = normaliser.run(raw)[-1]
    expected = (raw[-1] - raw.mean(0)) / raw.std(0)
    np.testing.assert_allclose(last, expected, rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(
            st.one_of(st.just(float("nan")), st.just(float("inf")), st.floats(-1e6, 1e6, width=32)),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=40,
    )
)
def test_inputs_are_always_finite_and_within_the_limit(rows: list[list[float]]) -> None:
    normaliser = Normaliser(NormaliseRules(memory_s=1.0), 1, RATE, np.zeros(3), np.ones(3))
    inputs = normaliser.run(np.array(rows))
    assert np.isfinite(inputs).all()
    assert np.abs(inputs).max() <= NormaliseRules().limit


def test_the_reference_leaves_outliers_out_and_survives_columns_without_life() -> None:
    raw = np.full((1000, 5), np.nan)
    raw[:, :2] = walk(1000)[:, :2]
    clean = raw[:, :2].mean(0), raw[:, :2].std(0)
    raw[::50, 0] += 500
    raw[:, 3] = 7.0
    mean, sd = reference(raw, 2, NormaliseRules())
    assert abs(mean[0] - clean[0][0]) < 0.3
    assert abs(sd[0] - clean[1][0]) < 0.3
    assert (mean[2], sd[2]) == (0, 1)
    assert (mean[3], sd[3]) == (7, 1)


def test_wrong_references_and_rules_are_refused() -> None:
    with pytest.raises(UsageError, match="shapes"):
        Normaliser(NormaliseRules(), 2, RATE, np.zeros(3), np.ones(3))
    with pytest.raises(UsageError, match="above 0"):
        Normaliser(NormaliseRules(), 1, RATE, np.zeros(2), np.zeros(2))
    with pytest.raises(UsageError, match="jump_px"):
        NormaliseRules(jump_px=0)
    with pytest.raises(UsageError, match="memory_s"):
        NormaliseRules(memory_s=-1)


def test_an_interruption_forgets_places_and_keeps_how_they_vary() -> None:
    raw = walk(600) + 8
    normaliser = made(walk(600), memory_s=5.0, reference_s=1.0)
    fresh = normaliser.run(raw[:1])
    normaliser.run(raw)
    normaliser.interrupt()
    moved = raw[-1] + 60
    inputs = normaliser.step(moved)
    assert not normaliser.held.any()  # no jump: nothing is known of where it was
    assert not np.array_equal(inputs, fresh[0])
    normaliser.interrupt()
    assert np.array_equal(normaliser.step(np.full(5, np.nan)), np.zeros(5, np.float32))
    going_on, anew = (
        made(walk(600), memory_s=5.0, reference_s=1.0),
        made(walk(600), memory_s=5.0, reference_s=1.0),
    )
    going_on.run(raw)
    going_on.interrupt()
    assert np.abs(going_on.step(raw[0])).mean() < np.abs(anew.step(raw[0])).mean()
