"""A pose beside its frame: it comes out as it went in, and what is no pose is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from rtface.core.errors import DataError
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.live.multi.posebytes import pose_bytes, pose_in, put_pose

NS = st.integers(-(2**62), 2**62)


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    points = draw(st.integers(0, 40))
    floats = st.floats(width=32)
    likely = draw(st.none() | stn.arrays(np.float32, points, elements=floats))
    frame = FrameMeta(draw(NS), draw(NS), draw(NS), trigger_id=draw(st.none() | NS), camera="left")
    return Pose(
        frame,
        Stamps(frame.exposure_ns, frame.arrival_ns, draw(NS), draw(NS), draw(NS), draw(NS)),
        draw(stn.arrays(np.float32, (points, 2), elements=floats)),
        draw(stn.arrays(np.float32, points, elements=floats)),
        draw(stn.arrays(np.bool_, points)),
        likely,
        draw(st.integers(1, 2**40)),
        draw(floats),
    )


@given(poses(), st.integers(0, 2**40), st.integers(0, 64))
def test_a_pose_comes_out_as_it_went_in(pose: Pose, displaced: int, more: int) -> None:
    memory = np.full(pose_bytes(len(pose.score)) + more, 7, np.uint8)
    put_pose(memory, pose, displaced)
    found = pose_in(memory, pose.frame)
    memory[:] = 0  # what was taken out does not change with the memory
    assert found.displaced == displaced
    assert (found.pose.frame, found.pose.stamps, found.pose.same_pictures) == (
        pose.frame,
        pose.stamps,
        pose.same_pictures,
    )
    assert np.float64(found.pose.view_ok).tobytes() == np.float64(pose.view_ok).tobytes()
    for name in ("xy", "score", "outside", "likelihood"):
        was, now = getattr(pose, name), getattr(found.pose, name)
        assert (was is None) == (now is None)
        if was is not None:
            assert (was.dtype, was.shape, was.tobytes()) == (now.dtype, now.shape, now.tobytes())
            assert now.flags.writeable


def test_too_few_bytes_are_refused() -> None:
    frame = FrameMeta(1, 2, 3)
    points = np.zeros((5, 2), np.float32)
    pose = Pose(frame, Stamps(*[1] * 6), points, points[:, 0].copy(), np.zeros(5, bool))
    memory = np.zeros(pose_bytes(5), np.uint8)
    put_pose(memory, pose, 0)
    with pytest.raises(DataError, match="hold no pose of 5 keypoints"):
        pose_in(memory[:-20], frame)
