"""Smoothing of one point, frame by frame and for any interval between frames.

Plain Python floats throughout: for a single point they are many times faster than numpy. A smoother never gets a
point that was masked, and is started afresh after a gap by whoever feeds it (`rtface.decide.features.points`).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from rtface.decide.features.specs import KalmanSpec, OneEuroSpec

_NAN = math.nan
_KNOWN_AFTER = 10
_MOST_PENDING = 1024
_START_S = 1.0


class Smoother(Protocol):
    """Smooths the positions of one point.

    Attributes
    ----------
    x, y : float
        Position in px; NaN until it is known.
    vx, vy : float
        Velocity in px/s; NaN until it is known.
    error : float
        Running prediction error in px; NaN where none is made or known.
    bridge_s : float
        For how many seconds after the last sample `ahead` may be used.
    """

    x: float
    y: float
    vx: float
    vy: float
    error: float
    bridge_s: float

    def start(self, x: float, y: float) -> None:
        """Forget all and begin with this sample."""

    def step(self, x: float, y: float, dt_s: float) -> None:
        """Take a sample, `dt_s` > 0 seconds after the one before."""

    def ahead(self, dt_s: float) -> tuple[float, float, float, float]:
        """Return x, y, vx and vy as predicted `dt_s` seconds after the last sample; changes nothing."""


class Unsmoothed:
    """No smoothing: the position as measured, the velocity from the sample before."""

    __slots__ = ("bridge_s", "error", "vx", "vy", "x", "y")

    def __init__(self) -> None:
        self.x = self.y = self.vx = self.vy = self.error = _NAN
        self.bridge_s = 0.0

    def start(self, x: float, y: float) -> None:
        """See `Smoother`."""
        self.x, self.y = x, y
        self.vx = self.vy = _NAN

    def step(self, x: float, y: float, dt_s: float) -> None:
        """See `Smoother`."""
        self.vx, self.vy = (x - self.x) / dt_s, (y - self.y) / dt_s
        self.x, self.y = x, y

    def ahead(self, dt_s: float) -> tuple[float, float, float, float]:
        """See `Smoother`."""
        return _NAN, _NAN, _NAN, _NAN


class OneEuro(Unsmoothed):
    """The One-Euro filter of Casiez, Roussel and Vogel (CHI 2012), in two dimensions.

    A first-order low-pass whose cut-off is ``min_cutoff + beta * speed``; the speed is that of the sample against
    the filtered position before it, low-passed at `derivative_cutoff_hz`. One cut-off serves x and y, from the
    speed in the plane, so that the result does not depend on how the camera is turned. The velocity is the change
    of the filtered position over the interval.
    """

    __slots__ = ("_beta", "_dx", "_dy", "_min_cutoff", "_tau_d")

    def __init__(self, spec: OneEuroSpec) -> None:
        super().__init__()
        self._min_cutoff, self._beta = 2 * math.pi * spec.min_cutoff_hz, 2 * math.pi * spec.beta
        self._tau_d = 1 / (2 * math.pi * spec.derivative_cutoff_hz)
        self._dx = self._dy = 0.0

    def start(self, x: float, y: float) -> None:
        """See `Smoother`."""
        super().start(x, y)
        self._dx = self._dy = 0.0

    def step(self, x: float, y: float, dt_s: float) -> None:
        """See `Smoother`."""
        away_x, away_y = x - self.x, y - self.y
        weight = dt_s / (dt_s + self._tau_d)
        self._dx = dx = self._dx + weight * (away_x / dt_s - self._dx)
        self._dy = dy = self._dy + weight * (away_y / dt_s - self._dy)
        turn = dt_s * (self._min_cutoff + self._beta * math.sqrt(dx * dx + dy * dy))
        weight = turn / (turn + 1)
        away_x, away_y = weight * away_x, weight * away_y
        self.x, self.y = self.x + away_x, self.y + away_y
        self.vx, self.vy = away_x / dt_s, away_y / dt_s


class PredictionError:
    """Running root mean square of how far predictions were from what was then measured, in px.

    A prediction for a moment between two samples is compared with their linear interpolation.

    Parameters
    ----------
    horizon_s : float
        How far ahead the predictions are.
    average_s : float
        Time constant of the running mean of squares.
    """

    def __init__(self, horizon_s: float, average_s: float) -> None:
        self._horizon_s, self._average_s = horizon_s, average_s
        self._pending: deque[tuple[float, float, float]] = deque(maxlen=_MOST_PENDING)
        self._now_s = self._x = self._y = self._square = 0.0
        self._count = 0
        self.rms = _NAN

    def start(self, x: float, y: float) -> None:
        """Forget what was predicted; the mean of the past errors stays."""
        self._pending.clear()
        self._now_s, self._x, self._y = 0.0, x, y

    def measured(self, x: float, y: float, dt_s: float) -> None:
        """Compare the predictions that are due with a new sample."""
        before_s, self._now_s = self._now_s, self._now_s + dt_s
        pending = self._pending
        while pending and pending[0][0] <= self._now_s:
            due_s, ahead_x, ahead_y = pending.popleft()
            part = (due_s - before_s) / dt_s
            away_x = self._x + part * (x - self._x) - ahead_x
            away_y = self._y + part * (y - self._y) - ahead_y
            self._count += 1
            weight = max(1 / self._count, 1 - math.exp(-dt_s / self._average_s))
            self._square += weight * (away_x * away_x + away_y * away_y - self._square)
            if self._count >= _KNOWN_AFTER:
                self.rms = math.sqrt(self._square)
        self._x, self._y = x, y

    def predicted(self, x: float, y: float) -> None:
        """Remember what is predicted from the newest sample."""
        self._pending.append((self._now_s + self._horizon_s, x, y))


class _Kalman(Unsmoothed):
    """What both models share: prediction over the latency, its error, the warm-up."""

    __slots__ = ("_away", "_latency_s", "_q", "_r", "_samples", "_warm_up")

    def __init__(self, spec: KalmanSpec, warm_up: int) -> None:
        super().__init__()
        self._latency_s = 1e-3 * spec.latency_ms
        self._away = PredictionError(self._latency_s, spec.error_s)
        self._r = spec.noise_px**2
        self._q = spec.density**2
        self.bridge_s = 1e-3 * spec.bridge_ms
        self._samples, self._warm_up = 0, warm_up

    def start(self, x: float, y: float) -> None:
        """See `Smoother`."""
        self.x = self.y = self.vx = self.vy = _NAN
        self._away.start(x, y)
        self._samples = 1

    def _predict(self, x: float, y: float, dt_s: float) -> None:
        """Predict from the state that has taken the sample (x, y) in."""
        self._away.measured(x, y, dt_s)
        self.error = self._away.rms
        self._samples += 1
        if self._samples >= self._warm_up:
            self.x, self.y, self.vx, self.vy = self.ahead(0.0)
            self._away.predicted(self.x, self.y)


class ConstantVelocity(_Kalman):
    """Kalman filter of a point whose velocity is moved by white acceleration.

    The continuous white-noise acceleration model (Bar-Shalom, Li and Kirubarajan 2001, section 6.2.2), exact for
    any interval. x and y have the same noise, so they share one covariance. It starts at the first sample at rest,
    as unsure of the velocity as 1 s of the process makes it, and is known from the third sample.
    """

    __slots__ = ("_p00", "_p01", "_p11", "_sx", "_sy", "_ux", "_uy")

    def __init__(self, spec: KalmanSpec) -> None:
        super().__init__(spec, 3)
        self._sx = self._sy = self._ux = self._uy = 0.0
        self._p00 = self._p01 = self._p11 = 0.0

    def start(self, x: float, y: float) -> None:
        """See `Smoother`."""
        super().start(x, y)
        self._sx, self._sy, self._ux, self._uy = x, y, 0.0, 0.0
        self._p00, self._p01, self._p11 = self._r, 0.0, self._q * _START_S

    def step(self, x: float, y: float, dt_s: float) -> None:
        """See `Smoother`."""
        q, p11 = self._q * dt_s, self._p11
        p00 = self._p00 + dt_s * (2 * self._p01 + dt_s * (p11 + q / 3))
        p01 = self._p01 + dt_s * (p11 + q / 2)
        gain, gain_v = p00 / (p00 + self._r), p01 / (p00 + self._r)
        sx, sy = self._sx + dt_s * self._ux, self._sy + dt_s * self._uy
        away_x, away_y = x - sx, y - sy
        self._sx, self._sy = sx + gain * away_x, sy + gain * away_y
        self._ux += gain_v * away_x
        self._uy += gain_v * away_y
        self._p00, self._p01 = p00 * (1 - gain), p01 * (1 - gain)
        self._p11 = p11 + q - gain_v * p01
        self._predict(x, y, dt_s)

    def ahead(self, dt_s: float) -> tuple[float, float, float, float]:
        """See `Smoother`; unknown during the warm-up."""
        if self._samples < self._warm_up:
            return _NAN, _NAN, _NAN, _NAN
        ahead_s = dt_s + self._latency_s
        return self._sx + ahead_s * self._ux, self._sy + ahead_s * self._uy, self._ux, self._uy


class ConstantAcceleration(_Kalman):
    """Kalman filter of a point whose acceleration is moved by white jerk.

    The continuous Wiener-process acceleration model (Bar-Shalom, Li and Kirubarajan 2001, section 6.2.3);
    otherwise as `ConstantVelocity`. Known from the fourth sample.
    """

    __slots__ = ("_p", "_state_x", "_state_y")

    def __init__(self, spec: KalmanSpec) -> None:
        super().__init__(spec, 4)
        self._state_x = self._state_y = (0.0, 0.0, 0.0)
        self._p = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def start(self, x: float, y: float) -> None:
        """See `Smoother`."""
        super().start(x, y)
        self._state_x, self._state_y = (x, 0.0, 0.0), (y, 0.0, 0.0)
        self._p = (self._r, 0.0, 0.0, self._q * _START_S**3 / 3, 0.0, self._q * _START_S)

    def step(self, x: float, y: float, dt_s: float) -> None:
        """See `Smoother`."""
        p00, p01, p02, p11, p12, p22 = self._p
        q, half = self._q * dt_s, dt_s / 2
        f02 = p02 + dt_s * (p12 + half * p22)
        f11, f12 = p11 + dt_s * p12, p12 + dt_s * p22
        f01 = p01 + dt_s * (p11 + half * p12)
        q02 = q * dt_s * dt_s / 6
        p00 += dt_s * (p01 + half * p02) + dt_s * (f01 + half * f02) + q02 * dt_s * dt_s * 0.3
        p01 = f01 + dt_s * f02 + q02 * dt_s * 0.75
        p02 = f02 + q02
        p11 = f11 + dt_s * f12 + 2 * q02
        p12 = f12 + q * half
        p22 += q
        s = p00 + self._r
        k0, k1, k2 = p00 / s, p01 / s, p02 / s
        sx, ux, wx = self._state_x
        ux_now, sx = ux + dt_s * wx, sx + dt_s * (ux + half * wx)
        away = x - sx
        self._state_x = (sx + k0 * away, ux_now + k1 * away, wx + k2 * away)
        sy, uy, wy = self._state_y
        uy_now, sy = uy + dt_s * wy, sy + dt_s * (uy + half * wy)
        away = y - sy
        self._state_y = (sy + k0 * away, uy_now + k1 * away, wy + k2 * away)
        keep = 1 - k0
        self._p = (p00 * keep, p01 * keep, p02 * keep, p11 - k1 * p01, p12 - k1 * p02, p22 - k2 * p02)
        self._predict(x, y, dt_s)

    def ahead(self, dt_s: float) -> tuple[float, float, float, float]:
        """See `Smoother`; unknown during the warm-up."""
        if self._samples < self._warm_up:
            return _NAN, _NAN, _NAN, _NAN
        ahead_s = dt_s + self._latency_s
        (sx, ux, wx), (sy, uy, wy) = self._state_x, self._state_y
        return (
            sx + ahead_s * (ux + ahead_s / 2 * wx),
            sy + ahead_s * (uy + ahead_s / 2 * wy),
            ux + ahead_s * wx,
            uy + ahead_s * wy,
        )


def make_smoother(spec: OneEuroSpec | KalmanSpec | None) -> Smoother:
    """Return a smoother of one point; None asks for the position as measured."""
    if spec is None:
        return Unsmoothed()
    if isinstance(spec, OneEuroSpec):
        return OneEuro(spec)
    return ConstantVelocity(spec) if spec.model == "velocity" else ConstantAcceleration(spec)
