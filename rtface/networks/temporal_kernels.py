"""Temporal kernels that the encoders start from or are made of; the oldest tap is the first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rtface.core.records import FloatArray


def gabors(count: int, taps: int) -> FloatArray:
    """Return Gabor functions, shape (count, taps), of unit norm: pairs a quarter of a turn apart.

    The envelope's width is 1 in a window of 2 pi; the pairs' frequencies rise from 1 to 10 in equal ratios.
    """
    time = np.linspace(-np.pi, np.pi, taps)
    rates = np.geomspace(1, 10, math.ceil(count / 2))
    bank = [np.exp(-(time**2) / 2) * wave(rate * time) for rate in rates for wave in (np.cos, np.sin)]
    return _of_unit_norm(np.stack(bank[:count]))


def bumps(count: int, taps: int) -> FloatArray:
    """Return raised cosines, shape (count, taps), that widen into the past and sum to a constant between peaks.

    They are evenly spaced and equally wide in the logarithm of the age. The first peaks at the present frame, the
    last at the oldest. A bump that falls between the taps of a short window is 0.
    """
    if count == 0:
        return np.zeros((0, taps), np.float32)
    age = np.log1p(np.arange(taps)[::-1] / 2)
    spacing = age[0] / max(1, count - 1) or 1.0
    phase = (age - spacing * np.arange(count)[:, None]) / spacing
    bank = np.where(np.abs(phase) < 1, (1 + np.cos(np.pi * phase)) / 2, 0)
    return _of_unit_norm(bank)


def averages(time_constants: Sequence[float], taps: int) -> FloatArray:
    """Return exponentials of unit sum, shape (len(time_constants), taps); a time constant of 0 is the present frame."""
    age = np.arange(taps)[::-1]
    bank = np.stack(
        [np.exp(-age / constant) if constant else (age == 0) * 1.0 for constant in time_constants]
    )
    return np.asarray(bank / bank.sum(axis=1, keepdims=True), np.float32)


def _of_unit_norm(bank: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> FloatArray:
    size = np.linalg.norm(bank, axis=1, keepdims=True)
    return np.asarray(bank / np.where(size > 0, size, 1), np.float32)
