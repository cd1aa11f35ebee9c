"""What can be measured on a face: the `features:` section of a rules file.

Lengths are pixels of the full camera frame, so thresholds in pixels belong to one rig. A spec does not
depend on the engine: that its points exist is checked with its keypoints (`rtface.decide.features.bank.FeatureBank`).
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rtface.config import Section, contradiction

Band = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
"""Lower and upper edge of a band in Hz."""

_MAX_GAP_MS, _GAP_PERIODS, _LONGEST_GAP_MS = 50.0, 2.5, 60_000.0
_CYCLES = 2
"""A rhythm is unknown for so many cycles after a start, and remembers a jump for as long."""
_SEEN_CYCLES = 4
"""A rhythm that is seen for so many cycles is known."""
_TIMES = 3
"""After so many time constants a first-order filter has forgotten 95 % of a jump."""

EYE = ("eye(back)", "eye(top)", "eye(front)", "eye(bottom)")


class OneEuroSpec(Section):
    """One-Euro filter (Casiez, Roussel and Vogel 2012): smooth at rest, quick in movement."""

    kind: Literal["one_euro"]
    min_cutoff_hz: float = Field(2.0, gt=0)
    """Cut-off in Hz at rest; lower is smoother and later."""
    beta: float = Field(0.05, ge=0)
    """Hz that the cut-off rises with each px/s of speed; higher is quicker."""
    derivative_cutoff_hz: float = Field(10.0, gt=0)
    """Cut-off in Hz of the speed that decides it."""

    def memory_ms(self, period_ms: float) -> float:
        """As of `Masked`: the slowest it can be."""
        return _TIMES * 1e3 / (2 * math.pi * self.min_cutoff_hz)


class KalmanSpec(Section):
    """Kalman filter that predicts where the point will be when the light would come."""

    kind: Literal["kalman"]
    model: Literal["velocity", "acceleration"] = "velocity"
    """What changes at random only: constant velocity or constant acceleration."""
    latency_ms: float = Field(10.0, ge=0, le=500)
    """How far after the exposure the point is predicted: the measured time from exposure to light."""
    noise_px: float = Field(1.0, gt=0)
    """Standard deviation of the measurement in pixels, along x and y."""
    process: float | None = Field(None, gt=0)
    """Square root of the spectral density of the white noise that moves it: of acceleration, px/s^2 per root Hz
    (2000 when absent), or of jerk, px/s^3 per root Hz (100000 when absent)."""
    bridge_ms: float = Field(0.0, ge=0)
    """Go on predicting for so long while the point is not seen; the value's age grows."""
    error_s: float = Field(5.0, gt=0)
    """Time constant in seconds of the running prediction error."""

    @property
    def density(self) -> float:
        """`process`, or its default."""
        return self.process or (2e3 if self.model == "velocity" else 1e5)

    def memory_ms(self, period_ms: float) -> float:
        """As of `Masked`, from the time constant of the steady filter: noise and process densities, and the model's order."""
        order = 4 if self.model == "velocity" else 6
        noise = self.noise_px**2 * 1e-3 * period_ms
        return 2 * _TIMES * 1e3 * float((noise / self.density**2) ** (1 / order))


SmoothSpec = Annotated[OneEuroSpec | KalmanSpec, Field(discriminator="kind")]


class Masked(Section):
    """What all features share: which points count, and when a filter forgets."""

    needs_all_points: ClassVar[bool] = True
    """Whether it is unknown where one of its points is."""

    min_score: float = Field(0.3, ge=0, le=1)
    """A point with a lower score is not seen: the feature is unknown, and no state takes the point in."""
    max_gap_ms: float | None = Field(None, gt=0, le=_LONGEST_GAP_MS)
    """Filters start afresh once a point was not seen for longer than this; when absent 50, or two and a half frame periods
    where that is more."""

    @property
    def max_gap_ns(self) -> int:
        """The same in nanoseconds."""
        return round(1e6 * (_MAX_GAP_MS if self.max_gap_ms is None else self.max_gap_ms))

    def at_rate(self, rate_hz: float | None) -> Self:
        """Return it with what follows from the camera's frames per second written out."""
        if self.max_gap_ms is not None:
            return self
        gap_ms = _MAX_GAP_MS if rate_hz is None else max(_MAX_GAP_MS, _GAP_PERIODS * 1e3 / rate_hz)
        return self.model_copy(update={"max_gap_ms": min(gap_ms, _LONGEST_GAP_MS)})

    def memory_ms(self, period_ms: float) -> float:
        """Return for how long after a frame that misled a value goes on showing it, in ms."""
        return 0.0

    def known_after_s(self) -> float:
        """Return after how many seconds of points that are seen, and move, all its values are known."""
        return 0.0


