"""The table of keypoints and its builder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rtface.core.errors import UsageError
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.record.table import NO_TIME, PoseTable, PoseTableBuilder

NAMES = ("eye(top)", "paw")


def pose(frame: int, points: int = 2, *, legacy: bool = False, camera_ns: int | None = None) -> Pose:
    numbers = np.arange(points, dtype=np.float32) + frame
    return Pose(
        frame=FrameMeta(frame, exposure_ns=1000 + frame, arrival_ns=2000 + frame, camera_ns=camera_ns),
        stamps=Stamps(1000, 2000, 3000, 4000, 5000, 6000),
        xy=np.stack([numbers, -numbers], axis=1),
        score=np.full(points, 0.5, np.float32),
        outside=numbers % 2 == 0,
        likelihood=np.full(points, 0.75, np.float32) if legacy else None,
    )


@pytest.mark.parametrize("expected", [None, 0, 1, 3, 5000])
@pytest.mark.parametrize("legacy", [False, True])
def test_every_frame_is_kept_however_many_were_expected(expected: int | None, legacy: bool) -> None:
    builder = PoseTableBuilder(NAMES, (True, True), expected)
    frames = np.concatenate([np.arange(1000), np.arange(2000, 3500)])
    for frame in frames:
        builder.append(pose(int(frame), legacy=legacy))
    table = builder.build(
        source="a.avi", engine="e1", score_definition="d", provenance={"k": "v"}, first_frame=0
    )
    assert len(table) == len(builder) == len(frames)
    np.testing.assert_array_equal(table.frame_id, frames)
    np.testing.assert_array_equal(table.exposure_ns, frames + 1000)
    np.testing.assert_array_equal(table.arrival_ns, frames + 2000)
    np.testing.assert_array_equal(table.xy[:, 1, 0], frames + 1)
    np.testing.assert_array_equal(table.xy[:, 0, 1], -frames)
    np.testing.assert_array_equal(table.outside[:, 0], frames % 2 == 0)
    assert (table.score == 0.5).all()
    if legacy:
        assert table.likelihood is not None
        assert (table.likelihood == 0.75).all()
    else:
        assert table.likelihood is None
    assert (table.source, table.engine, table.score_definition) == ("a.avi", "e1", "d")
    assert table.provenance == {"k": "v"}


def test_the_camera_s_own_time_is_kept_where_there_is_one() -> None:
    builder = PoseTableBuilder(NAMES, (True, True), 2)
    for frame, camera_ns in enumerate([0, None, 80_000_000]):
        builder.append(pose(frame, camera_ns=camera_ns))
    table = builder.build()
    assert table.camera_ns.tolist() == [0, NO_TIME, 80_000_000]
    assert table.camera_ns.dtype == np.int64


def test_the_pose_is_copied_and_a_built_table_never_changes() -> None:
    builder = PoseTableBuilder(NAMES, (True, True), 1)
    first = pose(0)
    builder.append(first)
    table = builder.build()
    first.xy[:] = 99
    for frame in range(1, 10):
        builder.append(pose(frame))
    np.testing.assert_array_equal(table.xy, [[[0, 0], [1, -1]]])
    assert len(builder.build()) == 10
    with pytest.raises(ValueError, match="read-only"):
        table.xy[0] = 0


def test_a_keypoint_never_trained_is_nan_with_score_zero() -> None:
    builder = PoseTableBuilder(NAMES, (False, True), None)
    for frame in range(3):
        builder.append(pose(frame))
    table = builder.build()
    assert np.isnan(table.xy[:, 0]).all()
    assert not table.score[:, 0].any()
    assert not table.outside[:, 0].any()
    assert np.isfinite(table.xy[:, 1]).all()
    with pytest.raises(UsageError, match="never trained"):
        dataclasses.replace(table, xy=np.zeros_like(table.xy))


def test_a_pose_that_does_not_fit_is_refused_and_leaves_the_table_as_it_was() -> None:
    builder = PoseTableBuilder(NAMES, (True, True), None)
    builder.append(pose(0))
    with pytest.raises(UsageError, match=r"frame 1: keypoints of shape \(1, 2\)"):
        builder.append(pose(1, points=1))
    with pytest.raises(UsageError, match="frame 2: some poses"):
        builder.append(pose(2, legacy=True))
    assert builder.build().frame_id.tolist() == [0]


@pytest.mark.parametrize(
    ("names", "trained", "message"),
    [
        (("a", "a"), (True, True), "differ"),
        (("a", ""), (True, True), "empty"),
        (("a",), (), "1 keypoint names"),
    ],
)
def test_names_must_make_sense(names: tuple[str, ...], trained: tuple[bool, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PoseTableBuilder(names, trained, None)


def test_a_table_of_the_wrong_shape_or_dtype_names_the_field() -> None:
    builder = PoseTableBuilder(NAMES, (True, True), None)
    builder.append(pose(0))
    table: PoseTable = builder.build()
    with pytest.raises(UsageError, match=r"PoseTable.score is float64"):
        dataclasses.replace(table, score=table.score.astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"PoseTable.exposure_ns is int64 of shape \(2,\)"):
        dataclasses.replace(table, exposure_ns=np.zeros(2, np.int64))
