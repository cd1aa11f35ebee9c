"""One keypoint over time: masked by its score, smoothed, started afresh after gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rtface.core.errors import nearest
from rtface.core.features import NEVER_NS
from rtface.decide.errors import RulesError
from rtface.decide.features.smoothing import make_smoother
from rtface.decide.features.specs import KalmanSpec, Masked, OneEuroSpec, Smoothed

_NAN = math.nan


class PointTrack:
    """What is known of one keypoint now.

    Parameters
    ----------
    min_score : float
        A sample with a lower score, or without finite coordinates, is not seen; no state takes it in.
    max_gap_ns : int
        The smoother starts afresh when the last seen sample is older than this.
    smooth : OneEuroSpec or KalmanSpec or None
        How the position is smoothed.

    Attributes
    ----------
    x, y : float
        Position in px; NaN while unknown.
    vx, vy : float
        Velocity in px/s; NaN while unknown.
    score : float
        Of the frame that the position rests on; of the newest frame while the position is unknown, 0 where it had
        no coordinates.
    exposure_ns : int
        Exposure of the newest frame in which the point was seen; `NEVER_NS` before the first.
    absent : bool
        The newest frame has coordinates, but a score below `min_score`.
    """

    __slots__ = (
        "_bridge_ns",
        "_max_gap_ns",
        "_min_score",
        "_seen_score",
        "_smooth",
        "_smoother",
        "absent",
        "exposure_ns",
        "score",
        "vx",
        "vy",
        "x",
        "y",
    )

    def __init__(self, min_score: float, max_gap_ns: int, smooth: OneEuroSpec | KalmanSpec | None) -> None:
        self._min_score, self._max_gap_ns, self._smooth = min_score, max_gap_ns, smooth
        self.reset()
        self._bridge_ns = min(max_gap_ns, round(1e9 * self._smoother.bridge_s))

    @property
    def error(self) -> float:
        """Running prediction error in px; NaN without prediction."""
        return self._smoother.error

    def reset(self) -> None:
        """Forget that the point was ever seen."""
        self._smoother = make_smoother(self._smooth)
        self.x = self.y = self.vx = self.vy = _NAN
        self.score = self._seen_score = 0.0
        self.exposure_ns, self.absent = NEVER_NS, False

    def update(self, x: float, y: float, score: float, exposure_ns: int) -> None:
        """Take the keypoint of a frame that is newer than the one before."""
        smoother = self._smoother
        located = x - x == 0 == y - y  # false for NaN and infinities
        if score != score:
            score = 0.0
        if score >= self._min_score and located:
            passed_ns = exposure_ns - self.exposure_ns
            if passed_ns > self._max_gap_ns:
                smoother.start(x, y)
            else:
                smoother.step(x, y, 1e-9 * passed_ns)
            self.x, self.y, self.vx, self.vy = smoother.x, smoother.y, smoother.vx, smoother.vy
            self.score = self._seen_score = score
            self.exposure_ns, self.absent = exposure_ns, False
            return
        self.absent = located
        passed_ns = exposure_ns - self.exposure_ns
        if passed_ns <= self._bridge_ns:
            self.score = self._seen_score
            self.x, self.y, self.vx, self.vy = smoother.ahead(1e-9 * passed_ns)
        else:
            self.score = score if located else 0.0
            self.x = self.y = self.vx = self.vy = _NAN


class Tracks:
    """The tracks of all features; those of the same settings share one.

    Parameters
    ----------
    keypoints : sequence of str
        Names of the engine's keypoints, in the order of its poses.
    """

    def __init__(self, keypoints: Sequence[str]) -> None:
        self.keypoints = tuple(keypoints)
        self._tracks: dict[tuple[object, ...], PointTrack] = {}
        self._fed: list[tuple[int, PointTrack]] = []

    def of(self, feature: str, point: str, spec: Masked) -> PointTrack:
        """Return the track of a point with the settings of a feature's spec.

        Raises
        ------
        RulesError
            The engine has no such keypoint; the message names the nearest one.
        """
        if point not in self.keypoints:
            hint = nearest(point, self.keypoints)
            raise RulesError(f"{point} is not a keypoint of this engine{hint}", "features", feature)
        smooth = spec.smooth if isinstance(spec, Smoothed) else None
        key = (point, spec.min_score, spec.max_gap_ns, smooth)
        if key not in self._tracks:
            track = PointTrack(spec.min_score, spec.max_gap_ns, smooth)
            self._tracks[key] = track
            self._fed.append((self.keypoints.index(point), track))
        return self._tracks[key]

    def update(self, xy: list[list[float]], score: list[float], exposure_ns: int) -> None:
        """Take the keypoints of a frame, in the order of `keypoints`."""
        for index, track in self._fed:
            x, y = xy[index]
            track.update(x, y, score[index], exposure_ns)

    def reset(self) -> None:
        """Forget all that was seen."""
        for track in self._fed:
            track[1].reset()
