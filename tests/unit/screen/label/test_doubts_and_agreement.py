"""Which labels are worth a second look, and how far two people's are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.screen.label.agreement import Apart, agreement
from rtface.screen.label.doubts import doubts, face_size

SHAPE = np.array([[0, 0], [40, 5], [80, 30], [20, 60], [60, 70]], float)


def faces(count: int = 12, seed: int = 0) -> NDArray[np.float64]:
    """One face, shifted, turned and scaled a little, with labels that are off by half a pixel."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        turn, size = chance.uniform(-0.2, 0.2), chance.uniform(0.9, 1.1)
        matrix = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        found.append(SHAPE @ matrix.T + chance.uniform(50, 100, 2) + chance.normal(0, 0.5, SHAPE.shape))
    return np.array(found)


def places(xy: NDArray[np.float64], guesses: Any = None) -> list[tuple[int, int, str]]:
    return [(each.row, each.column, each.why) for each in doubts(xy, guesses)]


def test_nothing_is_doubted_in_proper_labels() -> None:
    xy = faces()
    assert places(xy) == []
    xy[3, 2] = np.nan
    assert places(xy, {(row, 0): (*xy[row, 0] + 0.7, 0.9) for row in range(12)}) == []


def test_a_label_out_of_shape_comes_first() -> None:
    xy = faces()
    xy[4, 3] += (25, -10)
    found = doubts(xy)
    assert (found[0].row, found[0].column, found[0].why) == (4, 3, "shape")
    assert found[0].px == pytest.approx(27, abs=4)


def test_two_labels_that_were_interchanged_are_doubted() -> None:
    xy = faces()
    xy[7, [1, 3]] = xy[7, [3, 1]]
    assert {(row, column) for row, column, _ in places(xy)[:2]} == {(7, 1), (7, 3)}


def test_a_label_far_from_a_sure_guess_is_doubted_and_an_unsure_guess_does_not_count() -> None:
    xy = faces(4)[:, :2]
    guess = {(0, 0): (*xy[0, 0] + 30, 0.9), (1, 1): (*xy[1, 1] + 30, 0.2), (2, 0): (*xy[2, 0] + 0.3, 0.9)}
    assert places(xy, guess) == [(0, 0, "guess")]


def test_points_on_top_of_each_other_are_doubted() -> None:
    xy = faces(3)
    xy[1, 4] = xy[1, 2]
    assert (1, 4, "same") in places(xy)


def test_no_labels_no_doubts() -> None:
    assert doubts(np.full((3, 4, 2), np.nan)) == []
    assert doubts(np.zeros((0, 4, 2))) == []
    assert face_size(np.full((3, 4, 2), np.nan)) == 0


def test_agreement_is_in_pixels_and_by_point() -> None:
    def at(x: float, y: float) -> dict[str, Any]:
        return {"x": x, "y": y, "from": "hand"}

    first = {("f1", "p1"): at(0, 0), ("f2", "p1"): at(0, 0), ("f3", "p1"): at(1, 1), ("f1", "p2"): at(5, 5)}
    second = {
        ("f1", "p1"): at(3, 4),
        ("f2", "p1"): at(0, 1),
        ("f4", "p1"): at(9, 9),
        ("f1", "p2"): {"hidden": True},
    }
    table, pairs = agreement(first, second, ["p1", "p2", "p3"])
    assert [(each.point, each.both, each.median, each.worst, each.hidden_by_one) for each in table] == [
        ("p1", 2, 3.0, 5.0, 0),
        ("p2", 0, None, None, 1),
        ("p3", 0, None, None, 0),
    ]
    assert table[0].p90 == pytest.approx(4.6)
    assert pairs == [Apart("f1", "p2", None), Apart("f1", "p1", 5.0), Apart("f2", "p1", 1.0)]
