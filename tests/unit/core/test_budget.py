from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.core.budget import Budget, BudgetWatch
from rtface.core.clock import NS_PER_MS
from rtface.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "limit_ms", "share"),
    [
        ("p99 < 15 ms", 15, 0.01),
        (" p99.9<20.5ms ", 20.5, 0.001),
        ("p50 < 3 ms", 3, 0.5),
        ("max < 30 ms", 30, 0),
    ],
)
def test_a_budget_is_read(text: str, limit_ms: float, share: float) -> None:
    budget = Budget.parse(text)
    assert budget.limit_ns == limit_ms * NS_PER_MS
    assert budget.share == pytest.approx(share)


@pytest.mark.parametrize(
    "text", ["", "p99", "p99 > 15 ms", "p99 < 15 s", "p9 < 1 ms", "p100 < 1 ms", "p99 < -1 ms", "p99 < 15"]
)
def test_what_is_no_budget_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="write p99 < 15 ms"):
        Budget.parse(text)


def test_one_late_frame_in_a_hundred_is_within_p99_and_two_are_not() -> None:
    watch = BudgetWatch(Budget.parse("p99 < 1 ms"), 100)
    assert not watch.add(NS_PER_MS)
    assert not any(watch.add(NS_PER_MS - 1) for _ in range(98))
    assert watch.add(NS_PER_MS)
    assert not watch.add(0), "the first late frame is no longer among the last hundred"


def test_a_maximum_allows_none() -> None:
    assert BudgetWatch(Budget.parse("max < 1 ms"), 10).add(NS_PER_MS)


def test_reset_forgets() -> None:
    watch = BudgetWatch(Budget.parse("p50 < 1 ms"), 2)
    assert not watch.add(NS_PER_MS)
    watch.reset()
    assert not watch.add(NS_PER_MS)
    assert watch.add(NS_PER_MS)


@given(
    st.lists(st.booleans(), max_size=60), st.integers(1, 20), st.sampled_from(["p50", "p75", "p90", "max"])
)
def test_the_watch_counts_as_a_window_does(late: list[bool], frames: int, quantile: str) -> None:
    budget = Budget.parse(f"{quantile} < 1 ms")
    watch, window = BudgetWatch(budget, frames), deque[bool](maxlen=frames)
    for each in late:
        window.append(each)
        assert watch.add(NS_PER_MS if each else 0) == (sum(window) > int(budget.share * frames + 1e-9))
