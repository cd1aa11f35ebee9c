"""What ``rtface learn distil`` says of teacher and pupil on a person's labels."""

from __future__ import annotations

from typing import Any

import pytest

from rtface.cli.learn.distil import _by_labels


def at(name: str, median_px: float) -> dict[str, Any]:
    return {"name": name, "n": 12, "median_px": median_px}


@pytest.mark.parametrize("worse", [False, True])
def test_a_teacher_that_is_worse_is_told_with_what_to_do(worse: bool) -> None:
    teacher = at("slow", 8.0 if worse else 1.0)
    before = {"teacher": teacher, "start": at("face", 3.0), "better_than_teacher": ["start"] * worse}
    after = {"teacher": teacher, "student": at("fast", 4.0), "better_than_teacher": ["student"] * worse}
    first, *doubts = _by_labels({"before": before, "after": after})
    assert f"teacher slow {teacher['median_px']:g}, start face 3" in first
    assert first.endswith("student, which learnt from them, fast 4")
    assert len(doubts) == 2 * worse
    if worse:
        assert "the teacher slow is worse (median 8 px of 12 labels) than face (3 px)" in doubts[0]
        assert "adapt that one instead" in doubts[0]
        assert "than fast (4 px), which learnt from the same labels" in doubts[1]


def test_without_shared_keypoints_nothing_is_told() -> None:
    assert list(_by_labels(None)) == []
    assert list(_by_labels({"before": None, "after": None})) == []
