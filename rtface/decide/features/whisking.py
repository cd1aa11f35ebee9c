"""Whisking from the movement of the whisker pad: amplitude, frequency and set point, causal and frame by frame.

The position along the axis of the movement is taken to be ``amplitude * cos(phase) + set point``, the
decomposition of Hill, Curtis, Moore and Kleinfeld (Neuron 2011). They find it with a band-pass forwards and
backwards and the Hilbert transform, which need the future. Here

- a causal Butterworth band-pass gives the rhythm p and, exactly a quarter of a turn ahead, its derivative q;
- the angular frequency is ``sqrt(mean q^2 / mean p^2)``, Hjorth's mobility (1970), over a running time;
- the amplitude is ``sqrt(p^2 + (q / omega)^2)``, half of peak to trough; exact for a steady sine within the band.
  A sine of frequency f comes out with the filter's gain at f, which is 1 in the band's middle;
- the set point is the position, low-passed below the band, against a slow running mean of the position;
- the axis is the direction of the largest variance of the band-passed movement, a running estimate. It is known
  up to sign: it starts towards the image's right and then keeps its sense while it turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rtface.core.features import NEVER_NS
from rtface.decide.features.base import Extractor
from rtface.decide.features.filters import BandPass, Feed, LowPass, RunningMean, unwarped, warped
from rtface.decide.features.points import PointTrack
from rtface.decide.features.specs import WhiskingSpec

_NAN = math.nan
_UNKNOWN = (_NAN, _NAN, _NAN)
_WARM_UP_CYCLES = 2.0


class Axis:
    """Principal axis of a movement in the plane, by a running estimate of its covariance about zero.

    Parameters
    ----------
    time_s : float
        Time constant of the estimate in seconds.
    fixed_deg : float or None
        A direction that is known, clockwise from the image's x axis.

    Attributes
    ----------
    x, y : float
        The unit vector.
    """

    __slots__ = ("_fixed_deg", "_time_s", "_xx", "_xy", "_yy", "x", "y")

    def __init__(self, time_s: float, fixed_deg: float | None) -> None:
        self._time_s, self._fixed_deg = time_s, fixed_deg
        self.reset()

    def reset(self) -> None:
        """Forget the movement."""
        angle = math.radians(self._fixed_deg or 0.0)
        self.x, self.y = math.cos(angle), math.sin(angle)
        self._xx = self._xy = self._yy = 0.0

    def update(self, x: float, y: float, dt_s: float) -> None:
        """Take a displacement from rest that lasted `dt_s`."""
        if self._fixed_deg is not None:
            return
        weight = 1 - math.exp(-dt_s / self._time_s)
        self._xx = xx = self._xx + weight * (x * x - self._xx)
        self._xy = xy = self._xy + weight * (x * y - self._xy)
        self._yy = yy = self._yy + weight * (y * y - self._yy)
        angle = 0.5 * math.atan2(2 * xy, xx - yy)
        along_x, along_y = math.cos(angle), math.sin(angle)
        if along_x * self.x + along_y * self.y < 0:
            along_x, along_y = -along_x, -along_y
        self.x, self.y = along_x, along_y


class _Power:
    """Running mean squares of rhythm and derivative, by two first-order low-passes in a row.

    Two take the ripple at twice the rhythm's frequency down far better than one with the same delay.
    """

    __slots__ = ("_first_p", "_first_q", "_time_s", "p", "q")

    def __init__(self, time_s: float) -> None:
        self._time_s = time_s / 2
        self.reset()

    def reset(self) -> None:
        self._first_p = self._first_q = self.p = self.q = 0.0

    def update(self, p: float, q: float, dt_s: float) -> None:
        weight = 1 - math.exp(-dt_s / self._time_s)
        self._first_p += weight * (p * p - self._first_p)
        self._first_q += weight * (q * q - self._first_q)
        self.p += weight * (self._first_p - self.p)
        self.q += weight * (self._first_q - self.q)


class Whisking(Extractor):
    """Amplitude, frequency and set point of the mean movement of one point or several.

    After the start and after a gap longer than the spec's `max_gap_ms` all values are unknown for two cycles of
    the band's lower edge. Axis and mean position outlast gaps. In a lost frame's place the movement is
    interpolated.

    Parameters
    ----------
    tracks : sequence of PointTrack
        Unsmoothed.
    spec : WhiskingSpec
    rate_hz : float
        Nominal frames per second, more than twice the band's upper edge.
    """

    names, units = ("amplitude", "frequency", "setpoint"), ("px", "Hz", "px")
    __slots__ = (
        "_amplitude",
        "_axis",
        "_band",
        "_feed",
        "_high",
        "_known_ns",
        "_last_ns",
        "_low",
        "_max_gap_ns",
        "_mean",
        "_power",
        "_rate_hz",
        "_slow",
        "_spec",
        "_warm_up_ns",
    )

    def __init__(self, tracks: Sequence[PointTrack], spec: WhiskingSpec, rate_hz: float) -> None:
        super().__init__(tracks)
        low_hz, high_hz = spec.band_hz
        self._spec, self._rate_hz = spec, rate_hz
        self._low, self._high = warped(low_hz, rate_hz), warped(high_hz, rate_hz)
        self._band = BandPass(low_hz, high_hz, spec.order, rate_hz)
        self._slow = LowPass(spec.setpoint_hz or low_hz / 2, rate_hz)
        self._feed = Feed(rate_hz, self._band, self._slow)
        self._axis = Axis(spec.axis_s, spec.axis_deg)
        self._power = _Power(spec.frequency_s)
        self._max_gap_ns = spec.max_gap_ns
        self._warm_up_ns = round(1e9 * _WARM_UP_CYCLES / low_hz)
        self.reset()

    def reset(self) -> None:
        """See `Extractor`."""
        super().reset()
        self._axis.reset()
        self._last_ns = self._known_ns = NEVER_NS
        self._mean = RunningMean(self._spec.reference_s)
        self._amplitude = 0.0

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        self._rest_on_all()
        x = y = 0.0
        for track in self.tracks:
            x += track.x
            y += track.y
        if x != x:
            return _UNKNOWN
        x, y = x / len(self.tracks), y / len(self.tracks)
        passed_ns = now_ns - self._last_ns
        if passed_ns > self._max_gap_ns:
            self._feed.start(x, y)
            self._power.reset()
            self._mean.update(x, y, 0.0)
            self._amplitude = 0.0
            self._last_ns, self._known_ns = now_ns, now_ns + self._warm_up_ns
            return _UNKNOWN
        self._last_ns = now_ns
        dt_s = 1e-9 * passed_ns
        self._feed.step(x, y, dt_s)
        self._mean.update(x, y, dt_s)
        band, axis = self._band, self._axis
        axis.update(band.x, band.y, dt_s)
        rhythm, derivative = band.x * axis.x + band.y * axis.y, band.vx * axis.x + band.vy * axis.y
        self._power.update(rhythm, derivative, dt_s)
        omega = self._omega()
        derivative /= min(max(omega, self._low), self._high)
        envelope = math.sqrt(rhythm * rhythm + derivative * derivative)
        self._amplitude += dt_s / (dt_s + 1e-3 * self._spec.smooth_ms) * (envelope - self._amplitude)
        if now_ns < self._known_ns:
            return _UNKNOWN
        slow_x = self._slow.x + self._feed.origin_x - self._mean.x
        slow_y = self._slow.y + self._feed.origin_y - self._mean.y
        return (
            self._amplitude,
            unwarped(omega, self._rate_hz) if self._amplitude > self._spec.min_amplitude_px else _NAN,
            slow_x * axis.x + slow_y * axis.y,
        )

    def _omega(self) -> float:
        """Return the rhythm's angular frequency in rad/s, as warped by the filter."""
        power = self._power
        return math.sqrt(power.q / power.p) if power.p > 0 else self._low
