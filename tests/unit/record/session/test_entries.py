"""Events and rows: what goes into a log comes out of it again, and what is no event is refused by name."""

from __future__ import annotations

import dataclasses
import math
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.core.errors import DataError, UsageError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.record.session.coding import MOST_EVENT_BYTES, decode, encode
from rtface.record.session.entries import (
    ENTRIES,
    DecisionEntry,
    Entry,
    FaultEntry,
    GateReplyEntry,
    MarkEntry,
    PulseCommandEntry,
    UnrecordedEntry,
)
from rtface.record.session.reader import Session
from rtface.record.session.rows import (
    FRAMES,
    POSES,
    ROW_NAMES,
    decode_rows,
    encode_rows,
    join_rows,
    pose_dtype,
    row_dtype,
)

INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=64)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTS | FLOATS | TEXTS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(TEXTS, PLAIN, max_size=4)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "int": INTS,
    "str": TEXTS,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=50),
    "float": FLOATS,
    "float | None": st.none() | FLOATS,
    "Map": MAPS,
    "Map | None": st.none() | MAPS,
    "int | None": st.none() | INTS,
    "Texts": st.lists(TEXTS, max_size=3).map(tuple),
    "tuple[bool, ...]": st.lists(st.booleans(), max_size=3).map(tuple),
    "Inputs": st.lists(st.tuples(TEXTS, FLOATS, FLOATS, INTS), max_size=3).map(tuple),
}


def entries() -> st.SearchStrategy[Entry]:
    return st.one_of(
        *(
            st.builds(kind, **{each.name: BY_TYPE[str(each.type)] for each in dataclasses.fields(kind)})
            for kind in ENTRIES.values()
        )
    )


def bits(value: Any) -> Any:
    """The value with its floats as text that tells -0.0 from 0.0 and equals itself when it is not a number."""
    if isinstance(value, float):
        return f"float {'nan' if math.isnan(value) else value.hex()}"
    if isinstance(value, dict):
        return {key: bits(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(bits, value)]
    return value


def fields_of(entry: Entry) -> dict[str, Any]:
    return {each.name: getattr(entry, each.name) for each in dataclasses.fields(entry)}


@given(entries())
def test_every_event_comes_back_as_it_was(entry: Entry) -> None:
    back = decode(entry.kind, encode(entry))
    assert type(back) is type(entry)
    assert bits(fields_of(back)) == bits(fields_of(entry))


def test_numbers_and_names_of_events_are_their_own() -> None:
    assert len({entry.name for entry in ENTRIES.values()}) == len(ENTRIES)
    assert all(kind == entry.kind < POSES for kind, entry in ENTRIES.items())


def names(kind: type) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)}


def test_every_field_of_a_decision_is_kept() -> None:
    assert names(DecisionEntry) - {"t_ns", "number", "camera_name"} == names(Decision) - {"now_ns", "camera"}
    made = Decision(
        "r", None, 1, 2, RuleStatus.ARMED, RuleStatus.FIRING, Action.SHAM, Reason.SCHEDULE, Pulse(1, 2, 3, 0.5), 4,
        (("a", 1.0, 0.5, 6),), True,
    )  # fmt: skip
    back = decode(DecisionEntry.kind, encode(DecisionEntry.of(made, 7)))
    assert back == DecisionEntry(
        1, 7, "r", None, 2, "armed", "firing", "sham", "schedule",
        {"on_ns": 1, "period_ns": 2, "count": 3, "amplitude": 0.5}, 4, (("a", 1.0, 0.5, 6),), True,
    )  # fmt: skip
    assert made.as_dict()["pulse"] == back.pulse


def test_every_field_of_a_report_is_kept() -> None:
    assert names(GateReplyEntry) - {"output"} == names(Report)
    made = Report(3, OutputEvent.REFUSED, 4, OutputState.ARMED, OutputReason.TOO_LONG, 5, 6, {"limit": 7})
    back = decode(GateReplyEntry.kind, encode(GateReplyEntry.of(made, "gate")))
    assert back == GateReplyEntry(4, 3, "gate", "refused", "armed", "too_long", 5, 6, {"limit": 7})


class Colour(StrEnum):
    RED = "red"


def test_records_enums_arrays_and_paths_are_written_as_plain_values() -> None:
    details = {
        "pulse": Pulse(1, 2, 3, 0.5),
        "colour": Colour.RED,
        "array": np.arange(3, dtype=np.int16),
        "number": np.float32(0.5),
        "path": Path("a/b"),
        "set": frozenset({1}),
    }
    back = decode(MarkEntry.kind, encode(MarkEntry(1, "me", "text", details)))
    assert isinstance(back, MarkEntry)
    assert back.details == {
        "pulse": {"on_ns": 1, "period_ns": 2, "count": 3, "amplitude": 0.5},
        "colour": "red",
        "array": [0, 1, 2],
        "number": 0.5,
        "path": "a/b",
        "set": [1],
    }


