"""Butterworth filters of a point in the plane, for any interval between samples.

Each second-order section is a small analogue circuit that is integrated by the trapezoidal rule. At a constant
interval that is the bilinear transform, so the result is that of the usual cascade of biquads
(`scipy.signal.butter` with ``output="sos"``); at intervals that vary it needs no resampling and stays stable
(Zavalishin 2012, "The art of VA filter design", chapter 3). The edges are pre-warped for the nominal rate.
"""

from __future__ import annotations

import cmath
import math
from typing import Protocol


def warped(frequency_hz: float, rate_hz: float) -> float:
    """Return the analogue angular frequency in rad/s that the bilinear transform maps to `frequency_hz`."""
    return 2 * rate_hz * math.tan(math.pi * frequency_hz / rate_hz)


def unwarped(omega: float, rate_hz: float) -> float:
    """Return the frequency in Hz of an analogue angular frequency; the inverse of `warped`."""
    return math.atan(omega / (2 * rate_hz)) * rate_hz / math.pi


def band_pass_poles(low: float, high: float, order: int) -> list[tuple[float, float]]:
    """Return the sections of an analogue Butterworth band-pass.

    Parameters
    ----------
    low, high : float
        The edges in rad/s, where the gain is 1/sqrt(2).
    order : int
        Order of the low-pass prototype; there are as many sections.

    Returns
    -------
    list of (a0, a1)
        Each section is ``(high - low) s / (s^2 + a1 s + a0)``.
    """
    width, middle = high - low, low * high
    sections = [(middle, width)] if order % 2 else []
    for index in range(order // 2):
        half = cmath.exp(1j * math.pi * (2 * index + 1 + order) / (2 * order)) * width / 2
        root = cmath.sqrt(half * half - middle)
        sections += [(abs(pole) ** 2, -2 * pole.real) for pole in (half + root, half - root)]
    return sections


class FilterSection:
    """A second-order section ``1 / (s^2 + a1 s + a0)`` of x and y, with its first two derivatives.

    Attributes
    ----------
    x, y : float
        Its output.
    vx, vy : float
        Its derivative.
    wx, wy : float
        Its second derivative.
    """

    __slots__ = ("_a0", "_a1", "vx", "vy", "wx", "wy", "x", "y")

    def __init__(self, a0: float, a1: float) -> None:
        self._a0, self._a1 = a0, a1
        self.reset()

    def reset(self) -> None:
        """Be at rest, as after an input that has always been 0."""
        self.x = self.y = self.vx = self.vy = self.wx = self.wy = 0.0

    def step(self, in_x: float, in_y: float, half_s: float) -> None:
        """Take an input that comes two times `half_s` seconds after the one before."""
        a0, a1 = self._a0, self._a1
        keep = 1 / (1 + half_s * (a1 + half_s * a0))
        x, v = self.x, self.vx
        now = keep * (v + half_s * (self.wx + in_x - a0 * (x + half_s * v)))
        self.x = x = x + half_s * (v + now)
        self.vx, self.wx = now, in_x - a0 * x - a1 * now
        y, v = self.y, self.vy
        now = keep * (v + half_s * (self.wy + in_y - a0 * (y + half_s * v)))
        self.y = y = y + half_s * (v + now)
        self.vy, self.wy = now, in_y - a0 * y - a1 * now


class BandPass:
    """A Butterworth band-pass of a point's x and y.

    Parameters
    ----------
    low_hz, high_hz : float
        The edges.
    order : int
        Order of the low-pass prototype, as in `scipy.signal.butter`.
    rate_hz : float
        Nominal rate of the samples.

    Attributes
    ----------
    x, y : float
        What lies in the band.
    vx, vy : float
        Its derivative: a quarter of a turn ahead at every frequency, and larger by `warped` of it.
    """

    __slots__ = ("_gain", "_sections", "vx", "vy", "x", "y")

    def __init__(self, low_hz: float, high_hz: float, order: int, rate_hz: float) -> None:
        low, high = warped(low_hz, rate_hz), warped(high_hz, rate_hz)
        self._sections = tuple(FilterSection(a0, a1) for a0, a1 in band_pass_poles(low, high, order))
        self._gain = high - low
        self.reset()

    def reset(self) -> None:
        """Be at rest."""
        for section in self._sections:
            section.reset()
        self.x = self.y = self.vx = self.vy = 0.0

    def step(self, x: float, y: float, half_s: float) -> None:
        """Take a sample that comes two times `half_s` seconds after the one before."""
        gain = self._gain
        for section in self._sections:
            section.step(x, y, half_s)
            x, y = gain * section.vx, gain * section.vy
        self.x, self.y = x, y
        self.vx, self.vy = gain * section.wx, gain * section.wy


class LowPass:
    """A second-order Butterworth low-pass of a point's x and y; parameters and attributes as `BandPass`."""

    __slots__ = ("_gain", "_section", "x", "y")

    def __init__(self, high_hz: float, rate_hz: float) -> None:
        high = warped(high_hz, rate_hz)
        self._gain = high * high
        self._section = FilterSection(self._gain, math.sqrt(2) * high)
        self.reset()

    def reset(self) -> None:
        """Be at rest."""
        self._section.reset()
        self.x = self.y = 0.0

    def step(self, x: float, y: float, half_s: float) -> None:
        """Take a sample that comes two times `half_s` seconds after the one before."""
        self._section.step(x, y, half_s)
        self.x, self.y = self._gain * self._section.x, self._gain * self._section.y


class PlaneFilter(Protocol):
    """A filter of a point's x and y, such as `BandPass`."""

    def reset(self) -> None:
        """Be at rest."""

    def step(self, x: float, y: float, half_s: float) -> None:
        """Take a sample that comes two times `half_s` seconds after the one before."""


class Feed:
    """Feeds filters with a point's displacement from where it was first seen.

    Where frames are missing, the filters step through the linear interpolation at the nominal rate; how many steps
    that can be is bounded by whoever starts afresh after a long gap.

    Parameters
    ----------
    rate_hz : float
        Nominal rate of the samples.
    *filters : PlaneFilter
        What is fed.

    Attributes
    ----------
    origin_x, origin_y : float
        Where the point was first seen; the filters are at rest there.
    """

    __slots__ = ("_filters", "_rate_hz", "_x", "_y", "origin_x", "origin_y")

    def __init__(self, rate_hz: float, *filters: PlaneFilter) -> None:
        self._rate_hz, self._filters = rate_hz, filters
        self._x = self._y = self.origin_x = self.origin_y = 0.0

    def start(self, x: float, y: float) -> None:
        """Put the filters to rest at a first sample."""
        for each in self._filters:
            each.reset()
        self.origin_x, self.origin_y = x, y
        self._x = self._y = 0.0

    def step(self, x: float, y: float, dt_s: float) -> None:
        """Take a sample, `dt_s` > 0 seconds after the one before."""
        x, y = x - self.origin_x, y - self.origin_y
        steps = round(dt_s * self._rate_hz) or 1
        half_s = dt_s / (2 * steps)
        for missing in range(steps - 1, -1, -1):
            part = missing / steps
            at_x, at_y = x + part * (self._x - x), y + part * (self._y - y)
            for each in self._filters:
                each.step(at_x, at_y, half_s)
        self._x, self._y = x, y


class RunningMean:
    """Mean of x and y over a running time: of all that was seen at first, exponentially forgotten later.

    Parameters
    ----------
    time_s : float
        Time constant in seconds.

    Attributes
    ----------
    x, y : float
        The mean.
    seen_s : float
        Seconds that went into it.
    """

    __slots__ = ("_time_s", "seen_s", "x", "y")

    def __init__(self, time_s: float) -> None:
        self._time_s = time_s
        self.x = self.y = self.seen_s = 0.0

    def update(self, x: float, y: float, dt_s: float) -> None:
        """Take a sample that stands for `dt_s` seconds; one of 0 s counts only where nothing was seen."""
        self.seen_s += dt_s
        if self.seen_s:
            weight = max(1 - math.exp(-dt_s / self._time_s), dt_s / self.seen_s)
            self.x += weight * (x - self.x)
            self.y += weight * (y - self.y)
        else:
            self.x, self.y = x, y
