"""The bank of features: geometry, masks, gaps, order, causality, cost; each against plain numpy."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.feature_runs import MS, bank, column, every, pose, run, spec
from support.paths import DOCS

from rtface.config.yamlfile import kinds_of
from rtface.core.errors import UsageError
from rtface.core.features import NEVER_NS
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.decide.errors import RulesError
from rtface.decide.features.bank import FeatureBank
from rtface.decide.features.specs import FeatureSpec, Smoothed

POINTS = ("a", "b", "c", "d")
RATE_HZ = 200.0
KINDS = kinds_of(FeatureSpec)
FEATURES_OF_THE_PAGE = (
    (DOCS / "rules.md").read_text("utf-8").partition("\n## Features\n")[2].partition("\n## ")[0]
)
ROWS_OF_THE_PAGE = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", FEATURES_OF_THE_PAGE, re.MULTILINE)


def jitter(frames: int, points: int = 4, seed: int = 0) -> np.ndarray:
    """Return points that wander, shape (frames, points, 2), float32 values."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 2, (frames, points, 2))
    return (rng.uniform(50, 200, (points, 2)) + np.cumsum(steps, axis=0)).astype(np.float32).astype(float)


EVERYTHING: dict[str, dict[str, Any]] = {
    "position": {"kind": "position", "point": "a"},
    "velocity": {"kind": "velocity", "point": "a", "smooth": {"kind": "kalman"}},
    "speed": {"kind": "speed", "point": "b", "smooth": {"kind": "kalman", "model": "acceleration", "bridge_ms": 20}},
    "distance": {"kind": "distance", "points": ["a", "b"], "smooth": {"kind": "one_euro"}},
    "angle": {"kind": "angle", "points": ["a", "b"]},
    "corner": {"kind": "angle", "points": ["a", "b", "c"]},
    "area": {"kind": "area", "points": POINTS},
    "motion": {"kind": "motion"},
    "pad": {"kind": "whisking", "point": ["a", "b"], "band_hz": [6, 30]},
    "blink": {"kind": "blink", "points": POINTS},
    "lick": {"kind": "lick", "points": ["a", "b"]},
    "groom": {"kind": "groom", "paw": "a", "mouth": "b", "near_px": 30},
}  # fmt: skip
"""Every kind of feature over the four points, by name."""


def everything() -> FeatureBank:
    return bank(POINTS, RATE_HZ, **EVERYTHING)


def test_every_kind_is_held_to_this() -> None:
    """To causality, constant cost, units, and the row of its kind in docs/rules.md."""
    assert {each["kind"] for each in EVERYTHING.values()} == set(KINDS)
    assert [kind for kind, _, _ in ROWS_OF_THE_PAGE] == list(KINDS)


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_page_has_a_row_of_each_kind_with_its_settings_values_and_units(name: str) -> None:
    settings, told = next(row[1:] for row in ROWS_OF_THE_PAGE if row[0] == EVERYTHING[name]["kind"])
    fields = set(KINDS[EVERYTHING[name]["kind"]].model_fields) - set(Smoothed.model_fields) - {"kind"}
    assert set(re.findall(r"`(\w+)`", settings)) == fields
    made = bank(
        POINTS, RATE_HZ, it=EVERYTHING[name] | ({"smooth": None} if "smooth" in EVERYTHING[name] else {})
    )
    values = dict(zip(made.names, made.units, strict=True))
    assert re.findall(r"`\.(\w+)`", told) == [value.removeprefix("it.") for value in values]
    for value, unit in values.items():
        assert unit == "1" or re.search(rf"`{value.removeprefix('it')}` {re.escape(unit)}\b", told), value


def test_the_page_names_the_kinds_that_can_be_smoothed() -> None:
    (told,) = re.findall(r"^\*\*Smoothing\*\* of the points of (.*?): ", FEATURES_OF_THE_PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", told) == [
        kind for kind, each in KINDS.items() if issubclass(each, Smoothed)
    ]


