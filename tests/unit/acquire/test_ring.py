from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.fakes import meta
from support.waits import LONG_S, finishes

from rtface.acquire.ring import FrameRing, Slot, SlotState
from rtface.core.errors import UsageError
from rtface.core.records import Image

SHAPE = (2, 3)


def write(ring: FrameRing, frame_id: int) -> None:
    slot = ring.acquire(0)
    assert slot is not None
    slot.pixels[:] = frame_id
    ring.commit(slot, meta(frame_id))


def read(ring: FrameRing) -> int | None:
    """Take, check and give back one frame; return its number."""
    slot = ring.take(0)
    if slot is None:
        return None
    assert slot.meta is not None
    assert (slot.pixels == slot.meta.frame_id).all()
    frame_id = slot.meta.frame_id
    ring.release(slot)
    return frame_id


@pytest.mark.parametrize("slots", [-1, 0, 2])
def test_fewer_than_three_slots_are_refused(slots: int) -> None:
    with pytest.raises(UsageError, match=f"at least 3 slots, not {slots}"):
        FrameRing(slots, SHAPE)


def test_memory_is_allocated_once_by_whoever_is_asked_and_never_shared() -> None:
    made: list[Image] = []

    def allocate(shape: tuple[int, int]) -> Image:
        assert shape == SHAPE
        made.append(np.zeros(shape, np.uint8))
        return made[-1]

    ring = FrameRing(4, SHAPE, allocate=allocate)
    assert len(made) == 4
    for frame_id in range(20):
        slot = ring.acquire(0)
        assert slot is not None
        assert any(slot.pixels is pixels for pixels in made)
        ring.commit(slot, meta(frame_id))
    assert len(made) == 4
    own = FrameRing(3, SHAPE)._slots
    assert not any(np.shares_memory(one.pixels, other.pixels) for one, other in combinations(own, 2))
    assert all(slot.pixels.flags.c_contiguous and slot.pixels.dtype == np.uint8 for slot in own)


def test_the_newest_frame_wins_and_what_it_displaces_is_counted() -> None:
    ring = FrameRing(3, SHAPE)
    for frame_id in range(10):
        write(ring, frame_id)
    assert ring.dropped == 7
    assert read(ring) == 9
    assert ring.dropped == 9
    assert read(ring) is None


def test_with_keep_all_every_frame_is_read_in_order_and_the_writer_waits() -> None:
    ring = FrameRing(3, SHAPE, keep_all=True)
    for frame_id in range(3):
        write(ring, frame_id)
    assert ring.acquire(0) is None
    assert read(ring) == 0
    write(ring, 3)
    assert [read(ring) for _ in range(4)] == [1, 2, 3, None]
    assert ring.dropped == 0


def test_frames_that_are_ready_can_be_read_after_the_end() -> None:
    ring = FrameRing(3, SHAPE, keep_all=True)
    write(ring, 1)
    write(ring, 2)
    ring.close()
    assert ring.acquire(LONG_S) is None
    assert [read(ring), read(ring)] == [1, 2]
    assert ring.take(LONG_S) is None


def test_what_is_written_when_the_ring_closes_can_still_be_handed_over() -> None:
    ring = FrameRing(3, SHAPE)
    slot = ring.acquire(0)
    assert slot is not None
    ring.close()
    slot.pixels[:] = 4
    ring.commit(slot, meta(4))
    assert read(ring) == 4


def test_a_writer_that_hoards_slots_is_told_so() -> None:
    ring = FrameRing(3, SHAPE)
    for _ in range(3):
        assert ring.acquire(0) is not None
    with pytest.raises(UsageError, match="every slot is held"):
        ring.acquire(0)


@pytest.mark.parametrize("keep_all", [False, True])
def test_a_reader_that_waits_is_woken_by_a_frame(keep_all: bool) -> None:
    ring = FrameRing(3, SHAPE, keep_all=keep_all)
    taken: list[Slot | None] = []
    reader = threading.Thread(target=lambda: taken.append(ring.take(600)), daemon=True)
    reader.start()
    write(ring, 5)
    finishes(reader.join)
    assert taken[0] is not None
    assert taken[0].meta == meta(5)


def test_a_writer_that_waits_is_woken_by_a_released_slot() -> None:
    ring = FrameRing(3, SHAPE, keep_all=True)
    for frame_id in range(3):
        write(ring, frame_id)
    got: list[Slot | None] = []
    writer = threading.Thread(target=lambda: got.append(ring.acquire(600)), daemon=True)
    writer.start()
    assert read(ring) == 0
    finishes(writer.join)
    assert got[0] is not None


