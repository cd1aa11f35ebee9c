"""What comes later in the log is put to the pose of its frame, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.core.errors import DataError
from rtface.offline.export.rows import HELD, frame_dtype, in_blocks, with_what_followed
from rtface.record.session.rows import (
    CHUNK_DTYPE,
    FRAME_DTYPE,
    PUBLISHED_DTYPE,
    RowBatch,
    feature_dtype,
    pose_dtype,
)

DTYPE = frame_dtype(2, likelihood=True)


def poses(*ids: int, likelihood: bool = False) -> RowBatch:
    rows = np.zeros(len(ids), pose_dtype(2, likelihood=likelihood))
    rows["frame_id"], rows["published_ns"] = ids, -1
    return RowBatch("poses", rows)


def published(*ids: int) -> RowBatch:
    return RowBatch("published", np.array([(each, 1000 + each) for each in ids], PUBLISHED_DTYPE))


def joined(parts: Any) -> Any:
    return np.concatenate([each.rows for each in with_what_followed(parts, DTYPE) if each.name == "poses"])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 9), st.sets(st.integers(0, 100)))
def test_each_stamp_finds_its_pose(lags: list[int], size: int, lost: set[int]) -> None:
    """Batches of any size, stamps some batches later, frames that were never published."""
    due: list[list[int]] = [[] for _ in range(len(lags) + 10)]

    def log() -> Iterator[RowBatch]:
        for number, lag in enumerate(lags):
            ids = list(range(number * size, (number + 1) * size))
            yield poses(*ids)
            due[number + lag] += [each for each in ids if each not in lost]
            yield published(*due[number])
        for rest in due[len(lags) :]:
            yield published(*rest)

    found = joined(log())
    assert found["frame_id"].tolist() == list(range(len(lags) * size))
    assert found["published_ns"].tolist() == [
        -1 if each in lost else 1000 + each for each in found["frame_id"].tolist()
    ]


def test_a_frame_number_that_comes_again_is_another_frame() -> None:
    found = joined(
        [
            poses(1, 2),
            published(1, 2),
            poses(1, 2),
            RowBatch("published", np.array([(1, 7)], PUBLISHED_DTYPE)),
        ]
    )
    assert found["published_ns"].tolist() == [1001, 1002, 7, -1]


def test_pictures_triggers_and_exposures_are_put_to_their_frames() -> None:
    frames = RowBatch("frames", np.array([(2, 0, 5, 9)], FRAME_DTYPE))
    chunks = RowBatch("chunks", np.array([(1, 40, 1500.5), (3, -1, np.nan)], CHUNK_DTYPE))
    found = joined([poses(1, 2, 3), frames, chunks])
    assert found["position"].tolist() == [-1, 0, -1]
    assert found["trigger_id"].tolist() == [40, -1, -1]
    np.testing.assert_array_equal(found["exposure_us"], [1500.5, np.nan, np.nan])


def test_what_no_pose_is_there_for_has_no_place() -> None:
    assert joined([published(4), poses(1), published(2)])["published_ns"].tolist() == [-1]


def test_no_more_than_a_few_batches_wait() -> None:
    ahead = 0

    def log() -> Iterator[RowBatch]:
        nonlocal ahead
        for number in range(10 * HELD):
            ahead += 1
            yield poses(number)

    for _ in with_what_followed(log(), DTYPE):
        ahead -= 1
        assert ahead <= HELD + 1


def test_a_pose_without_the_legacy_likelihood_is_nan_there() -> None:
    found = joined([poses(1, likelihood=True), poses(2)])
    assert np.isnan(found["likelihood"]).tolist() == [[False, False], [True, True]]


def test_blocks_hold_all_rows_in_order() -> None:
    parts = [poses(*range(start, start + 3)) for start in range(0, 30, 3)] + [published(1)]
    found = list(in_blocks(parts, 7))
    assert [(each.name, len(each.rows)) for each in found] == [("poses", 9)] * 3 + [
        ("poses", 3),
        ("published", 1),
    ]
    ids = np.concatenate([each.rows["frame_id"] for each in found[:4]])
    assert ids.tolist() == list(range(30))


def test_rows_of_another_width_are_refused() -> None:
    narrow = RowBatch("features", np.zeros(1, feature_dtype(2)))
    wide = RowBatch("features", np.zeros(1, feature_dtype(3)))
    with pytest.raises(DataError, match="different widths"):
        list(with_what_followed([narrow, wide], DTYPE))
    with pytest.raises(DataError, match="different widths"):
        joined([RowBatch("poses", np.zeros(1, pose_dtype(3)))])