def polygon(corners: np.ndarray) -> float:
    """Return the area by cutting into triangles from the centre (for corners in convex order)."""
    x, y = corners.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def test_geometry_is_that_of_numpy() -> None:
    xy, times = jitter(60), every(RATE_HZ, 60)
    made = everything()
    values, _, exposures = run(made, xy, times)
    of = {name: values[:, index] for index, name in enumerate(made.names)}
    np.testing.assert_allclose(np.stack([of["position.x"], of["position.y"]], 1), xy[:, 0], rtol=1e-12)
    line = xy[:, 1] - xy[:, 0]
    np.testing.assert_allclose(of["angle.angle"], np.degrees(np.arctan2(line[:, 1], line[:, 0])), rtol=1e-9)
    other = xy[:, 2] - xy[:, 1]
    cosine = -np.sum(line * other, 1) / np.linalg.norm(line, axis=1) / np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(of["corner.angle"], np.degrees(np.arccos(cosine)), rtol=1e-6)
    np.testing.assert_allclose(of["area.area"], [polygon(each) for each in xy], rtol=1e-9)
    speeds = np.linalg.norm(np.diff(xy, axis=0), axis=2) * RATE_HZ
    np.testing.assert_allclose(of["motion.motion"][1:], speeds.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(of["groom.distance"], np.linalg.norm(line, axis=1), rtol=1e-12)
    assert (exposures[5:] == times[5:, None]).all()


def test_every_name_has_a_unit() -> None:
    made = everything()
    units = dict(zip(made.names, made.units, strict=True))
    assert units["position.x"] == units["pad.amplitude"] == units["velocity.prediction_error"] == "px"
    assert units["velocity.vx"] == units["speed.speed"] == units["motion.motion"] == "px/s"
    assert (units["area.area"], units["angle.angle"], units["pad.frequency"]) == ("px2", "deg", "Hz")
    assert units["blink.blink"] == units["blink.opening"] == units["lick.gape"] == "1"
    assert len(set(made.names)) == len(made.names) == len(made.newest.values)


@pytest.mark.parametrize(("a", "b", "c", "degrees"), [
    ((1, 0), (0, 0), (0, 1), 90), ((1, 0), (0, 0), (-1, 0), 180), ((1, 0), (0, 0), (2, 0), 0),
    ((1, 0), (0, 0), (0, 0), None),
])  # fmt: skip
def test_the_angle_at_a_corner(a: Any, b: Any, c: Any, degrees: float | None) -> None:
    made = bank("abc", corner={"kind": "angle", "points": ["a", "b", "c"]})
    (found,) = made.update(pose([a, b, c], 0)).values
    assert found == pytest.approx(degrees) if degrees is not None else np.isnan(found)


def test_the_motion_index_weighs_by_score_and_needs_enough_points() -> None:
    made = bank(POINTS, motion={"kind": "motion", "min_seen": 0.5})
    xy = np.zeros((3, 4, 2))
    xy[1:, 0, 0], xy[1:, 1, 1] = 3, 4  # 600 and 800 px/s in the second frame
    score = np.array([[0.5, 1, 0.1, 0.1], [0.5, 1, 0.1, 0.1], [0.5, 0.1, 0.1, 0.1]])
    values, scores, _ = run(made, xy, every(RATE_HZ, 3), score)
    assert np.isnan(values[0, 0])
    assert values[1, 0] == pytest.approx((0.5 * 600 + 1 * 800) / 1.5)
    assert scores[1, 0] == 0.5
    assert np.isnan(values[2, 0])
    assert scores[2, 0] == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, "score", "score nan"])
def test_what_is_not_seen_is_unknown_with_its_score_and_the_age_of_what_was_seen(bad: Any) -> None:
    made = bank(POINTS, spot={"kind": "position", "point": "a"}, speed={"kind": "speed", "point": "a"})
    xy, score = jitter(4), np.full((4, 4), 0.9)
    if isinstance(bad, str):
        score[2, 0] = 0.2 if bad == "score" else np.nan
    else:
        xy[2, 0, 0] = bad
    times = every(RATE_HZ, 4)
    values, scores, exposures = run(made, xy, times, score)
    assert np.isnan(values[2]).all()
    assert scores[2] == pytest.approx([0.2 if bad == "score" else 0] * 3, abs=1e-6)
    assert (exposures[2] == times[1]).all()
    np.testing.assert_allclose(values[3, :2], xy[3, 0])
    assert values[3, 2] == pytest.approx(np.linalg.norm(xy[3, 0] - xy[1, 0]) / 0.010)  # over both intervals
    assert (exposures[3] == times[3]).all()


def test_before_anything_is_seen_the_age_is_beyond_any_limit() -> None:
    made = bank(POINTS, spot={"kind": "position", "point": "a"})
    assert (made.newest.exposure_ns == NEVER_NS).all()
    _, scores, exposures = run(made, jitter(1), [5], 0.1)
    assert (exposures == NEVER_NS).all()
    assert np.isfinite(np.int64(1 << 62) - exposures.astype(float)).all()
    assert scores[0] == pytest.approx([0.1, 0.1])


def test_smoothing_starts_afresh_after_a_gap_and_not_before() -> None:
    smooth = {"kind": "one_euro", "min_cutoff_hz": 0.1, "beta": 0}
    made = bank("a", spot={"kind": "position", "point": "a", "max_gap_ms": 50, "smooth": smooth})
    near = [made.update(pose([(x, 0)], time * MS)).values[0] for time, x in ((0, 0), (5, 0), (55, 100))]
    assert near[-1] < 20
    assert made.update(pose([(100, 0)], 106 * MS)).values[0] == 100