@pytest.mark.parametrize("wait", ["acquire", "take"])
def test_close_wakes_whoever_waits(wait: str) -> None:
    ring = FrameRing(3, SHAPE, keep_all=True)
    if wait == "acquire":
        for frame_id in range(3):
            write(ring, frame_id)
    got: list[Slot | None] = []
    waiter = threading.Thread(target=lambda: got.append(getattr(ring, wait)(600)), daemon=True)
    waiter.start()
    condition = ring._changed_for_writer if wait == "acquire" else ring._changed_for_reader
    while True:  # until the other thread really waits
        with ring._lock:
            if condition._waiters:  # type: ignore[attr-defined]
                break
    ring.close()
    finishes(waiter.join)
    assert got == [None]


class RingMachine(RuleBasedStateMachine):
    """Any order of calls of one writer and one reader, against lists."""

    keep_all = False

    @initialize(slots=st.integers(3, 6))
    def make(self, slots: int) -> None:
        self.ring = FrameRing(slots, SHAPE, keep_all=self.keep_all)
        self.slots = slots
        self.ready: deque[int] = deque()
        self.writing: Slot | None = None
        self.reading: Slot | None = None
        self.reading_id = -1
        self.next_id = 1
        self.committed = self.read = self.dropped = 0
        self.closed = False

    @precondition(lambda self: self.writing is None)
    @rule()
    def acquire(self) -> None:
        slot = self.ring.acquire(0)
        held = len(self.ready) + (self.reading is not None)
        if self.closed or (self.keep_all and held == self.slots):
            assert slot is None
            return
        assert slot is not None, "the writer must always find a slot"
        assert slot.meta is None
        if held == self.slots:
            self.ready.popleft()
            self.dropped += 1
        slot.pixels[:] = 255
        self.writing = slot

    @precondition(lambda self: self.writing is not None)
    @rule()
    def commit(self) -> None:
        slot = self.writing
        assert slot is not None
        slot.pixels[:] = self.next_id % 255
        self.ring.commit(slot, meta(self.next_id))
        self.ready.append(self.next_id)
        self.next_id += 1
        self.committed += 1
        self.writing = None

    @precondition(lambda self: self.writing is not None)
    @rule()
    def discard(self) -> None:
        assert self.writing is not None
        self.ring.discard(self.writing)
        self.writing = None

    @precondition(lambda self: self.reading is None)
    @rule()
    def take(self) -> None:
        slot = self.ring.take(0)
        if not self.ready:
            assert slot is None
            return
        assert slot is not None
        if self.keep_all:
            wanted = self.ready.popleft()
        else:
            wanted = self.ready.pop()
            self.dropped += len(self.ready)
            self.ready.clear()
        assert slot.meta == meta(wanted)
        self.reading, self.reading_id = slot, wanted

    @precondition(lambda self: self.reading is not None)
    @rule()
    def release(self) -> None:
        assert self.reading is not None
        self.ring.release(self.reading)
        self.reading = None
        self.read += 1

    @rule(index=st.integers(0, 5), call=st.sampled_from(["commit", "discard", "release"]))
    def call_in_the_wrong_state(self, index: int, call: str) -> None:
        slot = self.ring._slots[index % self.slots]
        wanted = SlotState.READING if call == "release" else SlotState.WRITING
        if slot.state is wanted:
            return
        arguments = (slot, meta(0)) if call == "commit" else (slot,)
        with pytest.raises(UsageError, match=f"the slot is {slot.state.name}, not {wanted.name}"):
            getattr(self.ring, call)(*arguments)

    @precondition(lambda self: self.committed > 3)
    @rule()
    def close(self) -> None:
        self.ring.close()
        self.closed = True

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "ring"):
            return
        states = [slot.state for slot in self.ring._slots]
        assert states.count(SlotState.WRITING) == (self.writing is not None)
        assert states.count(SlotState.READING) == (self.reading is not None)
        assert states.count(SlotState.READY) == len(self.ready)
        assert self.ring.dropped == self.dropped
        in_hand = self.reading is not None
        assert self.committed == self.read + self.dropped + len(self.ready) + in_hand
        if self.writing is not None:
            assert self.writing.state is SlotState.WRITING
            assert self.writing is not self.reading
        if self.reading is not None:
            assert self.reading.state is SlotState.READING
            assert (self.reading.pixels == self.reading_id % 255).all(), "written while it is read"


class KeepAllMachine(RingMachine):
    keep_all = True


