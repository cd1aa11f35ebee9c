"""A frame's pose and features as packed rows: what the loop pays for being recorded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from rtface.core.errors import UsageError
from rtface.core.features import NEVER_NS, Features
from rtface.core.records import FrameMeta, Pose
from rtface.record.session.rows import (
    FEATURES,
    POSES,
    POSES_WITH_LIKELIHOOD,
    ROW_NAMES,
    UNKNOWN,
    base_kind,
    camera_of,
    pack_chunk_row,
    pack_feature_times,
    pack_pose_times,
)


def chunk_row(frame: FrameMeta) -> bytes | None:
    """Return the row of what the camera sent beside a frame's picture; None where it sent nothing."""
    if frame.trigger_id is None and frame.exposure_us is None:
        return None
    return pack_chunk_row(
        frame.frame_id,
        UNKNOWN if frame.trigger_id is None else frame.trigger_id,
        math.nan if frame.exposure_us is None else frame.exposure_us,
    )


class Packer:
    """Copies poses and features into bytes; holds nothing back.

    Parameters
    ----------
    points, features, given : int
        Number of keypoints, of features and of further values that rules may use.

    Attributes
    ----------
    widths : dict of int to int
        Width of the rows of each kind: 1 of those that have one value or none.
    """

    def __init__(self, points: int, features: int = 0, given: int = 0) -> None:
        self.widths = dict.fromkeys((kind for kind in ROW_NAMES if not camera_of(kind)), 1)
        self.widths |= {POSES: points, POSES_WITH_LIKELIHOOD: points, FEATURES: features + given}
        self._points = points
        self._point_bytes = (points * 8, points * 4, points)
        self._feature_bytes, self._given_bytes = [features * 8] * 3, [given * 8] * 3
        self._not_given = (
            np.full(given, np.nan).tobytes(),
            np.zeros(given).tobytes(),
            np.full(given, NEVER_NS, np.int64).tobytes(),
        )

    def pose(self, pose: Pose) -> tuple[int, bytes]:
        """Return kind and row of a pose; `UsageError` for one of another number of keypoints or another dtype."""
        frame, stamps = pose.frame, pose.stamps
        xy, score, outside = pose.xy.tobytes(), pose.score.tobytes(), pose.outside.tobytes()
        if (len(xy), len(score), len(outside)) != self._point_bytes:
            raise UsageError(
                f"a pose of {pose.xy.dtype} {pose.xy.shape} for a record of {self._points} keypoints"
            )
        times = pack_pose_times(
            frame.frame_id,
            frame.exposure_ns,
            frame.arrival_ns,
            UNKNOWN if frame.camera_ns is None else frame.camera_ns,
            stamps.taken_ns,
            stamps.prepared_ns,
            stamps.inferred_ns,
            stamps.decided_ns,
            UNKNOWN,
        )
        if pose.likelihood is None:
            return POSES, b"".join((times, xy, score, outside))
        return POSES_WITH_LIKELIHOOD, b"".join((times, xy, score, outside, pose.likelihood.tobytes()))

    def features(
        self, frame_id: int, now_ns: int, features: Features, given: Features | None = None
    ) -> bytes:
        """Return the row of what the rules were evaluated on; `UsageError` for another number of values or another dtype."""
        parts = _parts(features)
        more = self._not_given if given is None else _parts(given)
        if [len(each) for each in parts] != self._feature_bytes:
            raise UsageError(
                f"{features.values.dtype} {features.values.shape} for the features of this record"
            )
        if [len(each) for each in more] != self._given_bytes:
            raise UsageError(
                "further values for the rules of another number than this record has, or another dtype"
            )
        times = pack_feature_times(frame_id, now_ns)
        return b"".join((times, *itertools.chain(*zip(parts, more, strict=True))))


def widths_of(packers: Sequence[Packer]) -> dict[int, int]:
    """Return the width of the rows of each kind, of all cameras of a session."""
    return {
        kind: packers[camera].widths[base_kind(kind)]
        for kind in ROW_NAMES
        if (camera := camera_of(kind)) < len(packers)
    }


def _parts(features: Features) -> tuple[bytes, bytes, bytes]:
    return features.values.tobytes(), features.scores.tobytes(), features.exposure_ns.tobytes()