def test_a_kalman_filter_bridges_what_is_not_seen_for_so_long_and_says_how_old_it_is() -> None:
    smooth = {"kind": "kalman", "latency_ms": 0, "noise_px": 0.01, "bridge_ms": 20}
    made = bank("a", spot={"kind": "position", "point": "a", "smooth": smooth})
    for index in range(40):
        made.update(pose([(index, 0)], 5 * MS * index))
    for index in range(40, 44):
        found = made.update(pose([(999, 0)], 5 * MS * index, score=0.1))
        assert found.values[0] == pytest.approx(index, abs=0.1)
        assert (found.exposure_ns[0], found.scores[0]) == (5 * MS * 39, 1)
    found = made.update(pose([(999, 0)], 5 * MS * 44, score=0.1))
    assert np.isnan(found.values[0])
    assert found.scores[0] == pytest.approx(0.1)


def test_the_prediction_error_is_that_of_the_worst_point() -> None:
    smooth = {"kind": "kalman", "latency_ms": 10, "noise_px": 0.1}
    made = bank("ab", far={"kind": "distance", "points": ["a", "b"], "smooth": smooth},
                one={"kind": "position", "point": "b", "smooth": smooth})  # fmt: skip
    xy = np.zeros((300, 2, 2))
    xy[:, 1, 0] = 40 * np.sin(np.arange(300) * 0.2)
    values, _, _ = run(made, xy, every(RATE_HZ, 300))
    assert made.names == ("far.distance", "far.prediction_error", "one.x", "one.y", "one.prediction_error")
    assert values[-1, 1] == values[-1, 4] > 0.5


@pytest.mark.parametrize("back_ms", [0, 1, 400, 999])
def test_a_frame_that_is_not_newer_is_left_out(back_ms: int) -> None:
    xy, times = jitter(300), every(RATE_HZ, 300, 10**9)
    one, other = everything(), everything()
    expected, *_ = run(one, xy, times)
    rows = []
    for index, (each, now_ns) in enumerate(zip(xy, times.tolist(), strict=True)):
        rows.append(other.update(pose(each, now_ns, frame_id=index)).values.copy())
        late = other.update(pose(each + 50, now_ns - back_ms * MS, frame_id=index))
        np.testing.assert_array_equal(late.values, rows[-1])
    np.testing.assert_array_equal(rows, expected)


def test_a_frame_of_long_ago_is_a_new_recording_and_reset_forgets_all() -> None:
    xy = jitter(300)
    fresh, *_ = run(everything(), xy, every(RATE_HZ, 300, 5 * MS))
    again = everything()
    run(again, jitter(300, seed=1), every(RATE_HZ, 300, 10**10))
    np.testing.assert_array_equal(run(again, xy, every(RATE_HZ, 300, 5 * MS))[0], fresh)
    again.reset()
    assert np.isnan(again.newest.values).all()
    np.testing.assert_array_equal(run(again, xy, every(RATE_HZ, 300, 5 * MS))[0], fresh)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_the_past_does_not_depend_on_the_future_whatever_is_lost_or_bad(seed: int, known: int) -> None:
    rng = np.random.default_rng(seed)
    xy, times = jitter(250, seed=seed), np.cumsum(rng.choice([5, 5, 5, 5, 10, 60, 0, -3], 250)) * MS
    score = rng.choice([1, 1, 1, 0.1], (250, 4))
    xy[rng.random((250, 4)) < 0.02] = np.nan
    one = run(everything(), xy, times, score)
    other_xy, other_score = xy.copy(), score.copy()
    other_xy[known:] += rng.normal(0, 100, other_xy[known:].shape)
    other_score[known:] = rng.random(other_score[known:].shape)
    other = run(everything(), other_xy, times, other_score)
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours[:known], theirs[:known])
    for values in (one[0], one[1]):
        assert not np.isinf(values).any()
    assert ((one[1] >= 0) & (one[1] <= 1)).all()
    assert (one[2] <= np.maximum.accumulate(times)[:, None]).all()


