"""Latencies out of the stamps of recorded frames."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.core.clock import NS_PER_MS
from rtface.offline.sessions.stagetimes import STAGES, StageTimes
from rtface.record.session.rows import POSE_TIMES, PUBLISHED_DTYPE, UNKNOWN, Rows, pose_dtype

FRAMES = 2999


@pytest.fixture
def poses() -> Rows:
    random = np.random.default_rng(5)
    rows = np.zeros(FRAMES, pose_dtype(2))
    rows["frame_id"] = np.arange(FRAMES) * 2
    at = np.arange(FRAMES) * 5_000_000 + 10**12
    for name in ("exposure_ns", *POSE_TIMES[2:3], *POSE_TIMES[4:8]):
        rows[name] = at
        at = at + random.lognormal(13, 0.8, FRAMES).astype(np.int64)
    rows["published_ns"] = UNKNOWN
    return rows


def published(poses: Rows) -> Rows:
    rows = np.zeros(len(poses), PUBLISHED_DTYPE)
    rows["frame_id"] = poses["frame_id"]
    rows["published_ns"] = poses["decided_ns"] + 300_000
    return rows


def test_stages_are_those_of_the_stamps(poses: Rows) -> None:
    times = StageTimes(3 * NS_PER_MS, 2 * NS_PER_MS)
    stamps = published(poses)
    late = 40  # poses and their stamps of publishing come in records of their own
    for begin in range(0, FRAMES + late, 100):
        times.poses(poses[begin : begin + 100])
        times.published(stamps[max(0, begin - late) : max(0, begin - late + 100)])
    found = times.summary()
    for name, (first, last) in STAGES.items():
        ends = stamps["published_ns"] if last == "published" else poses[f"{last}_ns"]
        durations = (ends - poses[f"{first}_ns"]) / NS_PER_MS
        assert found[name].n == FRAMES
        wanted = np.percentile(durations, [50, 95, 99, 99.9], method="inverted_cdf")
        got = [getattr(found[name], f"{each}_ms") for each in ("p50", "p95", "p99", "p999")]
        np.testing.assert_allclose(got, wanted, rtol=0.01)
        assert found[name].max_ms == durations.max()
    whole = stamps["published_ns"] - poses["exposure_ns"]
    assert found["end_to_end"].misses == (whole > 3 * NS_PER_MS).sum()
    assert times.over == (whole >= 2 * NS_PER_MS).sum()
    assert times.gaps == FRAMES - 1


def test_frames_that_were_not_published_have_no_end_to_end(poses: Rows) -> None:
    times = StageTimes(NS_PER_MS, None)
    times.poses(poses)
    stamps = published(poses)
    times.published(stamps[::3])
    times.published(stamps[::3])  # twice is once
    alone = stamps[:1].copy()
    alone["frame_id"] = 10**6
    times.published(alone)
    found = times.summary()
    assert found["network"].n == FRAMES
    assert found["end_to_end"].n == found["act"].n == len(stamps[::3])


def test_stamps_within_the_poses_of_an_old_session_count(poses: Rows) -> None:
    poses["published_ns"] = poses["decided_ns"] + 1000
    times = StageTimes(NS_PER_MS, None)
    times.poses(poses)
    assert times.summary()["end_to_end"].n == FRAMES


def test_none_is_none() -> None:
    times = StageTimes(NS_PER_MS, NS_PER_MS)
    assert times.summary()["end_to_end"].n == 0
    assert times.over == 0
