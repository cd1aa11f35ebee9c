"""From the queue to records: rows before the events that came after them, poses before their features."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from rtface.record.session.batches import ROWS_AT_ONCE, write_queue
from rtface.record.session.entries import ENTRIES, MarkEntry
from rtface.record.session.rows import (
    FEATURES,
    POSES,
    ROW_NAMES,
    decode_rows,
    row_dtype,
)

WIDTHS = dict.fromkeys(ROW_NAMES, 1)
DTYPES = {kind: row_dtype(kind, 1) for kind in ROW_NAMES}


class Kept:
    """Keeps the records that a log is asked to append."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, int]] = []

    def append(self, kind: int, payload: bytes, rows: int = 1) -> None:
        self.records.append((kind, payload, rows))


def row(kind: int, number: int) -> bytes:
    return number.to_bytes(8, "little") + bytes(DTYPES[kind].itemsize - 8)


def written(*kinds: int, visits: int = 1) -> list[tuple[int, int]]:
    """Kind and number of each row and event, in the order of the log; numbers count the queue."""
    items = [
        (kind, number.to_bytes(8, "little") if kind in ENTRIES else row(kind, number))
        for number, kind in enumerate(kinds)
    ]
    log, size = Kept(), -(-len(items) // visits) or 1
    for start in range(0, len(items), size):
        queue = deque(items[start : start + size])
        write_queue(log, queue, WIDTHS, len(queue))  # type: ignore[arg-type]
        assert not queue
    found: list[tuple[int, int]] = []
    for kind, payload, count in log.records:
        if kind in ENTRIES:
            found.append((kind, int.from_bytes(payload, "little")))
            continue
        rows = decode_rows(kind, payload)
        assert len(rows) == count <= ROWS_AT_ONCE
        found += [(kind, number) for number in rows["frame_id"].tolist()]
    return found


KINDS = st.sampled_from([*ROW_NAMES, MarkEntry.kind])


@given(st.lists(KINDS, max_size=40), st.integers(1, 5))
def test_nothing_is_lost_and_the_order_holds(kinds: list[int], visits: int) -> None:
    found = written(*kinds, visits=visits)
    assert sorted(found, key=lambda each: each[1]) == [(kind, number) for number, kind in enumerate(kinds)]
    place = {number: at for at, (_, number) in enumerate(found)}
    for later, kind in enumerate(kinds):
        for earlier in range(later):
            names = ROW_NAMES.get(kinds[earlier]), ROW_NAMES.get(kind)
            if (
                kind in ENTRIES
                or kinds[earlier] in ENTRIES
                or names[0] == names[1]
                or names in (("poses", "features"), ("poses", "published"))
            ):
                assert place[earlier] < place[later], (kinds, earlier, later)


def test_a_visit_that_begins_between_a_pose_and_its_features_keeps_the_next_pose_before_its_own() -> None:
    assert written(FEATURES, POSES, FEATURES) == [(POSES, 1), (FEATURES, 0), (FEATURES, 2)]


def test_many_rows_make_several_records() -> None:
    found = written(*[POSES, FEATURES] * 1300)
    assert [number for kind, number in found if kind == POSES] == list(range(0, 2600, 2))
    place = {number: at for at, (_, number) in enumerate(found)}
    assert all(place[number] < place[number + 1] for number in range(0, 2600, 2))
