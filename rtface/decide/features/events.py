"""Detectors of blinks, licks and grooming: 0 or 1 with hysteresis, and the quantity behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rtface.core.features import NEVER_NS
from rtface.decide.features.base import Extractor
from rtface.decide.features.filters import BandPass, Feed, RunningMean
from rtface.decide.features.points import PointTrack
from rtface.decide.features.shapes import polygon_area
from rtface.decide.features.specs import BlinkSpec, GroomSpec, LickSpec

_NAN = math.nan
_UNKNOWN = (_NAN, _NAN)
_ASYMMETRY = 9.0
_FAR = 1.2


class Baseline:
    """The resting level of a quantity that leaves it to one side now and then: a running expectile.

    It follows the quantity with a first-order lag that is nine times as quick towards the resting side as away
    from it, which settles at the 0.9 (or 0.1) expectile (Newey and Powell 1987): near the usual level, little
    moved by events. In the beginning the lag is no longer than the time seen, so that a start amid an event is
    soon corrected.

    Parameters
    ----------
    time_s : float
        Time constant in seconds away from the resting side.
    high : bool
        Rest is the higher level, as of an open eye.
    """

    __slots__ = ("_high", "_time_s", "level", "seen_s")

    def __init__(self, time_s: float, high: bool) -> None:
        self._time_s, self._high = time_s, high
        self.level, self.seen_s = _NAN, 0.0

    def update(self, value: float, dt_s: float) -> None:
        """Take a value that is known; `dt_s` is the time since the last one, 0 at a start."""
        if self.level != self.level:
            self.level = value
            return
        self.seen_s += dt_s
        lag_s = min(self._time_s, self.seen_s)
        if (value > self.level) == self._high:
            lag_s /= _ASYMMETRY
        if lag_s:
            self.level += (1 - math.exp(-dt_s / lag_s)) * (value - self.level)


class Blink(Extractor):
    """Closure of the eye: its area over that of the open eye; off after a gap, which the open eye's area outlasts.

    Parameters
    ----------
    tracks : sequence of PointTrack
        The eye's margin in order.
    spec : BlinkSpec
    """

    names, units = ("blink", "opening"), ("1", "1")
    __slots__ = ("_baseline", "_last_ns", "_max_gap_ns", "_on", "_spec")

    def __init__(self, tracks: Sequence[PointTrack], spec: BlinkSpec) -> None:
        super().__init__(tracks)
        self._spec, self._max_gap_ns = spec, spec.max_gap_ns
        self.reset()

    def reset(self) -> None:
        """See `Extractor`."""
        super().reset()
        self._baseline = Baseline(self._spec.baseline_s, high=True)
        self._last_ns, self._on = NEVER_NS, False

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        self._rest_on_all()
        area, baseline = polygon_area(self.tracks), self._baseline
        if area != area:
            return _UNKNOWN
        passed_ns, self._last_ns = now_ns - self._last_ns, now_ns
        if passed_ns > self._max_gap_ns:
            passed_ns, self._on = 0, False
        baseline.update(area, 1e-9 * passed_ns)
        if baseline.seen_s < self._spec.warm_up_s or not baseline.level:
            return _UNKNOWN
        opening = area / baseline.level
        self._on = opening <= self._spec.open_above if self._on else opening < self._spec.closed_below
        return float(self._on), opening


class Lick(Extractor):
    """Rhythmic opening of the mouth: the distance of two points, band-passed, over its running mean.

    Jaws also drift, as far as a lick opens them but more slowly; the band leaves that out. After the start and
    after a gap it is unknown for the spec's `warm_up_s`; the mean outlasts gaps.

    Parameters
    ----------
    tracks : (PointTrack, PointTrack)
        Two points that part when the mouth opens.
    spec : LickSpec
    rate_hz : float
        Nominal frames per second, more than twice the band's upper edge.
    """

    names, units = ("lick", "gape"), ("1", "1")
    __slots__ = ("_band", "_feed", "_known_ns", "_last_ns", "_max_gap_ns", "_mean", "_on", "_spec")

    def __init__(self, tracks: Sequence[PointTrack], spec: LickSpec, rate_hz: float) -> None:
        super().__init__(tracks)
        self._spec, self._max_gap_ns = spec, spec.max_gap_ns
        self._band = BandPass(*spec.band_hz, 1, rate_hz)
        self._feed = Feed(rate_hz, self._band)
        self.reset()

    def reset(self) -> None:
        """See `Extractor`."""
        super().reset()
        self._mean = RunningMean(self._spec.reference_s)
        self._last_ns = self._known_ns = NEVER_NS
        self._on = False

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        self._rest_on_all()
        one, two = self.tracks
        distance = math.hypot(one.x - two.x, one.y - two.y)
        if distance != distance:
            return _UNKNOWN
        passed_ns, self._last_ns = now_ns - self._last_ns, now_ns
        if passed_ns > self._max_gap_ns:
            self._feed.start(distance, 0.0)
            self._mean.update(distance, 0.0, 0.0)
            self._known_ns, self._on = now_ns + round(1e9 * self._spec.warm_up_s), False
            return _UNKNOWN
        dt_s = 1e-9 * passed_ns
        self._feed.step(distance, 0.0, dt_s)
        self._mean.update(distance, 0.0, dt_s)
        if now_ns < self._known_ns or not self._mean.x:
            return _UNKNOWN
        gape = self._band.x / self._mean.x
        self._on = gape >= self._spec.closed_below if self._on else gape > self._spec.open_above
        return float(self._on), gape


class Groom(Extractor):
    """A paw at the mouth.

    A paw that has coordinates but too low a score is not in view: no grooming, with one less the paw's score as
    the score of that. A paw without coordinates is one that the engine cannot find: unknown.

    Parameters
    ----------
    tracks : (PointTrack, PointTrack)
        Paw and mouth.
    spec : GroomSpec
    """

    names, units = ("groom", "distance"), ("1", "px")
    __slots__ = ("_far", "_near", "_on")

    def __init__(self, tracks: Sequence[PointTrack], spec: GroomSpec) -> None:
        super().__init__(tracks)
        self._near, self._far = spec.near_px, spec.far_px or _FAR * spec.near_px
        self._on = False

    def reset(self) -> None:
        """See `Extractor`."""
        super().reset()
        self._on = False

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        paw, mouth = self.tracks
        if paw.absent:
            self._on = False
            self.score, self.exposure_ns = min(1 - paw.score, mouth.score), now_ns
            return 0.0, _NAN
        self._rest_on_all()
        distance = math.hypot(paw.x - mouth.x, paw.y - mouth.y)
        if distance != distance:
            self._on = False
            return _UNKNOWN
        self._on = distance <= self._far if self._on else distance < self._near
        return float(self._on), distance