def _deep() -> Any:
    value: Any = 1
    for _ in range(2000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "details", "message"),
    [
        ("", {"a": 2**64}, "mark cannot be recorded"),
        ("", {"a": object()}, "no form for object"),
        ("", {"a": _deep()}, "mark cannot be recorded"),
        ("", {"a": bytes(MOST_EVENT_BYTES)}, "at most 16777216"),
    ],
)
def test_what_has_no_form_in_a_log_is_refused_when_it_is_handed_over(
    text: str, details: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        encode(MarkEntry(1, "me", text, details))


FAULT = {"t_ns": 1, "what": "a", "text": "b"}


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\xc1", "not MessagePack"),
        (b"", "not MessagePack"),
        (b"\x01\x01", "not MessagePack"),
        (msgpack.packb([1]), "fault is not a map"),
        (msgpack.packb({**FAULT, "text": 3}), r"fault\.text is int"),
        (msgpack.packb({**FAULT, "t_ns": True}), r"fault\.t_ns is bool"),
        (msgpack.packb({"t_ns": 1, "what": "a"}), r"fault\.text is missing"),
        (b"\x81\x80\x01", "not MessagePack|missing"),
    ],
)
def test_a_payload_that_is_not_its_kind_s_names_the_field(payload: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode(FaultEntry.kind, payload)


@pytest.mark.parametrize(
    "inputs", [3, [3], [["a", 1.0, 1.0]], [[1, 1.0, 1.0, 1]], [["a", "b", 1.0, 1]], [["a", 1.0, 1.0, 1.0]]]
)
def test_inputs_of_a_decision_are_checked_row_by_row(inputs: Any) -> None:
    entry = DecisionEntry(1, 0, "r", 1, None, "a", "b", "fire", "rule", None, None, (), False)
    values = {**fields_of(entry), "inputs": inputs}
    with pytest.raises(DataError, match=r"decision\.inputs"):
        decode(DecisionEntry.kind, msgpack.packb(values))


def test_a_newer_log_may_have_more_fields_and_an_older_one_lack_those_with_a_default() -> None:
    values = fields_of(PulseCommandEntry(1, 2, 3, "gate", "fire")) | {"colour": "blue"}
    del values["details"]
    assert decode(PulseCommandEntry.kind, msgpack.packb(values)) == PulseCommandEntry(1, 2, 3, "gate", "fire")


def test_a_kind_of_a_newer_version_is_none() -> None:
    assert decode(63, b"anything") is None


def test_rows_of_each_name_are_read_and_counted_where_they_found_no_room() -> None:
    """A name of `ROW_NAMES` is a field of `Session` and, at the end and 0 by default, of `UnrecordedEntry`."""
    names = set(ROW_NAMES.values())
    assert names <= {each.name for each in dataclasses.fields(Session)}
    assert names | {"t_ns", "events"} == {each.name for each in dataclasses.fields(UnrecordedEntry)}


@given(
    st.data(),
    st.integers(1, 4),
    st.integers(0, 5),
    st.sampled_from(sorted(ROW_NAMES)),
)
def test_rows_come_back_bit_for_bit(data: st.DataObject, count: int, width: int, kind: int) -> None:
    dtype = row_dtype(kind, width)
    rows = data.draw(stn.arrays(np.uint8, count * dtype.itemsize)).view(dtype)
    packed = [row.tobytes() for row in rows]
    back = decode_rows(kind, encode_rows(width, packed))
    assert back.dtype == dtype
    assert back.tobytes() == b"".join(packed)
    assert not back.flags.writeable


@pytest.mark.parametrize(
    "payload",
    [
        {"a": 1},
        [1, 1],
        [1, 1, "text"],
        [True, 1, b""],
        [1, -1, bytes(32)],
        [-1, 1, bytes(32)],
        [2, 1, bytes(32)],
        [1, 10**9, bytes(32)],
    ],
)
def test_rows_that_do_not_add_up_are_refused(payload: Any) -> None:
    with pytest.raises(DataError, match="frames"):
        decode_rows(FRAMES, msgpack.packb(payload))


def test_rows_with_and_without_likelihood_join_and_other_widths_do_not() -> None:
    with_one, without = np.zeros(2, pose_dtype(3, likelihood=True)), np.ones(1, pose_dtype(3))
    joined = join_rows([without, with_one], pose_dtype(0))
    assert len(joined) == 3
    assert np.isnan(joined["likelihood"][0]).all()
    assert not joined["likelihood"][1:].any()
    assert len(join_rows([], pose_dtype(0))) == 0
    with pytest.raises(DataError, match="different widths"):
        join_rows([without, np.zeros(1, pose_dtype(2))], pose_dtype(0))
