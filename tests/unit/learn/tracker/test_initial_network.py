"""What a student starts as, unless the user says otherwise."""

from __future__ import annotations

import pytest
from support.fakes import fake_engine

from rtface.learn.tracker.families import architecture
from rtface.learn.tracker.initial_network import FAMILIES_OF_STUDENTS, shipped_start
from rtface.track.manifest import WEIGHTS_FILE
from rtface.track.store import load_engine, trainable_source


@pytest.mark.parametrize("family", FAMILIES_OF_STUDENTS)
def test_a_student_of_a_face_teacher_starts_as_the_shipped_network_of_its_family(family: str) -> None:
    start = shipped_start(load_engine("default"), family)
    assert start is not None
    assert WEIGHTS_FILE in start.manifest.files
    assert dict(start.manifest.architecture) == architecture(family, start.manifest.names)


def test_one_of_the_default_s_own_family_starts_as_what_the_default_was_made_from() -> None:
    default = load_engine("default")
    source = trainable_source(default)
    starts = [shipped_start(default, family) for family in FAMILIES_OF_STUDENTS]
    assert source.sha256 in {start.sha256 for start in starts if start is not None}


def test_a_student_of_a_teacher_of_other_keypoints_starts_from_nothing() -> None:
    teacher = fake_engine(keypoints=[("hand", True), ("tongue", True), ("nose(tip)", True)])
    assert shipped_start(teacher, "small") is None


def test_a_family_that_is_not_shipped_starts_from_nothing() -> None:
    assert shipped_start(load_engine("default"), "facemap") is None
