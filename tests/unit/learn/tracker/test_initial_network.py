"""What a student starts as, unless the user says otherwise."""

from __future__ import annotations

from rtface.learn.tracker.initial_network import default_start
from rtface.track.manifest import WEIGHTS_FILE
from rtface.track.store import load_engine


def test_a_small_student_of_a_face_teacher_starts_as_the_float_source_of_the_default() -> None:
    default = load_engine("default")
    start = default_start(default, "small")
    assert start is not None
    assert start.manifest.name == default.manifest.training["exported_from"]
    assert WEIGHTS_FILE in start.manifest.files


def test_a_student_of_another_family_starts_from_nothing() -> None:
    assert default_start(load_engine("default"), "tiny") is None
