"""Left and right in a mirror."""

from __future__ import annotations

import pytest

from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.tracker.samples import swap_of


@pytest.mark.parametrize(
    ("names", "partners"),
    [
        (("paw_left", "nose", "paw_right"), (2, 1, 0)),
        (("Left ear", "Right Ear"), (1, 0)),
        (("eye_L", "eye_R", "tail"), (1, 0, 2)),
        (("paw_left", "nose"), ()),
        (("nostril", "upright"), ()),
    ],
)
def test_a_keypoint_becomes_its_partner_if_there_is_one(
    names: tuple[str, ...], partners: tuple[int, ...]
) -> None:
    assert swap_of(names) == partners


def test_facemaps_keypoints_stay_what_they_are_in_a_side_view() -> None:
    assert swap_of(FACEMAP_KEYPOINTS) == ()