def lines(call: Callable[[], object]) -> int:
    """Return how many lines of rtface run in a call."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_a_frame_costs_the_same_however_many_came_before() -> None:
    made, xy, times = everything(), jitter(4000), every(RATE_HZ, 4000)
    costs = {}
    for index in range(4000):
        each = pose(xy[index], int(times[index]))
        if index in (500, 501, 502, 3990, 3991, 3992):
            costs[index] = lines(lambda each=each: made.update(each))
        else:
            made.update(each)
    assert max(costs.values()) < 1.1 * min(costs.values())


def test_features_that_ask_for_the_same_points_share_the_smoothing() -> None:
    smooth = {"kind": "kalman"}
    alone = bank("ab", x={"kind": "position", "point": "a", "smooth": smooth})
    both = bank("ab", x={"kind": "position", "point": "a", "smooth": smooth},
                y={"kind": "position", "point": "a", "smooth": smooth})  # fmt: skip
    for made in (alone, both):
        for index in range(5):
            made.update(pose([(index, 0), (0, 0)], index * 5 * MS))
    first = pose([(9, 0), (0, 0)], 25 * MS)
    assert lines(lambda: both.update(first)) < 1.6 * lines(lambda: alone.update(first))


@pytest.mark.parametrize(("features", "rate_hz", "message"), [
    ({"x": {"kind": "position", "point": "nose"}}, None, "features.x: nose is not a keypoint of this engine; there are: a, b"),
    ({"x": {"kind": "whisking", "point": "a"}}, None, "features.x.band_hz: a rhythm needs"),
    ({"x": {"kind": "lick", "points": ["a", "b"]}}, 40.0, "features.x.band_hz: 20 Hz cannot be measured at 40"),
    ({"x": {"kind": "whisking", "point": "a", "setpoint_hz": 90}}, 150.0, "90 Hz cannot be measured"),
    ({"2x": {"kind": "position", "point": "a"}}, None, "features.2x: a feature's name"),
    ({"rule": {"kind": "position", "point": "a"}}, None, "features.rule: rule and neural mean"),
])  # fmt: skip
def test_what_does_not_fit_engine_or_camera_is_refused(
    features: Any, rate_hz: float | None, message: str
) -> None:
    with pytest.raises(RulesError) as caught:
        FeatureBank({name: spec(**each) for name, each in features.items()}, ("a", "b"), rate_hz)
    assert message in str(caught.value)


def test_the_nearest_keypoint_is_named() -> None:
    with pytest.raises(RulesError, match=r"did you mean nose\(tip\)"):
        bank(FACEMAP_KEYPOINTS, x={"kind": "speed", "point": "nose tip"})


def test_a_pose_of_another_engine_is_refused() -> None:
    with pytest.raises(UsageError, match="a pose of 2 keypoints for features of 4"):
        everything().update(pose([(0, 0), (1, 1)], 0))


def test_real_traces_with_what_trackers_do(shared_data: Path) -> None:
    """Paw of a real recording: what is known is what pandas says, likelihood masks, and times are the camera's."""
    import pandas as pd

    folder = shared_data / "ibl_keypoint_traces" / "ibl-paw"
    name = "3f859b5c-e73a-4044-b49e-34bb81e96715"
    if not (source := folder / f"{name}.left.rng=0.csv").is_file():
        pytest.skip("the real traces are not there")
    table = pd.read_csv(source, header=[0, 1, 2], index_col=0).droplevel(0, axis=1).iloc[:4000]
    times = (np.load(folder / f"{name}.timestamps.left.npy")[: len(table)] * 1e9).astype(np.int64)
    points = np.stack([table[part][["x", "y"]].to_numpy() for part in ("paw_l", "paw_r")], 1)
    score = np.stack([table[part]["likelihood"].to_numpy() for part in ("paw_l", "paw_r")], 1)
    made = bank(("paw_l", "paw_r"), 1e9 / np.median(np.diff(times)),
                speed={"kind": "speed", "point": "paw_l", "min_score": 0.9},
                apart={"kind": "distance", "points": ["paw_l", "paw_r"], "min_score": 0.9},
                next={"kind": "position", "point": "paw_l", "min_score": 0.9,
                      "smooth": {"kind": "kalman", "latency_ms": 20, "noise_px": 0.5}})  # fmt: skip
    values, _, _ = run(made, points, times, score)
    points = points.astype(np.float32).astype(float)
    seen = (score.astype(np.float32) >= 0.9).all(axis=1)
    apart = np.linalg.norm(points[:, 0] - points[:, 1], axis=1)
    np.testing.assert_allclose(values[seen, column(made, "apart.distance")], apart[seen], rtol=1e-9)
    assert np.isnan(values[~seen, column(made, "apart.distance")]).all()
    steady = seen & np.r_[False, seen[:-1]] & np.r_[False, np.diff(times) < 50 * MS]
    speed = np.r_[np.nan, np.linalg.norm(np.diff(points[:, 0], axis=0), axis=1) / np.diff(times) * 1e9]
    np.testing.assert_allclose(values[steady, 0], speed[steady], rtol=1e-6, atol=1e-6)
    assert np.isfinite(values[-1, column(made, "next.prediction_error")])
