from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.core.clockfit import ClockFit

MS = 1_000_000
S = 1_000_000_000


class Rig:
    """A camera whose clock has an offset and a drift, and frames that arrive late by a delay of at least 0."""

    def __init__(self, seed: int, offset_ns: int, drift: float, rate_hz: float = 100.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.offset_ns, self.drift, self.period_ns = offset_ns, drift, round(S / rate_hz)
        self.true_ns = 7 * S
        self.arrival_ns = 0

    def next(self) -> tuple[int, int, int]:
        """Return true exposure time, device stamp and arrival time of the next frame."""
        self.true_ns += self.period_ns
        device_ns = self.offset_ns + round(self.true_ns * (1 + self.drift))
        delay_ns = round(self.rng.exponential(1.0 * MS)) + (30 * MS if self.rng.random() < 0.02 else 0)
        self.arrival_ns = max(self.arrival_ns, self.true_ns + delay_ns)
        return self.true_ns, device_ns, self.arrival_ns


def errors_ns(fit: ClockFit, rig: Rig, frames: int) -> NDArray[np.int64]:
    errors = []
    last_ns = None
    for _ in range(frames):
        true_ns, device_ns, arrival_ns = rig.next()
        host_ns = fit.to_host(device_ns, arrival_ns)
        assert host_ns <= arrival_ns
        assert last_ns is None or host_ns >= last_ns
        last_ns = host_ns
        errors.append(host_ns - true_ns)
    return np.asarray(np.abs(errors), np.int64)


@pytest.mark.parametrize("drift", [0.0, 40e-6, -90e-6])
@pytest.mark.parametrize("offset_ns", [0, 10**15, -6 * S])
def test_late_arrivals_and_drift_are_seen_through(drift: float, offset_ns: int) -> None:
    """Arrivals are late by 1 ms in the mean and by 30 ms at times; the fit is right within a tenth of that."""
    rig = Rig(3, offset_ns, drift)
    fit = ClockFit()
    errors_ns(fit, rig, 1000)
    assert errors_ns(fit, rig, 12_000).max() < 0.1 * MS


def test_without_any_delay_the_map_is_exact_to_a_microsecond() -> None:
    fit = ClockFit()
    for number in range(3000):
        arrival_ns = 5 * S + number * 10 * MS
        assert abs(fit.to_host(99 * S + round(number * 10 * MS * 1.00003), arrival_ns) - arrival_ns) < 3000


@pytest.mark.parametrize("new_offset_ns", [-7 * S, 3600 * S], ids=["back to 0", "an hour ahead"])
def test_a_clock_that_is_set_anew_is_fitted_anew(new_offset_ns: int) -> None:
    rig = Rig(5, 100 * S, 20e-6)
    fit = ClockFit()
    errors_ns(fit, rig, 3000)
    rig.offset_ns = new_offset_ns
    errors_ns(fit, rig, 1000)
    assert errors_ns(fit, rig, 3000).max() < 0.1 * MS


def test_the_first_frame_is_mapped_to_its_arrival() -> None:
    assert ClockFit().to_host(123, 456) == 456
