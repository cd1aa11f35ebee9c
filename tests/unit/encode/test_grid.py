from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.core.errors import UsageError
from rtface.encode.grid import RowGrid

RATE_HZ = 50.0
PERIOD_NS = 20_000_000


def rows(grid: RowGrid, times: list[int]) -> dict[int, int]:
    """Return the row of each frame that shows one; rows of a new stream go on from those before."""
    found, row, begins = {}, -1, 0
    for frame, time_ns in enumerate(times):
        placed = grid.place(time_ns)
        if placed is None:
            continue
        begins += placed.restarted
        row += placed.missing + 1
        found[frame] = row
    assert begins >= 1
    return found


@pytest.mark.parametrize("camera_hz", [50, 60, 75, 120, 130, 200, 500, 1000])
def test_any_camera_gives_fifty_rows_a_second_near_their_times(camera_hz: float) -> None:
    times = [round(frame * 1e9 / camera_hz) for frame in range(60 * camera_hz)]
    found = rows(RowGrid(RATE_HZ, camera_hz), times)
    assert sorted(found.values()) == list(range(60 * 50)) or sorted(found.values()) == list(
        range(60 * 50 + 1)
    )
    off = np.array([times[frame] - row * PERIOD_NS for frame, row in found.items()])
    assert np.abs(off).max() <= 0.75 * 1e9 / camera_hz


def test_the_first_frame_from_half_a_frame_before_the_row_on_shows_it() -> None:
    grid = RowGrid(RATE_HZ, 200.0)
    assert grid.place(0) is not None
    assert [grid.place(time) is not None for time in (5_000_000, 10_000_000, 15_000_000)] == [False] * 3
    early = grid.place(17_600_000)
    assert early is not None
    assert (early.missing, early.restarted) == (0, False)
    assert grid.place(20_000_000) is None


def test_rows_that_no_frame_showed_are_counted_up_to_a_second() -> None:
    grid = RowGrid(RATE_HZ, 50.0)
    grid.place(0)
    placed = grid.place(51 * PERIOD_NS)
    assert placed is not None
    assert (placed.missing, placed.restarted) == (50, False)
    assert [grid.row_time_ns(back) for back in (0, 1, 50)] == [each * PERIOD_NS for each in (51, 50, 1)]
    placed = grid.place(103 * PERIOD_NS)
    assert placed is not None
    assert placed.restarted
    assert grid.row_time_ns(0) == 103 * PERIOD_NS


@given(
    st.lists(st.integers(-3_000_000_000, 3_000_000_000), min_size=1, max_size=60),
    st.sampled_from([50.0, 90.0, 200.0]),
)
def test_whatever_the_times_rows_rise_and_never_more_than_a_second_is_made_up(
    steps: list[int], camera_hz: float
) -> None:
    grid, newest, time_ns = RowGrid(RATE_HZ, camera_hz), None, 10**12
    for step in steps:
        time_ns += step
        placed = grid.place(time_ns)
        if newest is None:
            assert placed == (0, True)
        elif time_ns <= newest:
            assert placed is None or (placed.restarted and time_ns <= newest - 10**9)
        if placed is not None:
            assert 0 <= placed.missing <= 50
            assert not (placed.restarted and placed.missing)
        if placed is not None or (newest is not None and time_ns > newest):
            newest = time_ns


def test_a_camera_that_is_too_slow_is_refused_and_one_that_is_a_little_slow_is_not() -> None:
    with pytest.raises(UsageError, match="48 frames a second are too few for 50"):
        RowGrid(RATE_HZ, 48.0)
    with pytest.raises(UsageError, match="nan"):
        RowGrid(RATE_HZ, float("nan"))
    RowGrid(RATE_HZ, 49.5)
