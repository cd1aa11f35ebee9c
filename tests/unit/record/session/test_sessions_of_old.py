"""A session that an earlier rtface recorded, of a live loop that fired once: it is read, verified and replayed as ever.

It was recorded at 01fc540, before the time at which a pose was published and the map of the camera's clock were.
"""

from __future__ import annotations

from pathlib import Path

from support.paths import DATA

from rtface.offline.replay.rules import replay_rules
from rtface.record.session.entries import ClockFitEntry
from rtface.record.session.reader import read_session
from rtface.record.session.summary import summarise
from rtface.record.session.tables import write_tables
from rtface.record.session.verify import verify

OLD = DATA / "session-01fc540"


def test_it_is_whole() -> None:
    found = verify(read_session(OLD))
    assert {each.verdict for each in found} == {"whole"}, found
    assert [each.check for each in found] == [
        "log", "totals", "kept", "texts", "decisions", "pulses", "times",
    ]  # fmt: skip


def test_nothing_in_it_was_published_and_its_camera_has_no_map() -> None:
    session = read_session(OLD)
    assert set(session.poses["published_ns"].tolist()) == {-1}
    assert len(session.published) == 0
    assert session.of(ClockFitEntry) == ()
    table = session.pose_table()
    assert (len(table), table.published_ns) == (75, None)


def test_it_shows_what_happened(tmp_path: Path) -> None:
    session = read_session(OLD)
    summary = summarise(session)
    assert (summary.state, summary.missing, summary.poses, summary.published) == ("closed", (), 75, 0)
    assert summary.pulses is not None
    assert (summary.pulses.commanded, summary.pulses.acknowledged, summary.pulses.lit) == (1, 1, 1)
    assert summary.decisions["often", "fire", "rule"] == 1
    assert "camera clock" not in summary.facts
    assert [each.name for each in write_tables(session, tmp_path)] == [
        "decisions.csv", "pulses.csv", "features.csv",
    ]  # fmt: skip


def test_its_rules_decide_the_same_again() -> None:
    replayed = replay_rules(OLD)
    assert (replayed.frames, replayed.value, replayed.decision, replayed.hole) == (75, None, None, None)
