from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtface.live.busy import BusyMachine, processor_times


def looked(*seen: tuple[float, float, float, int]) -> str:
    """Look at times of two cores: all, in use, of this process; and at how many frames were lost by then."""
    times: Iterator[tuple[float, float, float]] = iter([(0.0, 0.0, 0.0), *(each[:3] for each in seen)])
    machine = BusyMachine(lambda: next(times))
    for each in seen:
        machine.look(each[3])
    return machine.in_words


@pytest.mark.parametrize(
    ("seen", "named"),
    [
        ([(2.0, 1.8, 0.2, 5)], "80%"),
        ([(2.0, 1.8, 0.2, 0)], ""),  # busy, and nothing lost
        ([(2.0, 1.8, 1.8, 5)], ""),  # lost, and it is rtface's own work
        ([(2.0, 0.2, 0.1, 5)], ""),  # lost, and the machine has nothing to do
        ([(2.0, 0.2, 0.1, 5), (4.0, 2.0, 0.2, 5)], ""),  # lost before it was busy
        ([(2.0, 1.8, 0.2, 5), (4.0, 1.9, 0.3, 5)], "80%"),  # it stays said
        ([(0.1, 0.1, 0.0, 5), (2.0, 1.8, 0.2, 5)], "80%"),  # too short to tell, then long enough
    ],
)
def test_a_busy_machine_is_named_only_where_frames_were_lost_meanwhile(
    seen: list[tuple[float, float, float, int]], named: str
) -> None:
    words = looked(*seen)
    assert (named in words) if named else not words


def test_a_system_that_does_not_tell_is_no_busy_machine() -> None:
    machine = BusyMachine(lambda: None)
    machine.look(10)
    assert not machine.in_words


def test_this_systems_own_times_go_on() -> None:
    before = processor_times()
    if before is None:
        pytest.skip("this system does not tell")
    sum(range(3_000_000))
    after = processor_times()
    assert after is not None
    assert after[2] > before[2]
    assert after[0] >= after[1] >= before[1] > 0
