"""Raw keypoints to what an encoder takes in: outliers held back, then a running z-score. It is causal.

Facemap's rules need the future (interpolation) and the whole session (z-score). Their causal substitutes here are
the same for training and for the stream: a training runs a recording through this very code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import UsageError
from rtface.core.records import FloatArray

Float64Array = NDArray[np.float64]

_SMALLEST_SD = 0.1
"""Of a column's reference: below it, a running standard deviation is not used."""


@dataclass(frozen=True, slots=True)
class NormaliseRules:
    """How raw values become inputs.

    Attributes
    ----------
    jump_px : float
        A point that moves farther than this in x or y from one seen frame to the next is held back.
    deviation_px : float
        So is one farther than this in x or y from the running median.
    median_frames : int
        Frames of that median.
    memory_s : float or None
        Time constant of the running mean and variance; None: the reference stays as it is.
    reference_s : float
        How many seconds of a recording the reference is worth at the start of a stream.
    limit : float
        Inputs are kept within this many standard deviations.
    """

    jump_px: float = 25.0
    deviation_px: float = 25.0
    median_frames: int = 50
    memory_s: float | None = 1800.0
    reference_s: float = 300.0
    limit: float = 6.0

    def __post_init__(self) -> None:
        positive = {
            "jump_px": self.jump_px,
            "deviation_px": self.deviation_px,
            "median_frames": self.median_frames,
            "reference_s": self.reference_s,
            "limit": self.limit,
            "memory_s": 1.0 if self.memory_s is None else self.memory_s,
        }
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}: it must be a number above 0")


