from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra `analyse` is not installed")

from rtface.analyse.behaviour import tracked_behaviour
from rtface.analyse.forecast import compare, fit_forecaster, group_keypoints
from rtface.core.errors import UsageError
from rtface.record.formats import read

NAMES = ("eye(top)", "nose(tip)", "whisker(I)")


def moving(frames: int = 4000, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A slow eye, a nose that rings at 4 Hz, whiskers at 12 Hz, all with wandering phases, at 100 frames a second."""
    rng = np.random.default_rng(seed)
    xy = np.empty((frames, 3, 2))
    for point, hz in enumerate((0.5, 4.0, 12.0)):
        phase = 2 * np.pi * hz * np.arange(frames) / 100 + np.cumsum(rng.normal(0, 0.05, frames))
        xy[:, point] = 100 + 8 * np.stack([np.sin(phase), np.cos(phase)], axis=1)
    return xy + noise * rng.standard_normal(xy.shape), xy


def test_the_forecast_beats_the_last_position_and_the_kalman_filter() -> None:
    seen, truth = moving()
    result = compare(seen, NAMES, 100.0, (1, 2, 4, 8, 40), truth)
    assert result.groups == ("eye", "whisker", "nose")
    assert (result.forecast > result.hold)[1:, :4].all()
    assert (result.forecast > result.kalman)[1:, 1:4].all()
    whisker = result.groups.index("whisker")
    assert result.forecast[whisker, 1] > 0.9
    assert result.hold[whisker, 2] < 0  # half a whisk later
    assert result.seconds.tolist() == [0.01, 0.02, 0.04, 0.08, 0.4]


def test_the_kalman_filter_is_that_of_the_live_path() -> None:
    frames = np.arange(2000)
    xy = np.stack([np.stack([0.4 * frames, 100 - 0.2 * frames], axis=1)] * 3, axis=1).astype(float)
    result = compare(xy, NAMES, 50.0, (1, 10))
    assert result.kalman == pytest.approx(1, abs=1e-4)  # a straight line is foreseen
    assert (result.hold < result.kalman).all()


def test_slow_groups_are_foreseen_for_longer() -> None:
    seen, _ = moving(8000)
    lags = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377)
    half = dict(zip(NAMES, compare(seen, NAMES, 100.0, lags).half_s[[0, 2, 1]], strict=True))
    assert np.nan_to_num(half["eye(top)"], nan=9) > 0.05
    noise = np.random.default_rng(0).standard_normal((4000, 3, 2))
    assert np.isnan(compare(noise, NAMES, 100.0, (1, 2, 5)).half_s).all()


def test_no_forecast_looks_ahead() -> None:
    seen, _ = moving(1500)
    flat = seen.reshape(1500, -1)
    forecaster = fit_forecaster(flat[:1000], 5)
    whole = forecaster.predict(flat)
    changed = flat.copy()
    changed[1200:] += 50
    assert (forecaster.predict(changed)[:1200] == whole[:1200]).all()
    assert np.abs(forecaster.predict(changed)[1200] - whole[1200]).max() > 1


def test_groups_follow_the_names() -> None:
    assert group_keypoints(("mouth", "lowerlip", "paw", "nose(tip)")) == {"nose": [3], "mouth": [0, 1]}
    assert group_keypoints(("hand", "tongue")) == {"all": [0, 1]}


def test_a_forecast_that_has_learned_nothing_stays_put() -> None:
    walk = np.cumsum(np.random.default_rng(1).standard_normal((1100, 3, 2)), axis=0)
    result = compare(walk, NAMES, 60.0, (1, 3))
    assert (result.forecast > result.hold - 0.1).all()


def test_on_real_paws_it_is_no_worse_than_staying_put(shared_data: Path) -> None:
    for path in sorted((shared_data / "ibl_keypoint_traces" / "ibl-paw").glob("*right*.csv"))[:2]:
        behaviour = tracked_behaviour(read(path), 150.0)
        result = compare(behaviour.xy, behaviour.names, 150.0, (1, 2, 3, 5, 8))
        assert (result.forecast > result.hold - 0.05).all()
        assert (result.forecast >= result.kalman - 0.03).all()


def test_recordings_that_foretell_nothing_are_refused() -> None:
    seen, _ = moving(1500)
    with pytest.raises(UsageError, match="too few"):
        compare(seen[:500], NAMES, 100.0)
    with pytest.raises(UsageError, match="2 names for 3"):
        compare(seen, NAMES[:2], 100.0)
    seen[5, 0, 0] = np.nan
    with pytest.raises(UsageError, match="NaN"):
        compare(seen, NAMES, 100.0)
    with pytest.raises(UsageError, match="lag"):
        fit_forecaster(np.ones((200, 2)), 100)
