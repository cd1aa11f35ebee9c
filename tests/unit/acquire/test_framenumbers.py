from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.acquire.framenumbers import FrameNumbers


def take_all(numbers: FrameNumbers, device: Sequence[int | None]) -> list[tuple[int, int]]:
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


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 48])
def test_a_counter_of_any_width_runs_over_to_0(bits: int) -> None:
    numbers = FrameNumbers(leaves_out_zero=False)
    top = 2**bits - 1
    assert take_all(numbers, [top - 1, top, 0, 1]) == [(top - 1 + step, 0) for step in range(4)]
    assert numbers.known


def test_whether_0_is_left_out_is_the_transports() -> None:
    assert FrameNumbers(leaves_out_zero=True).take(65_535) == (65_535, 0)
    for leaves_out, missing in ((True, 0), (False, 1)):
        numbers = FrameNumbers(leaves_out_zero=leaves_out)
        assert take_all(numbers, [65_535, 1])[1] == (65_536 + missing, missing)


def test_a_counter_that_goes_back_from_the_middle_has_started_over() -> None:
    """A camera that lost power at frame 40000 did not lose 25000 frames."""
    numbers = FrameNumbers()
    assert take_all(numbers, [40_000, 1, 2]) == [(40_000, 0), (40_001, 0), (40_002, 0)]
    assert not numbers.known


@pytest.mark.parametrize("device", [[7, 7], [100, 1], [None], [1, None, 3]])
def test_numbers_that_cannot_show_gaps_leave_losses_unknown(device: list[int | None]) -> None:
    numbers = FrameNumbers()
    given = [numbers.take(number) for number in device]
    assert not numbers.known
    assert all(missing == 0 for _, missing in given)
    numbers.restart()
    numbers.take(500)
    assert not numbers.known, "what was lost before stays unknown"


def test_frames_without_numbers_are_counted() -> None:
    numbers = FrameNumbers()
    assert [numbers.take(None)[0] for _ in range(3)] == [0, 1, 2]
    numbers.restart()
    assert numbers.take(None) == (3, 0)


@given(st.lists(st.none() | st.integers(0, 2**50), min_size=2))
def test_numbers_always_increase_whatever_the_device_gives(device: list[int | None]) -> None:
    for (before, _), (after, missing) in pairwise(take_all(FrameNumbers(), device)):
        assert after > before
        assert missing >= 0


@given(st.lists(st.integers(0, 2**17), min_size=2))
def test_numbers_always_increase_by_one_more_than_what_is_missing(device: list[int]) -> None:
    taken = take_all(FrameNumbers(), device)
    for (before, _), (after, missing) in pairwise(taken):
        assert after - before == missing + 1
        assert missing >= 0


@pytest.mark.parametrize("unknown", [2**64 - 1, 2**63, -1])
def test_what_no_counter_reaches_is_no_number(unknown: int) -> None:
    numbers = FrameNumbers()
    assert take_all(numbers, [unknown] * 3) == [(0, 0), (1, 0), (2, 0)]
    assert not numbers.known
    numbers = FrameNumbers()
    assert take_all(numbers, [7, unknown, 9, 10]) == [(7, 0), (8, 0), (9, 0), (10, 0)]


def test_a_counter_that_leaps_has_lost_nothing_and_never_leaves_63_bits() -> None:
    numbers = FrameNumbers()
    assert take_all(numbers, [5, 2**62, 2**62 + 2, 6, 2**62]) == [(5, 0), (6, 0), (8, 1), (9, 0), (10, 0)]
    assert not numbers.known
    numbers.restart()
    assert numbers.take(2**62) == (11, 0)
