"""Time stamps of cameras: believed while they can be right, arrivals otherwise, and why is said."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from rtface.acquire.timing.cameraclock import CameraClock
from rtface.core.clock import NS_PER_MS, NS_PER_S

MS, S = NS_PER_MS, NS_PER_S
PERIOD_NS = 5 * MS
Stamp = Callable[[int, int], int | None]


def frames(
    count: int, stamp: Stamp, *, seed: int = 1, begin_ns: int = 50 * S
) -> Iterator[tuple[int | None, int]]:
    """Yield stamp and arrival of frames that arrive late by 1 ms in the mean, and by 30 ms at times."""
    rng = random.Random(seed)
    arrival_ns = 0
    for number in range(count):
        true_ns = begin_ns + number * PERIOD_NS
        late_ns = rng.expovariate(1.0) * MS + (30 * MS if rng.random() < 0.02 else 0)
        arrival_ns = max(arrival_ns, true_ns + round(late_ns))
        yield stamp(number, true_ns), arrival_ns


def taken(clock: CameraClock, given: Iterator[tuple[int | None, int]]) -> list[tuple[int, int]]:
    """Return exposure and arrival of each, and check what always holds."""
    found: list[tuple[int, int]] = []
    for stamp_ns, arrival_ns in given:
        _, exposure_ns = clock.take(stamp_ns, arrival_ns)
        assert exposure_ns <= arrival_ns
        assert not found or exposure_ns >= found[-1][0]
        found.append((exposure_ns, arrival_ns))
    return found


def right(number: int, true_ns: int) -> int:
    return true_ns - 40 * S


@pytest.mark.parametrize("ppm", [0, 100, -100])
def test_a_crystal_is_believed_on_a_busy_machine(ppm: int) -> None:
    for seed in range(5):
        clock = CameraClock()
        taken(clock, frames(4000, lambda _, t: round((t - 40 * S) * (1 + ppm * 1e-6)), seed=seed))
        assert clock.doubt == ""
        assert clock.line is not None
        assert clock.steps == 0


@pytest.mark.parametrize(("ppm", "seconds"), [(10_000, 2), (-10_000, 2), (1_000, 30), (-1_000, 30)])
def test_a_rate_that_no_crystal_has_is_said_and_exposures_are_arrivals(ppm: int, seconds: int) -> None:
    clock = CameraClock()
    found = taken(clock, frames(seconds * 200, lambda _, t: round((t - 40 * S) * (1 + ppm * 1e-6))))
    assert f"{ppm * 1e-4:+.1f}"[:4] in clock.doubt
    assert clock.line is None
    assert found[-1][0] == found[-1][1]


def test_a_clock_that_is_right_again_is_believed_again() -> None:
    clock = CameraClock()
    taken(clock, frames(400, lambda _, t: round((t - 40 * S) * 1.01)))
    assert clock.doubt
    found = taken(clock, frames(4000, right, begin_ns=60 * S))
    assert clock.doubt == ""
    exposures = [exposure_ns - 60 * S - (3999 - 99) * PERIOD_NS for exposure_ns, _ in found[-100:]]
    assert all(abs(each - number * PERIOD_NS) < MS for number, each in enumerate(exposures))


@pytest.mark.parametrize("step_ns", [3 * S, -3 * S, -200 * MS], ids=["on", "back", "back by little"])
def test_a_step_in_a_pause_is_found_though_stamps_still_increase(step_ns: int) -> None:
    """Ten seconds without a frame, in which the clock is set back by three: the stamps go on by seven."""
    clock = CameraClock()
    taken(clock, frames(1000, right))
    found = taken(clock, frames(1000, lambda n, t: right(n, t) + step_ns, begin_ns=65 * S))
    assert clock.steps == 1
    assert clock.doubt == ""
    assert abs(found[-1][0] - (65 * S + 999 * PERIOD_NS)) < MS


def test_frames_that_waited_in_the_driver_are_no_step() -> None:
    """The host slept: eight frames come at once, up to a second old."""
    clock = CameraClock()
    taken(clock, frames(1000, right))
    at_ns = 56 * S
    for number in range(8):
        _, exposure_ns = clock.take(right(0, at_ns - S + number * 100 * MS), at_ns)
        assert at_ns - exposure_ns > 100 * MS
    taken(clock, frames(1000, right, begin_ns=at_ns))
    assert (clock.steps, clock.doubt) == (0, "")


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        (lambda n, t: None, "without a time stamp"),
        (lambda n, t: 0, "without a time stamp"),
        (lambda n, t: -5, "none that a clock has"),
        (lambda n, t: 2**63 + t, "none that a clock has"),
        (lambda n, t: 123 * S, "in a row have the stamp"),
        (lambda n, t: t % 2**28 + 1, "was set 3 times within 10 s"),
        (lambda n, t: random.Random(n).randrange(1, 2**62), "was set 3 times within 10 s"),
    ],
    ids=["missing", "zero", "negative", "64 bits", "constant", "28 bits", "random"],
)
def test_stamps_that_cannot_be_are_said_and_exposures_are_arrivals(stamp: Stamp, said: str) -> None:
    clock = CameraClock()
    found = taken(clock, frames(400, stamp))
    assert said in clock.doubt
    assert clock.line is None
    assert found[-1][0] == found[-1][1]