class Smoothed(Masked):
    """A feature of points that may be smoothed."""

    smooth: SmoothSpec | None = None
    """How each point is smoothed; as it was measured when absent."""

    def memory_ms(self, period_ms: float) -> float:
        """As of `Masked`."""
        return 0.0 if self.smooth is None else self.smooth.memory_ms(period_ms)


class Moving(Smoothed):
    """A feature of how points move, from one frame to the next."""

    def memory_ms(self, period_ms: float) -> float:
        """As of `Masked`: the step back is a movement, too."""
        return period_ms + super().memory_ms(period_ms)


class PositionSpec(Smoothed):
    """Position of a point: `.x` and `.y` in px."""

    kind: Literal["position"]
    point: str
    """Name of the keypoint."""


class VelocitySpec(Moving):
    """Velocity of a point: `.vx` and `.vy` in px/s."""

    kind: Literal["velocity"]
    point: str
    """Name of the keypoint."""


class SpeedSpec(Moving):
    """Speed of a point: `.speed` in px/s."""

    kind: Literal["speed"]
    point: str
    """Name of the keypoint."""


class DistanceSpec(Smoothed):
    """Distance of two points: `.distance` in px."""

    kind: Literal["distance"]
    points: tuple[str, str]
    """The two keypoints."""


class AngleSpec(Smoothed):
    """`.angle` in degrees, of a line or between two.

    Two points: direction of the line from first to second against the image's x axis, clockwise as seen, -180 to 180.
    Three points: angle at the second, 0 to 180.
    """

    kind: Literal["angle"]
    points: tuple[str, ...] = Field(min_length=2, max_length=3)
    """Two or three keypoints."""


class AreaSpec(Smoothed):
    """Area of a polygon: `.area` in px2."""

    kind: Literal["area"]
    points: tuple[str, ...] = Field(min_length=3)
    """Its corners in order, either way round."""


class MotionSpec(Moving):
    """Motion index: `.motion` in px/s, the mean speed of the points, weighted by score."""

    needs_all_points: ClassVar[bool] = False

    kind: Literal["motion"]
    points: tuple[str, ...] | None = Field(None, min_length=1)
    """The keypoints; all of the engine's when absent."""
    min_seen: float = Field(0.5, gt=0, le=1)
    """Part of the points that must be seen; unknown below."""


class WhiskingSpec(Masked):
    """A rhythm of a point: `.amplitude` px, `.frequency` Hz and `.setpoint` px. For the nose, sniffing."""

    kind: Literal["whisking"]
    point: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """The keypoint, or several whose mean is taken."""
    band_hz: Band = (6.0, 30.0)
    """Lower and upper edge of the band in Hz, where its gain is 0.71."""
    order: int = Field(2, ge=1, le=4)
    """Order of the Butterworth band-pass (that of its low-pass prototype, as in scipy.signal.butter)."""
    axis_deg: float | None = Field(None, ge=-360, le=360)
    """Direction of the movement, clockwise from the image's x axis; the running principal axis when absent."""
    axis_s: float = Field(5.0, gt=0)
    """Time constant in seconds of the principal axis."""
    frequency_s: float = Field(0.2, gt=0)
    """Averaging time in seconds of the frequency."""
    smooth_ms: float = Field(10.0, ge=0)
    """Time constant in milliseconds that smooths the amplitude."""
    min_amplitude_px: float = Field(0.5, ge=0)
    """The frequency of a smaller movement is unknown."""
    setpoint_hz: float | None = Field(None, gt=0)
    """Cut-off in Hz of the set point; half the band's lower edge when absent."""
    reference_s: float = Field(60.0, gt=0)
    """Time constant in seconds of the mean position that the set point is measured from."""

    def memory_ms(self, period_ms: float) -> float:
        """As of `Masked`."""
        return _CYCLES * 1e3 / self.band_hz[0] + _TIMES * self.smooth_ms

    def known_after_s(self) -> float:
        """As of `Masked`."""
        return _SEEN_CYCLES / self.band_hz[0]

    @property
    def points(self) -> tuple[str, ...]:
        """The keypoints, also when there is one."""
        return (self.point,) if isinstance(self.point, str) else self.point

    @model_validator(mode="after")
    def _edges_in_order(self) -> WhiskingSpec:
        _rising(self.band_hz)
        return self


