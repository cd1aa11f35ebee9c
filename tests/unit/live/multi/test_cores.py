"""Cores for tracking processes: shares that do not overlap where there are enough, turns where there are not."""

from __future__ import annotations

import pytest

from rtface.live.multi.cores import Cores, shared_out


@pytest.mark.parametrize(
    ("cores", "asked", "shares"),
    [
        (range(8), {}, {"a": (0, 1, 2), "b": (3, 4, 5)}),
        (range(3), {}, {"a": (0,), "b": (1,)}),
        (range(2), {}, {"a": (0,), "b": (1,)}),
        (range(1), {}, {"a": (0,), "b": (0,)}),
        ((4, 6, 9), {}, {"a": (4,), "b": (6,)}),
        ((), {}, {"a": (), "b": ()}),
        (range(8), {"b": (0, 1)}, {"a": (2, 3, 4, 5, 6), "b": (0, 1)}),
        (range(2), {"a": (0, 1)}, {"a": (0, 1), "b": (0,)}),
    ],
)
def test_shares(cores: range | Cores, asked: dict[str, Cores | None], shares: dict[str, Cores]) -> None:
    assert shared_out(["a", "b"], asked, tuple(cores)) == shares


def test_four_cameras_on_two_cores_take_turns() -> None:
    assert list(shared_out(list("abcd"), {}, (0, 1)).values()) == [(0,), (1,), (0,), (1,)]
