"""What a record lacks: counted, and recorded again only when it has changed."""

from __future__ import annotations

from rtface.record.session.entries import UnrecordedEntry
from rtface.record.session.rows import ROW_NAMES
from rtface.record.session.shortfalls import EVENTS, Shortfalls


def test_counts_are_returned_once_until_they_change() -> None:
    lacks = Shortfalls()
    assert lacks.changed() is None, "nothing is lost"
    lacks.count(EVENTS)
    lacks.count("poses", 3)
    counts = lacks.changed()
    assert counts == dict.fromkeys(ROW_NAMES.values(), 0) | {"events": 1, "poses": 3}
    assert UnrecordedEntry(1, **counts).poses == 3
    assert lacks.changed() is None
    lacks.count("poses")
    assert (lacks.changed() or {})["poses"] == 4


def test_the_first_fault_of_each_kind_is_kept() -> None:
    lacks = Shortfalls()
    assert lacks.fault is None
    first = lacks.note("space", "little room", 1)
    assert lacks.note("space", "less room", 2) is None
    assert lacks.note("write", "none", 3) is not None
    assert lacks.fault is first
    assert [each.what for each in lacks.faults] == ["space", "write"]