class Normaliser:
    """Turns the raw values of one frame after the other into an encoder's inputs.

    The first 2 K columns are x and y of K points in pixels; further ones (running speed, ...) are only z-scored. A
    point that is not seen, or held back, keeps its last good place; before the first good one it is at the mean. A
    lost frame is a row of NaN.

    Parameters
    ----------
    rules : NormaliseRules
    points : int
        K.
    rate_hz : float
        Frames a second.
    mean, sd : ndarray, shape (D,)
        The reference: of the recordings that the encoder was trained on.

    Attributes
    ----------
    held : ndarray, shape (D,), bool
        Columns of the newest frame that show an earlier value; rewritten at each step.

    Raises
    ------
    UsageError
        The shapes do not fit together, a standard deviation is not above 0, or the rate is not.
    """

    def __init__(
        self,
        rules: NormaliseRules,
        points: int,
        rate_hz: float,
        mean: NDArray[np.floating[Any]],
        sd: NDArray[np.floating[Any]],
    ) -> None:
        self._mean0, self._sd0 = np.array(mean, np.float64), np.array(sd, np.float64)
        columns = self._mean0.size
        if self._mean0.shape != (columns,) or self._sd0.shape != (columns,) or columns < max(1, 2 * points):
            raise UsageError(
                f"a reference of shapes {np.shape(mean)} and {np.shape(sd)} does not fit {points} points"
            )
        if not (np.isfinite(self._mean0).all() and np.isfinite(self._sd0).all() and (self._sd0 > 0).all()):
            raise UsageError("the reference's means must be finite and its standard deviations above 0")
        if not (math.isfinite(rate_hz) and rate_hz > 0):
            raise UsageError(f"the rate is {rate_hz}: it must be a number above 0")
        self._rules, self._coords = rules, 2 * points
        self._worth = rules.reference_s * rate_hz
        self._slowest = 0.0 if rules.memory_s is None else 1 / (rules.memory_s * rate_hz)
        self._floor = (_SMALLEST_SD * self._sd0) ** 2
        self._rows = np.arange(self._coords)
        self.reset()

    @property
    def columns(self) -> int:
        """Number of columns, D."""
        return int(self._mean0.size)

    def reset(self) -> None:
        """Forget the stream; the reference is what is known again."""
        self._mean, self._variance = self._mean0.copy(), self._sd0**2
        self._seen: Float64Array = np.zeros(self.columns)
        self.interrupt()

    def interrupt(self) -> None:
        """Forget where everything was, but not how it moves: after a pause of the same camera and animal."""
        self._value = self._mean.copy()
        self._last: Float64Array = np.full(self._coords, np.nan)
        self._recent: Float64Array = np.full((self._coords, self._rules.median_frames), np.nan)
        self._place = 0
        self.held: NDArray[np.bool_] = np.ones(self.columns, np.bool_)

    def step(self, raw: NDArray[np.floating[Any]]) -> FloatArray:
        """Take the next frame.

        Parameters
        ----------
        raw : ndarray, shape (D,)
            x0, y0, x1, y1, ... in pixels, then the other columns. NaN: not known.

        Returns
        -------
        ndarray, shape (D,), float32
            The inputs: finite, within the limit.
        """
        row = np.asarray(raw, np.float64)
        good = np.isfinite(row)
        if self._coords:
            good[: self._coords] = self._believed(row[: self._coords], good[: self._coords])
        np.copyto(self._value, row, where=good)
        np.logical_not(good, out=self.held)
        if self._slowest:
            self._learn(good)
        scale = np.sqrt(np.maximum(self._variance, self._floor))
        limit = self._rules.limit
        return np.clip((self._value - self._mean) / scale, -limit, limit).astype(np.float32)

    def run(
        self, raw: NDArray[np.floating[Any]], progress: Callable[[int], None] = lambda frames: None
    ) -> FloatArray:
        """Take a whole recording, shape (T, D), and return its inputs: `step` after `step`, to the bit.

        About 60 microseconds a frame. `progress` is called with the frames done, now and then.
        """
        inputs = np.empty(raw.shape, np.float32)
        for frame, row in enumerate(raw):
            inputs[frame] = self.step(row)
            if frame % 1000 == 999:
                progress(frame + 1)
        progress(len(raw))
        return inputs

    def _believed(self, place: Float64Array, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which coordinates are good; a point's are good or not together."""
        rules = self._rules
        # Comparisons with NaN are false: without an earlier frame nothing is a jump.
        steady = seen & ~(np.abs(place - self._last) > rules.jump_px)
        np.copyto(self._last, place, where=seen)
        self._recent[:, self._place] = np.where(steady, place, np.nan)
        self._place = (self._place + 1) % rules.median_frames
        ordered = np.sort(self._recent, axis=1)  # NaN last
        known = np.isfinite(ordered).sum(axis=1)
        middle = ordered[self._rows, np.maximum(known - 1, 0) // 2]
        good = steady & ~(np.abs(place - middle) > rules.deviation_px)
        both = good[0::2] & good[1::2]
        return np.repeat(both, 2)

    def _learn(self, good: NDArray[np.bool_]) -> None:
        """Move mean and variance towards the good values: as of all that was seen at first, forgetting later."""
        self._seen += good
        weight = good * np.maximum(1 / (self._worth + self._seen), self._slowest)
        off = self._value - self._mean
        self._mean += weight * off
        self._variance += weight * ((1 - weight) * off * off - self._variance)


def reference(
    raw: NDArray[np.floating[Any]], points: int, rules: NormaliseRules
) -> tuple[Float64Array, Float64Array]:
    """Return mean and standard deviation of the columns of a recording, robust against outliers of the points.

    Values farther than the rules' `deviation_px` from a point's median and beyond six of its quartile-based standard
    deviations are left out. A column that never moves gets a standard deviation of 1, one that was never seen
    a mean of 0 too.

    Parameters
    ----------
    raw : ndarray, shape (T, D)
        As `Normaliser.step` takes them.
    points : int
    rules : NormaliseRules
    """
    mean, sd = np.zeros(raw.shape[1]), np.ones(raw.shape[1])
    for column in range(raw.shape[1]):
        values = np.asarray(raw[:, column], np.float64)
        values = values[np.isfinite(values)]
        if column < 2 * points and values.size:
            low, middle, high = np.percentile(values, (25, 50, 75))
            far = max(rules.deviation_px, 6 * (high - low) / 1.349)
            values = values[np.abs(values - middle) <= far]
        if values.size:
            mean[column], spread = values.mean(), values.std()
            sd[column] = spread if spread > 0 else 1.0
    return mean, sd
