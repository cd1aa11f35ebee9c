from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rtface.acquire.framenumbers import FrameNumbers


def take_all(numbers: FrameNumbers, device: list[int]) -> list[tuple[int, int]]:
    return [numbers.take(number) for number in device]


def test_the_devices_own_numbers_are_kept_and_gaps_counted() -> None:
    assert take_all(FrameNumbers(), [5, 6, 9, 10]) == [(5, 0), (6, 0), (9, 2), (10, 0)]


def test_the_16_bit_counter_of_gige_vision_wraps_past_0() -> None:
    assert take_all(FrameNumbers(), [65_534, 65_535, 1, 2]) == [
        (65_534, 0),
        (65_535, 0),
        (65_536, 0),
        (65_537, 0),
    ]


def test_losses_across_the_wrap_are_counted() -> None:
    assert take_all(FrameNumbers(), [65_533, 2]) == [(65_533, 0), (65_537, 3)]


def test_a_counter_that_wraps_to_0_counts_on() -> None:
    assert take_all(FrameNumbers(), [65_535, 0, 1]) == [(65_535, 0), (65_536, 0), (65_537, 0)]


def test_a_counter_that_stands_still_or_starts_over_counts_on_without_loss() -> None:
    assert take_all(FrameNumbers(), [0, 0, 0]) == [(0, 0), (1, 0), (2, 0)]
    assert take_all(FrameNumbers(), [100, 1, 2]) == [(100, 0), (101, 0), (102, 0)]


def test_a_restart_is_no_loss_and_repeats_no_number() -> None:
    numbers = FrameNumbers()
    take_all(numbers, [1, 2, 3])
    numbers.restart()
    assert take_all(numbers, [1, 2, 4]) == [(4, 0), (5, 0), (7, 1)]
    numbers.restart()
    assert numbers.take(50) == (53, 0)


@given(st.lists(st.integers(0, 2**17), min_size=2))
def test_numbers_always_increase_by_one_more_than_what_is_missing(device: list[int]) -> None:
    taken = take_all(FrameNumbers(), device)
    for (before, _), (after, missing) in pairwise(taken):
        assert after - before == missing + 1
        assert missing >= 0
