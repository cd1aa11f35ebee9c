"""Features of the face, frame by frame: causal, at constant cost, each with its unit, score and age."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.errors import UsageError
from rtface.core.features import NEVER_NS, Features
from rtface.core.records import Pose
from rtface.decide.errors import RulesError, kept_in, raise_all
from rtface.decide.features.base import Extractor
from rtface.decide.features.events import Blink, Groom, Lick
from rtface.decide.features.motion import MotionIndex
from rtface.decide.features.points import PointTrack, Tracks
from rtface.decide.features.shapes import Angle, Area, Distance, Position, Speed, Velocity
from rtface.decide.features.specs import (
    AngleSpec,
    AreaSpec,
    BlinkSpec,
    DistanceSpec,
    FeatureSpec,
    GroomSpec,
    KalmanSpec,
    LickSpec,
    MotionSpec,
    PositionSpec,
    Smoothed,
    SpeedSpec,
    VelocitySpec,
    WhiskingSpec,
)
from rtface.decide.features.whisking import Whisking

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = ("rule", "neural")
"""What other values than features begin with."""


class FeatureBank:
    """All features that a rules file asks for.

    A frame that is not newer than the last is left out: the features stay, with their exposure. A frame more
    than 1 s older than the last is a new recording: all is forgotten.

    Parameters
    ----------
    specs : mapping of str to FeatureSpec
        By the name of the feature.
    keypoints : tuple of str
        The engine's keypoints in the order of its poses.
    rate_hz : float or None
        Frames per second; needed for whisking and licks alone.
    camera : str
        Whose features these are, among several cameras: their names begin with it (``left.pad``). Empty for the only one.

    Attributes
    ----------
    names : tuple of str
        Of each value, such as ``pad.amplitude``.
    units : tuple of str
        Of each value.
    points : dict of str to tuple of str
        The keypoints that each feature rests on.

    Raises
    ------
    RulesError
        A feature's name cannot stand in an expression, a point is not a keypoint of the engine, or a band does not
        fit the frame rate; the message names every such feature.
    """

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        keypoints: tuple[str, ...],
        rate_hz: float | None,
        camera: str = "",
    ) -> None:
        self._tracks, self.keypoints = Tracks(keypoints), keypoints
        self.points: dict[str, tuple[str, ...]] = {}
        self._extractors: list[Extractor] = []
        self._predicted: list[tuple[PointTrack, ...]] = []
        names: list[str] = []
        units: list[str] = []
        refused: list[RulesError] = []
        for name, spec in specs.items():
            asked: list[str] = []
            with kept_in(refused):
                _check_name(name, camera)
                extractor = _make(name, spec.at_rate(rate_hz), self._tracks, rate_hz, asked)
            if refused:
                continue
            self.points[name] = tuple(asked)
            predicts = isinstance(spec, Smoothed) and isinstance(spec.smooth, KalmanSpec)
            self._extractors.append(extractor)
            self._predicted.append(extractor.tracks if predicts else ())
            names += [f"{name}.{value}" for value in extractor.names]
            units += extractor.units
            if predicts:
                names.append(f"{name}.prediction_error")
                units.append("px")
        raise_all(refused)
        self.names: tuple[str, ...] = tuple(names)
        self.units: tuple[str, ...] = tuple(units)
        self._last_ns = NEVER_NS
        count = len(names)
        self._features = Features(
            np.full(count, np.nan), np.zeros(count), np.full(count, NEVER_NS, dtype=np.int64)
        )

    @property
    def newest(self) -> Features:
        """The features of the newest frame, borrowed as those of `update`; unknown before the first."""
        return self._features

    def update(self, pose: Pose) -> Features:
        """Take the pose of the next frame and return the features, whose arrays are borrowed.

        Raises
        ------
        UsageError
            The pose has another number of keypoints than the bank was made for.
        """
        now_ns, features = pose.frame.exposure_ns, self._features
        if len(pose.score) != len(self._tracks.keypoints):
            raise UsageError(
                f"a pose of {len(pose.score)} keypoints for features of {len(self._tracks.keypoints)}"
            )
        if now_ns <= self._last_ns:
            if now_ns > self._last_ns - NS_PER_S:
                return features
            self.reset()
        self._last_ns = now_ns
        self._tracks.update(pose.xy.tolist(), pose.score.tolist(), now_ns)
        values: list[float] = []
        scores: list[float] = []
        exposures: list[int] = []
        for extractor, predicted in zip(self._extractors, self._predicted, strict=True):
            values += extractor.values(now_ns)
            if predicted:
                values.append(_largest_error(predicted))
            more = len(values) - len(scores)
            scores += [extractor.score] * more
            exposures += [extractor.exposure_ns] * more
        features.values[:] = values
        features.scores[:] = scores
        features.exposure_ns[:] = exposures
        return features

    def reset(self) -> None:
        """Forget all frames, also the slow averages that outlast gaps."""
        self._tracks.reset()
        for extractor in self._extractors:
            extractor.reset()
        self._last_ns = NEVER_NS
        self._features.values.fill(np.nan)
        self._features.scores.fill(0)
        self._features.exposure_ns.fill(NEVER_NS)


def _largest_error(tracks: Sequence[PointTrack]) -> float:
    largest = 0.0
    for track in tracks:
        error = track.error
        if error != error:
            return math.nan
        if error > largest:
            largest = error
    return largest


def _check_name(name: str, camera: str) -> None:
    own = name.removeprefix(f"{camera}.") if camera else name
    if not _NAME.fullmatch(own):
        before = f", behind the camera's, {camera}." if camera else ""
        if not camera and name.count(".") == 1:
            before = "; a camera's name before it is of a rig with several: rtface check RIG.yaml"
        raise RulesError(
            f"a feature's name is made of letters, digits and _, and does not begin with a digit{before}",
            *("features", name),
        )
    if own in RESERVED:
        raise RulesError(
            f"{' and '.join(RESERVED)} mean something else in conditions; take another name",
            *("features", name),
        )


def _make(name: str, spec: FeatureSpec, tracks: Tracks, rate_hz: float | None, asked: list[str]) -> Extractor:
    """Return what computes a feature; its keypoints are appended to `asked`."""

    def of(*points: str) -> list[PointTrack]:
        asked.extend(points)
        found: list[PointTrack] = []
        refused: list[RulesError] = []
        for point in points:
            with kept_in(refused):
                found.append(tracks.of(name, point, spec))
        raise_all(refused)
        return found

    match spec:
        case PositionSpec():
            return Position(of(spec.point))
        case VelocitySpec():
            return Velocity(of(spec.point))
        case SpeedSpec():
            return Speed(of(spec.point))
        case DistanceSpec():
            return Distance(of(*spec.points))
        case AngleSpec():
            return Angle(of(*spec.points))
        case AreaSpec():
            return Area(of(*spec.points))
        case MotionSpec():
            return MotionIndex(of(*(spec.points or tracks.keypoints)), spec.min_seen)
        case WhiskingSpec():
            highest = max(spec.band_hz[1], spec.setpoint_hz or 0.0)
            return Whisking(of(*spec.points), spec, _rate_for(name, highest, rate_hz))
        case BlinkSpec():
            return Blink(of(*spec.points), spec)
        case LickSpec():
            return Lick(of(*spec.points), spec, _rate_for(name, spec.band_hz[1], rate_hz))
        case GroomSpec():
            return Groom(of(spec.paw, spec.mouth), spec)


def _rate_for(name: str, highest_hz: float, rate_hz: float | None) -> float:
    """Return the frame rate if a rhythm of `highest_hz` can be measured at it."""
    if rate_hz is None:
        raise RulesError(
            "a rhythm needs the camera's frame rate, which is not known", "features", name, "band_hz"
        )
    if not highest_hz < rate_hz / 2:
        raise RulesError(
            f"{highest_hz:g} Hz cannot be measured at {rate_hz:g} frames/s; "
            f"the band must end below {rate_hz / 2:g} Hz",
            *("features", name, "band_hz"),
        )
    return rate_hz