TestNewestWins = RingMachine.TestCase
TestNewestWins.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestKeepAll = KeepAllMachine.TestCase
TestKeepAll.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Interleaving:
    """One writer and one reader as sequences of steps that a schedule puts in order.

    A step is a call of the ring or half of a picture: whoever steps in between sees a picture half written or
    goes on writing while half of it is read.
    """

    def __init__(self, slots: int, keep_all: bool) -> None:
        self.ring = FrameRing(slots, SHAPE, keep_all=keep_all)
        self.committed = 0
        self.read: list[int] = []
        self.writer, self.reader = self._write(), self._read()

    def _write(self) -> Iterator[None]:
        while True:
            slot = self.ring.acquire(0)
            yield
            if slot is None:
                continue
            number = self.committed + 1
            slot.pixels[0] = number
            yield
            slot.pixels[1] = number
            yield
            self.ring.commit(slot, meta(number))
            self.committed = number
            yield

    def _read(self) -> Iterator[None]:
        while True:
            committed = self.committed
            slot = self.ring.take(0)
            yield
            if slot is None:
                oldest = self.read[-1] if self.read else 0
                assert committed == oldest, "there was a frame, but the reader got none"
                continue
            assert slot.meta is not None
            if not self.ring._keep_all:
                assert slot.meta.frame_id == committed, "older than what was there when it was taken"
            top = slot.pixels[0].copy()
            yield
            bottom = slot.pixels[1].copy()
            yield
            assert (top == slot.meta.frame_id).all(), "torn"
            assert (bottom == slot.meta.frame_id).all(), "torn"
            self.read.append(slot.meta.frame_id)
            self.ring.release(slot)
            yield

    def step(self, writer: bool) -> None:
        next(self.writer if writer else self.reader)

    def check(self) -> None:
        held = {SlotState.READY: 0, SlotState.READING: 0}
        for slot in self.ring._slots:
            held[slot.state] = held.get(slot.state, 0) + 1
        left = held[SlotState.READY] + held[SlotState.READING]
        assert self.committed == len(self.read) + self.ring.dropped + left
        assert self.read == sorted(set(self.read))
        if self.ring._keep_all:
            assert self.read == list(range(1, len(self.read) + 1))


@pytest.mark.parametrize("keep_all", [False, True])
@pytest.mark.parametrize(("frames", "reads"), [(2, 2), (5, 1), (1, 3)])
def test_no_order_of_steps_tears_a_frame(keep_all: bool, frames: int, reads: int) -> None:
    """Every order of the four steps a frame takes to write and to read, none left out."""
    length = 4 * (frames + reads)
    for chosen in combinations(range(length), 4 * reads):
        pair = Interleaving(3, keep_all)
        reader_steps = set(chosen)
        for position in range(length):
            pair.step(writer=position not in reader_steps)
        pair.check()


@given(slots=st.integers(3, 5), keep_all=st.booleans(), schedule=st.lists(st.booleans(), max_size=120))
@settings(max_examples=150, deadline=None)
def test_long_orders_of_steps(slots: int, keep_all: bool, schedule: list[bool]) -> None:
    pair = Interleaving(slots, keep_all)
    for writer in schedule:
        pair.step(writer)
    pair.check()


@pytest.fixture
def _eager_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def run_writer(ring: FrameRing, frames: int) -> Callable[[], None]:
    def run() -> None:
        try:
            for frame_id in range(1, frames + 1):
                slot = ring.acquire(LONG_S)
                assert slot is not None
                slot.pixels[:] = frame_id % 251
                ring.commit(slot, meta(frame_id))
        finally:
            ring.close()

    return run


@pytest.mark.usefixtures("_eager_threads")
@pytest.mark.parametrize(("keep_all", "frames"), [(False, 8_000), (True, 3_000)])
def test_two_threads_in_earnest(keep_all: bool, frames: int) -> None:
    ring = FrameRing(3, (48, 64), keep_all=keep_all)
    ids: list[int] = []
    writer = threading.Thread(target=run_writer(ring, frames), daemon=True)
    writer.start()
    while (slot := ring.take(LONG_S)) is not None:
        assert slot.meta is not None
        value = slot.meta.frame_id % 251
        assert (slot.pixels == value).all(), f"frame {slot.meta.frame_id} is torn"
        ids.append(slot.meta.frame_id)
        ring.release(slot)
    finishes(writer.join)
    assert all(one < other for one, other in pairwise(ids))
    assert ids[-1] == frames
    assert frames == len(ids) + ring.dropped
    assert not keep_all or ring.dropped == 0
    assert all(slot.state is SlotState.FREE for slot in ring._slots)