class BlinkSpec(Masked):
    """`.blink` is 1 while the eye is closed; `.opening` is the eye's area over that of the open eye."""

    kind: Literal["blink"]
    points: tuple[str, ...] = Field(EYE, min_length=3)
    """The eye's margin in order."""
    closed_below: float = Field(0.5, gt=0, lt=1)
    """A blink begins when the opening is below this..."""
    open_above: float = Field(0.65, gt=0, lt=1)
    """...and ends when it is above this."""
    baseline_s: float = Field(20.0, gt=0)
    """Time constant in seconds with which the open eye's area is forgotten; it is found in a ninth of it."""
    warm_up_s: float = Field(1.0, ge=0)
    """Seconds that the eye must have been seen before the area of the open eye is used."""

    def known_after_s(self) -> float:
        """As of `Masked`."""
        return self.warm_up_s

    @model_validator(mode="after")
    def _hysteresis(self) -> BlinkSpec:
        _ordered(self.closed_below, self.open_above, "closed_below", "open_above")
        return self


class LickSpec(Masked):
    """`.lick` is 1 while the mouth opens in a rhythm; `.gape` is that rhythm over the mean distance of the points.

    Jaws open to chew, too, and the tongue itself is not among the keypoints.
    """

    kind: Literal["lick"]
    points: tuple[str, str] = ("mouth", "lowerlip")
    """Two keypoints that part when the mouth opens."""
    band_hz: Band = (3.0, 20.0)
    """Lower and upper edge in Hz of the rhythm."""
    open_above: float = Field(0.03, gt=0)
    """A lick begins when the gape is above this..."""
    closed_below: float = Field(0.01)
    """...and ends when it is below this."""
    reference_s: float = Field(10.0, gt=0)
    """Time constant in seconds of the mean distance."""
    warm_up_s: float = Field(1.0, ge=0)
    """Seconds after a start for which it is unknown."""

    def memory_ms(self, period_ms: float) -> float:
        """As of `Masked`."""
        return _CYCLES * 1e3 / self.band_hz[0]

    def known_after_s(self) -> float:
        """As of `Masked`."""
        return self.warm_up_s + _SEEN_CYCLES / self.band_hz[0]

    @model_validator(mode="after")
    def _in_order(self) -> LickSpec:
        _ordered(self.closed_below, self.open_above, "closed_below", "open_above")
        _rising(self.band_hz)
        return self


class GroomSpec(Masked):
    """`.groom` is 1 while a paw is at the mouth; `.distance` in px is unknown when no paw is seen."""

    kind: Literal["groom"]
    paw: str = "paw"
    """The paw's keypoint."""
    mouth: str = "mouth"
    """The keypoint it comes to."""
    near_px: float = Field(gt=0)
    """Grooming begins when the paw is nearer than this..."""
    far_px: float | None = Field(None, gt=0)
    """...and ends when it is farther than this (1.2 times `near_px` when absent) or no longer seen."""

    @model_validator(mode="after")
    def _hysteresis(self) -> GroomSpec:
        if self.far_px is not None:
            _ordered(self.near_px, self.far_px, "near_px", "far_px")
        return self


FeatureSpec = Annotated[
    PositionSpec
    | VelocitySpec
    | SpeedSpec
    | DistanceSpec
    | AngleSpec
    | AreaSpec
    | MotionSpec
    | WhiskingSpec
    | BlinkSpec
    | LickSpec
    | GroomSpec,
    Field(discriminator="kind"),
]


def _ordered(low: float, high: float, low_name: str, high_name: str) -> None:
    if low > high:
        text = f"{low_name} {low:g} is above {high_name} {high:g}"
        raise contradiction(text, low_name)


def _rising(band_hz: Band) -> None:
    if band_hz[0] >= band_hz[1]:
        text = "the lower edge comes first and is the smaller one"
        raise contradiction(text, "band_hz")
