"""Whether a frame can be believed: a picture that stands still and values that cannot be are no behaviour."""

from __future__ import annotations

import numpy as np

from rtface.core.decision import Reason
from rtface.core.records import FloatArray, Pose
from rtface.decide.rules import BelievedSpec, ns

_ROUNDING = 1e-4
_LEAST_FRAMES = 3
_NEVER = 1 << 62


class _Unchanged:
    """Since when something has been the same, and on how many frames."""

    __slots__ = ("_since_ns", "frames")

    def __init__(self) -> None:
        self._since_ns, self.frames = 0, 0

    def take(self, frames: int, now_ns: int, limit_ns: int) -> bool:
        """Return whether it has been the same for too long; on `frames` frames, this one included."""
        if frames <= max(1, self.frames) or not self.frames:
            self._since_ns = now_ns
        self.frames = frames
        return frames >= _LEAST_FRAMES and now_ns - self._since_ns >= limit_ns


class Plausibility:
    """Looks at one pose after the other.

    Parameters
    ----------
    spec : InputSpec
    """

    def __init__(self, spec: BelievedSpec) -> None:
        self._limit_ns = _NEVER if spec.frozen_ms is None else ns(spec.frozen_ms)
        self._size = spec.width, spec.height
        self._low = self._high = np.empty(0, np.float32)
        self._last = b""
        self._pose, self._picture = _Unchanged(), _Unchanged()

    def doubt(self, pose: Pose, same_pictures: int = 1) -> Reason | None:
        """Return why the frame cannot be believed; None where it can.

        Parameters
        ----------
        pose : Pose
            Of the frame.
        same_pictures : int
            As of `Pose`.
        """
        numbers = np.concatenate((pose.xy.ravel(), pose.score))
        if len(numbers) != len(self._low):
            self._low, self._high = self._limits(len(pose.score))
        now, now_ns = numbers.tobytes(), pose.frame.exposure_ns
        same = self._pose.frames + 1 if now == self._last else 1
        self._last = now
        frozen = self._pose.take(same, now_ns, self._limit_ns)
        frozen |= self._picture.take(same_pictures, now_ns, self._limit_ns)
        # NaN passes: a keypoint that is not known, as ever
        if np.count_nonzero(numbers < self._low) or np.count_nonzero(numbers > self._high):
            return Reason.IMPLAUSIBLE
        return Reason.FROZEN if frozen else None

    def _limits(self, points: int) -> tuple[FloatArray, FloatArray]:
        """Return the least and the greatest that coordinates and scores of so many keypoints may be."""
        size = np.tile(np.array(self._size, np.float32), points)
        low = np.concatenate((-size, np.full(points, -_ROUNDING)))
        high = np.concatenate((2 * size, np.full(points, 1 + _ROUNDING)))
        return low.astype(np.float32), high.astype(np.float32)
