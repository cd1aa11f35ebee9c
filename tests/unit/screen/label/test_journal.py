"""The journal: whatever point a crash comes at, and however writers take turns, no acknowledged act is lost or changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.core.errors import DataError
from rtface.screen.label import journal as module
from rtface.screen.label.journal import Journal, JournalEntry, as_line, create_journal, entry_of

AT = "2026-11-30T12:00:00.000Z"


def entry(name: str, who: str = "anna", value: object = 1) -> JournalEntry:
    return JournalEntry(0, AT, who, "place", name, ((("label", "first", "f1", "p1"), value),))


def ids(entries: Sequence[JournalEntry]) -> list[str]:
    return [each.id for each in entries if each.id]


def append(journal: Journal, *entries: JournalEntry) -> list[JournalEntry]:
    seen: list[JournalEntry] = []

    def write(found: Sequence[JournalEntry]) -> Sequence[JournalEntry]:
        seen.extend(found)
        return entries

    return seen + journal.append(write, AT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "labelling" / "journal.jsonl"
    assert create_journal(made, [entry("start")])
    return made


texts = st.text(max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(
    who=texts,
    do=texts,
    name=texts,
    value=values,
    about=st.none() | st.dictionaries(texts, values, max_size=2),
)
def test_a_line_returns_its_entry(
    who: str, do: str, name: str, value: object, about: dict[str, object] | None
) -> None:
    made = JournalEntry(0, AT, who, do, name, ((("label", "p"), value),), None, about)
    line = as_line(made)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert entry_of(line[:-1]) == made


@given(data=st.data())
def test_no_line_that_is_cut_or_changed_is_an_entry(data: st.DataObject) -> None:
    line = as_line(entry("a", value=data.draw(values)))[:-1]
    end = data.draw(st.integers(0, len(line) - 1))
    assert entry_of(line[:end]) is None
    changed = bytearray(line)
    changed[end] ^= 1 << data.draw(st.integers(0, 7))
    assert entry_of(bytes(changed)) in (
        None,
        entry_of(line),
    )  # a hexadecimal digit in capitals is the same digit


@given(
    acts=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.none() | st.integers(0, 400)),
        min_size=1,
        max_size=12,
    )
)
def test_what_was_acknowledged_stays_whatever_crashes(acts: list[tuple[str, int, int | None]]) -> None:
    """Three writers take turns; some are killed after so many bytes of what they write have reached the file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        create_journal(path, [])
        writers = {name: Journal(path) for name in "abc"}
        got: dict[str, list[JournalEntry]] = {name: [] for name in "abc"}
        kept: list[str] = []
        unsure: set[str] = set()
        for turn, (name, count, crash) in enumerate(acts):
            before = path.read_bytes()
            batch = [entry(f"{turn}.{place}") for place in range(count)]
            got[name] += append(writers[name], *batch)
            if crash is None:
                kept += ids(batch)
            else:
                whole = path.read_bytes()
                path.write_bytes(whole[: min(len(whole), len(before) + crash)])
                unsure |= set(ids(batch))
                writers[name], got[name] = Journal(path), []
            assert path.read_bytes().startswith(before)  # nothing earlier is ever overwritten
        got["a"] += append(writers["a"])  # ends a torn line
        read = Journal(path).read_new()
        assert [each for each in ids(read) if each not in unsure] == kept
        assert [each.n for each in read] == list(range(1, len(read) + 1))
        for name, journal in writers.items():
            assert got[name] + journal.read_new() == read


def test_a_torn_line_is_ended_and_told(path: Path) -> None:
    torn = as_line(entry("torn"))[:40]
    with path.open("ab") as file:
        file.write(torn)
    journal = Journal(path)
    assert ids(journal.read_new()) == ["start"]
    append(journal, entry("next"))
    again = Journal(path)
    assert ids(again.read_new()) == ["start", "next"]
    assert again.notes == journal.notes
    assert "40 bytes" in again.notes[0]
    assert "line 2" in again.notes[0]
    assert torn in path.read_bytes()


def test_zeros_at_the_end_are_void(path: Path) -> None:
    """As a file system leaves them that had noted the file's length and not its bytes."""
    with path.open("ab") as file:
        file.write(bytes(100))
    append(Journal(path), entry("next"))
    assert ids(Journal(path).read_new()) == ["start", "next"]


def test_a_line_that_lacks_its_end_alone_counts(path: Path) -> None:
    path.write_bytes(path.read_bytes() + as_line(entry("whole"))[:-1])
    assert ids(append(Journal(path), entry("next"))) == ["start", "whole", "next"]
    assert Journal(path).notes == []


def test_damage_before_the_end_is_named(path: Path) -> None:
    append(Journal(path), entry("a"))
    append(Journal(path), entry("b"))
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"anna", b"bert")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match="line 2 is damaged"):
        Journal(path).read_new()
    with pytest.raises(DataError, match="line 2 is damaged"):
        append(Journal(path), entry("c"))
    path.write_bytes(b"\n".join([lines[0], *lines[2:]]))
    assert ids(Journal(path).read_new()) == ["start", "b"]


def test_a_file_that_was_cut_is_told(path: Path) -> None:
    journal = Journal(path)
    append(journal, entry("a"))
    path.write_bytes(b"")
    with pytest.raises(DataError, match="shorter"):
        journal.read_new()


@pytest.mark.parametrize("written", [0, 1, 30])
def test_a_full_disk_loses_nothing(path: Path, written: int, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    append(journal, entry("a"))
    room = [written]
    real = os.write

    def full(handle: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        part, room[0] = room[0], 0
        return real(handle, data[:part])

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(DataError, match="No space left"):
        append(journal, entry("b"))
    monkeypatch.undo()
    append(journal, entry("b"))
    assert ids(Journal(path).read_new()) == ["start", "a", "b"]


def test_an_error_of_the_caller_appends_nothing(path: Path) -> None:
    journal = Journal(path)
    journal.read_new()
    before = path.read_bytes()

    def refuse(found: Sequence[JournalEntry]) -> Iterator[JournalEntry]:
        raise DataError("no")

    with pytest.raises(DataError, match=r"^no$"):
        journal.append(refuse, AT)
    assert path.read_bytes() == before
    assert ids(append(journal, entry("a"))) == ["a"]


def test_a_journal_is_made_once(path: Path) -> None:
    assert not create_journal(path, [entry("other")])
    assert ids(Journal(path).read_new()) == ["start"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_each_act_is_synced_before_it_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(module.os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    append(Journal(path), entry("a"))
    assert synced == [path.stat().st_size]


def test_an_act_that_is_too_large_is_refused(path: Path) -> None:
    with pytest.raises(DataError, match="too large"):
        append(Journal(path), entry("a", value="x" * module.MAX_LINE))
    assert ids(Journal(path).read_new()) == ["start"]
