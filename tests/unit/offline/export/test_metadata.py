"""Metadata files: all faults at once, and none that contradicts the session."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.recorded_loop import Loop, record_loop

from rtface.core.errors import ConfigError
from rtface.offline.export.metadata import Metadata, metadata_template, read_metadata
from rtface.offline.sessions.outline import outline
from rtface.record.session.entries import ConfigurationEntry
from rtface.record.session.reader import Session

WRONG = """\
session:
  session_start_time: 2026-01-31
  labs: mine
subject:
  sex: female
  age: 90
  weight: 23
optogenetics:
  source: {name: laser, manufacturer: x, source_type: lamp, wavelength_in_nm: 473, power_in_mW: -1}
  effector: {name: e}
"""


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("sessions"), 50)


def with_subject(session: Session, text: str) -> Session:
    """The session as if its rig had said so."""
    return replace(
        session,
        events=tuple(
            replace(each, rig=text) if isinstance(each, ConfigurationEntry) else each
            for each in session.events
        ),
    )


def written(folder: Path, text: str) -> Path:
    path = folder / "meta.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("recorded", [True, False])
def test_the_template_is_a_metadata_file(loop: Loop, tmp_path: Path, recorded: bool) -> None:
    session = outline(loop.folder).session if recorded else None
    found = read_metadata(written(tmp_path, metadata_template(session)), session)
    assert found.subject is not None
    assert found.optogenetics is not None
    if session is not None and session.opened is not None:
        assert found.session.session_start_time is not None
        assert abs(found.session.session_start_time.timestamp() - session.opened.wall_ns / 1e9) < 1e-5


def test_the_template_has_the_recorded_animal(loop: Loop, tmp_path: Path) -> None:
    session = with_subject(outline(loop.folder).session, 'session: {subject: "a: b"}')
    found = read_metadata(written(tmp_path, metadata_template(session)), session)
    assert found.subject is not None
    assert found.subject.subject_id == "a: b"


def test_every_fault_is_named_with_its_line_and_field(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_metadata(written(tmp_path, WRONG), None)
    lines = str(caught.value).splitlines()
    for number, field in (
        (2, "session.session_start_time"),
        (3, "session.labs"),
        (4, "subject.subject_id"),
        (5, "subject.sex"),
        (6, "subject.age"),
        (7, "subject.weight"),
        (8, "optogenetics.fibre"),
        (9, "optogenetics.source.source_type"),
        (9, "optogenetics.source.power_in_mW"),
        (10, "optogenetics.effector.label"),
    ):
        assert any(f"meta.yaml: line {number}: {field}" in line for line in lines), (field, lines)
    assert len(lines) == 10


def test_what_contradicts_the_session_is_named(loop: Loop, tmp_path: Path) -> None:
    session = with_subject(
        outline(loop.folder).session, '{"session": {"subject": "mouse 7", "lab": "ours", "folder": "x"}}'
    )
    text = (
        "session: {lab: theirs, session_id: another,\n  session_start_time: 2020-01-01T00:00:00+00:00}\n"
        "subject: {subject_id: mouse 8}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_metadata(written(tmp_path, text), session)
    told = str(caught.value)
    assert "line 1: session.lab: 'theirs', but the session recorded 'ours'" in told
    assert "line 1: session.session_id: 'another'" in told
    assert "line 2: session.session_start_time: 2020-01-01T00:00:00+00:00, but the session recorded" in told
    assert "line 3: subject.subject_id: 'mouse 8', but the session recorded 'mouse 7'" in told
    assert len(told.splitlines()) == 4


def test_the_same_start_in_another_time_zone_is_no_contradiction(loop: Loop, tmp_path: Path) -> None:
    session = outline(loop.folder).session
    assert session.opened is not None
    start = datetime.fromtimestamp(session.opened.wall_ns // 10**9, UTC).isoformat().replace("+00:00", "")
    hour = int(start[11:13])
    if hour < 23:
        there = f"{start[:11]}{hour + 1:02}{start[13:]}+01:00"
        assert read_metadata(written(tmp_path, f"session: {{session_start_time: {there}}}\n"), session)


def test_a_keypoint_file_needs_a_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"meta.yaml: line 1: session: missing|session_start_time: missing"):
        read_metadata(written(tmp_path, "session: {lab: x}\n"), None)


def test_age_and_birth_exclude_each_other(tmp_path: Path) -> None:
    text = "subject:\n  subject_id: x\n  age: P90D\n  date_of_birth: 2026-01-31\n"
    with pytest.raises(ConfigError, match=r"line 3: subject.age: with date_of_birth"):
        read_metadata(written(tmp_path, text), None)


def test_without_anything_there_is_nothing() -> None:
    assert Metadata().subject is None
