from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.core.clock import NS_PER_MS
from rtface.core.latency import STAGES, Histogram, LatencyRecorder, StageSummary
from rtface.core.records import Stamps

RELATIVE = 0.016
YEAR_NS = 365 * 24 * 3600 * 10**9

any_duration = st.integers(0, 62).flatmap(lambda bits: st.integers(0, (1 << bits)))


def filled(durations_ns: list[int], deadline_ns: int | None = None) -> Histogram:
    histogram = Histogram(deadline_ns)
    for duration in durations_ns:
        histogram.add(duration)
    return histogram


@given(st.lists(any_duration, min_size=1, max_size=300))
@settings(max_examples=200, deadline=None)
def test_percentiles_are_those_of_numpy_within_a_bucket(durations_ns: list[int]) -> None:
    summary = filled(durations_ns).summary()
    wanted = np.percentile(durations_ns, [50, 95, 99, 99.9], method="inverted_cdf")
    got = np.array([summary.p50_ms, summary.p95_ms, summary.p99_ms, summary.p999_ms]) * NS_PER_MS
    np.testing.assert_allclose(got, wanted.astype(float), rtol=RELATIVE / 2, atol=1e-6)
    assert summary.n == len(durations_ns)
    assert summary.max_ms == max(durations_ns) / NS_PER_MS
    assert summary.p50_ms <= summary.p95_ms <= summary.p99_ms <= summary.p999_ms <= summary.max_ms
    assert summary.misses is None


@given(st.lists(any_duration | st.integers(-5, 0), max_size=100), st.lists(any_duration, max_size=100))
@settings(max_examples=200, deadline=None)
def test_many_at_once_count_as_each_alone(first: list[int], second: list[int]) -> None:
    one, many = filled(first + second, 1000), Histogram(1000)
    for durations_ns in (first, second):
        many.add_all(np.array(durations_ns, np.int64))
    assert many.distribution() == one.distribution()
    assert many.summary() == one.summary()


@pytest.mark.parametrize("bits", range(63))
def test_every_power_of_two_and_its_neighbours(bits: int) -> None:
    for duration in {max(0, (1 << bits) - 1), 1 << bits, (1 << bits) + 1}:
        ((middle_ms, count),) = filled([duration]).distribution()
        assert count == 1
        assert middle_ms * NS_PER_MS == pytest.approx(duration, rel=RELATIVE / 2, abs=1e-6)


def test_the_middle_ranks_are_exact() -> None:
    """Below 64 ns a bucket is one nanosecond: ranks can be checked to the letter."""
    for n in range(1, 64):
        summary = filled(list(range(1, n + 1))).summary()
        ranks = [-(-n * 500 // 1000), -(-n * 950 // 1000), -(-n * 990 // 1000), -(-n * 999 // 1000)]
        got = [summary.p50_ms, summary.p95_ms, summary.p99_ms, summary.p999_ms]
        assert [round(value * NS_PER_MS) for value in got] == ranks


@given(st.lists(any_duration, max_size=200))
@settings(max_examples=60, deadline=None)
def test_the_distribution_holds_every_duration_once(durations_ns: list[int]) -> None:
    distribution = filled(durations_ns).distribution()
    assert sum(count for _, count in distribution) == len(durations_ns)
    assert [place for place, _ in distribution] == sorted({place for place, _ in distribution})
    assert all(count > 0 for _, count in distribution)


def test_the_maximum_is_exact_and_bounds_every_percentile() -> None:
    summary = filled([10_000_019]).summary()
    assert summary.max_ms == 10.000019
    assert summary.p50_ms <= summary.max_ms


def test_a_duration_beyond_all_buckets_is_still_counted() -> None:
    summary = filled([1 << 80, 5]).summary()
    assert summary.n == 2
    assert summary.max_ms == (1 << 80) / NS_PER_MS


def test_misses_are_what_is_longer_than_the_deadline() -> None:
    assert filled([99, 100, 101, 102], deadline_ns=100).summary().misses == 2
    assert filled([], deadline_ns=100).summary().misses == 0
    assert filled([5]).summary().misses is None


def test_negative_durations_count_as_zero() -> None:
    histogram = filled([-5, -(10**12)], deadline_ns=100)
    assert histogram.summary() == StageSummary(2, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
    assert histogram.distribution() == [(0.0, 2)]


def test_nothing_measured() -> None:
    assert Histogram().summary() == StageSummary(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert Histogram().distribution() == []
    assert set(LatencyRecorder(1).summary()) == set(STAGES)


def test_a_summary_as_a_map() -> None:
    assert filled([50] * 4, deadline_ns=1).summary().as_dict() == {
        "n": 4,
        "p50_ms": 5e-5,
        "p95_ms": 5e-5,
        "p99_ms": 5e-5,
        "p999_ms": 5e-5,
        "max_ms": 5e-5,
        "misses": 4,
    }


STAMPS = Stamps(
    exposure_ns=1_000_000,
    arrival_ns=1_000_001,
    taken_ns=1_000_003,
    prepared_ns=1_000_007,
    inferred_ns=1_000_015,
    decided_ns=1_000_031,
)


def test_stages_follow_from_the_stamps() -> None:
    recorder = LatencyRecorder(deadline_ns=126)
    recorder.add(STAMPS, 1_000_063, 1_000_127)
    durations = {stage: round(summary.max_ms * NS_PER_MS) for stage, summary in recorder.summary().items()}
    assert durations == {
        "transfer": 1,
        "wait": 2,
        "prepare": 4,
        "network": 8,
        "decide": 16,
        "react": 32,
        "publish": 64,
        "overhead": 2 + 4 + 16 + 32 + 64,
        "end_to_end": 127,
    }
    assert {stage: summary.misses for stage, summary in recorder.summary().items()} == {
        stage: 1 if stage == "end_to_end" else None for stage in STAGES
    }
    assert {
        stage: sum(n for _, n in bins) for stage, bins in recorder.distribution().items()
    } == dict.fromkeys(STAGES, 1)


def test_reset_forgets_everything_but_the_deadline() -> None:
    recorder = LatencyRecorder(deadline_ns=126)
    recorder.add(STAMPS, 1_000_063, 1_000_127)
    recorder.reset()
    assert all(summary.n == 0 and summary.max_ms == 0 for summary in recorder.summary().values())
    recorder.add(STAMPS, 1_000_063, 1_000_127)
    assert recorder.summary()["end_to_end"].misses == 1


def test_a_year_is_within_range() -> None:
    assert filled([YEAR_NS]).summary().p50_ms == pytest.approx(YEAR_NS / NS_PER_MS, rel=RELATIVE / 2)
