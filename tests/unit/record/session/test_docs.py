"""docs/sessions.md says what the code does: tables of events, and a reader in Python that needs no rtface."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from support.paths import DOCS
from support.recorded_loop import record_loop

from rtface.record.seal.cipher import KEY_NAME, read_key
from rtface.record.seal.merging import NOT_QUEUED
from rtface.record.session.coding import encode
from rtface.record.session.entries import ENTRIES, SealedEntry
from rtface.record.session.logreader import LogReader
from rtface.record.session.reader import read_session
from rtface.record.session.rows import (
    POSES,
    ROW_NAMES,
    camera_of,
    pose_dtype,
    row_dtype,
)

TEXT = (DOCS / "sessions.md").read_text(encoding="utf-8")
TYPES = {
    "int": "int",
    "str": "text",
    "bool": "bool",
    "bytes": "binary",
    "float": "float",
    "Map": "map",
    "Map | None": "map, nil?",
    "int | None": "int, nil?",
    "float | None": "float, nil?",
    "Texts": "array of text",
    "tuple[bool, ...]": "array of bool",
    "Inputs": "array",
}


def test_the_tables_of_events_are_those_of_the_code() -> None:
    told: dict[int, tuple[str, list[tuple[str, str]]]] = {}
    for part in re.split(r"^### ", TEXT, flags=re.M)[1:]:
        head = re.match(r"(\d+) `(\w+)`\n", part)
        assert head is not None, part[:40]
        rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", part, flags=re.M)
        told[int(head[1])] = head[2], rows
    wanted = {
        kind: (
            entry.name,
            [(each.name, TYPES[str(each.type)]) for each in dataclasses.fields(entry) if each.name != "t_ns"],
        )
        for kind, entry in ENTRIES.items()
    }
    assert told == wanted


def test_the_tables_of_rows_are_those_of_the_code() -> None:
    """Each kind has its row, which begins with its first fields and names the others in their order."""
    told = {
        int(kind): (name, row)
        for kind, name, row in re.findall(r"^\| (\d+) \| (\w+) \| (.*) \|$", TEXT, flags=re.M)
    }
    assert {kind: name for kind, (name, _) in told.items()} == {
        kind: name for kind, name in ROW_NAMES.items() if not camera_of(kind)
    }
    for kind, (name, row) in told.items():
        if row.startswith("the same, and "):
            same = next(text for other, text in told.values() if other == name)
            row = f"{same}; {row}"
        fields = row_dtype(kind, 3).names or ()
        first = tuple(row.split("`")[1].split())
        assert first == fields[: len(first)], kind
        assert row.startswith("int64 `"), kind
        words = [word for word in re.findall(r"\w+", row) if word in fields]
        others = [name for name in fields[len(first) :] if name != "xy"]  # x0, y0, ...
        assert list(dict.fromkeys(words))[len(first) :] == others, kind


def test_the_reader_in_the_page_reads_what_rtface_writes(tmp_path: Path) -> None:
    session = read_session(record_loop(tmp_path, 300).folder)
    code = re.search(r"```python\n(.*?)```", TEXT, flags=re.S)
    assert code is not None
    page: dict[str, Any] = {}
    exec(code[1], page)
    events, poses = page["read"](session.folder / "session.log")
    assert poses.dtype == session.poses.dtype
    assert poses.tobytes() == session.poses.tobytes()
    assert [kind for kind, _ in events] == [each.kind for each in session.events]
    for (kind, found), each in zip(events, session.events, strict=True):
        assert kind == each.kind
        assert msgpack.packb(found) == encode(each)
    log = (session.folder / "session.log").read_bytes()
    (tmp_path / "cut").write_bytes(log[:-30])
    cut_events, cut_poses = page["read"](tmp_path / "cut")
    assert len(cut_events) == len(events) - 1
    np.testing.assert_array_equal(cut_poses["frame_id"], poses["frame_id"])


def test_the_page_opens_what_rtface_seals(tmp_path: Path) -> None:
    folder = record_loop(tmp_path, 700, alike_ns=50_000_000, sealed=True).folder
    codes = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    page: dict[str, Any] = {}
    for code in codes[:2]:
        exec(code, page)
    blocks = [
        payload for kind, payload in page["records"](folder / "session.log") if kind == SealedEntry.kind
    ]
    found = list(page["opened"](blocks, bytes.fromhex((folder / KEY_NAME).read_text())))
    items = read_session(folder, read_key(folder)).unsealed
    assert items is not None
    assert len(items) > 10
    assert found == [(*each[1:4], msgpack.unpackb(each.payload)) for each in items]
    omitted = re.search(r"counted without the kinds ([\d, and]+)\.", TEXT)
    assert omitted is not None
    assert {int(each) for each in re.findall(r"\d+", omitted[1])} == {each.kind for each in NOT_QUEUED}


def test_offsets_in_the_page_hold(tmp_path: Path) -> None:
    """The numbers that the MATLAB example uses."""
    dtype = pose_dtype(5)
    assert dtype.itemsize == 72 + 13 * 5
    assert dtype.fields is not None
    assert [dtype.fields[name][1] for name in ("xy", "score", "outside")] == [72, 72 + 8 * 5, 72 + 12 * 5]
    folder = record_loop(tmp_path, 50).folder
    data = (folder / "session.log").read_bytes()
    for record in LogReader(folder / "session.log"):
        assert int.from_bytes(data[record.offset + 4 : record.offset + 8], "little") == len(record.payload)
        assert int.from_bytes(data[record.offset + 12 : record.offset + 14], "little") == record.kind
        if record.kind == POSES:
            assert record.payload[0] == 0x93
