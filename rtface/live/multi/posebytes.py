"""A pose as the bytes that lie beside its frame in shared memory; the frame's identity travels with the slot."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from rtface.core.errors import DataError
from rtface.core.records import FrameMeta, Image, Pose, Stamps

_HEAD = struct.Struct("<6qd2H")
_POINT = 2 * 4 + 4 + 1 + 4
_LIKELIHOOD = 1


@dataclass(frozen=True, slots=True)
class TrackedPose:
    """A pose, and how many frames a newer one had displaced by then before the network could take them."""

    pose: Pose
    displaced: int


def pose_bytes(points: int) -> int:
    """Return the bytes that a pose of so many keypoints needs at most."""
    return _HEAD.size + points * _POINT


def put_pose(out: Image, pose: Pose, displaced: int) -> None:
    """Write a pose.

    Parameters
    ----------
    out : ndarray, shape (B,), uint8
        At least `pose_bytes` of its keypoints.
    pose : Pose
    displaced : int
        As of `TrackedPose`.
    """
    stamps, likelihood = pose.stamps, pose.likelihood
    body = b"".join(
        (
            _HEAD.pack(
                stamps.taken_ns,
                stamps.prepared_ns,
                stamps.inferred_ns,
                stamps.decided_ns,
                pose.same_pictures,
                displaced,
                pose.view_ok,
                len(pose.score),
                0 if likelihood is None else _LIKELIHOOD,
            ),
            pose.xy.tobytes(),
            pose.score.tobytes(),
            pose.outside.tobytes(),
            b"" if likelihood is None else likelihood.tobytes(),
        )
    )
    out[: len(body)] = np.frombuffer(body, np.uint8)


def pose_in(data: Image, frame: FrameMeta) -> TrackedPose:
    """Return the pose that was written, with arrays of its own.

    Parameters
    ----------
    data : ndarray, shape (B,), uint8
    frame : FrameMeta
        Of the frame that it lies beside.

    Raises
    ------
    DataError
        They are no pose.
    """
    whole = data.tobytes()
    taken, prepared, inferred, decided, same, displaced, view_ok, points, flags = _HEAD.unpack_from(whole)
    if len(whole) < pose_bytes(points):
        raise DataError(f"{len(whole)} bytes hold no pose of {points} keypoints")
    at = _HEAD.size

    def numbers(dtype: type[np.generic], count: int) -> np.ndarray:
        nonlocal at
        found = np.frombuffer(whole, dtype, count, at).copy()
        at += found.nbytes
        return found

    xy, score = numbers(np.float32, 2 * points).reshape(points, 2), numbers(np.float32, points)
    outside = numbers(np.bool_, points)
    likelihood = numbers(np.float32, points) if flags & _LIKELIHOOD else None
    stamps = Stamps(frame.exposure_ns, frame.arrival_ns, taken, prepared, inferred, decided)
    return TrackedPose(Pose(frame, stamps, xy, score, outside, likelihood, same, view_ok), displaced)
