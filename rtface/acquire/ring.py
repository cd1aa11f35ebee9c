"""The ring of frames between the camera's thread and the network's thread.

A fixed number of equal slots, allocated once. Each slot is in exactly one state, and only the holder of a slot
in WRITING or READING touches its pixels, so nothing is ever read while it is written:

    FREE -> WRITING -> READY -> READING -> FREE
               |          |
               +-> FREE   +-> WRITING   (displaced by a newer frame: counted in `dropped`)

With three slots or more, one writer and one reader, the writer always finds a slot and the newest frame is
never the one that is displaced.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

import numpy as np

from rtface.core.errors import UsageError
from rtface.core.records import FrameMeta, Image

MINIMUM_SLOTS = 3

_NOTHING = np.empty(0, np.uint8)


class SlotState(Enum):
    """Who may touch a slot's pixels."""

    FREE = auto()
    WRITING = auto()
    READY = auto()
    READING = auto()


class Slot:
    """One frame's memory; made and handed out by a `FrameRing`.

    Attributes
    ----------
    pixels : ndarray, shape (height, width), uint8
        Valid for the holder only.
    meta : FrameMeta or None
        The frame's identity and times once it is READY.
    state : SlotState
    beside : ndarray, shape (B,), uint8
        What was put beside the pixels, of a source that puts something there; else empty.
    """

    __slots__ = ("beside", "meta", "pixels", "state")

    def __init__(self, pixels: Image, beside: Image = _NOTHING) -> None:
        self.pixels, self.beside = pixels, beside
        self.meta: FrameMeta | None = None
        self.state = SlotState.FREE


def host_memory(shape: tuple[int, int]) -> Image:
    """Return ordinary zeroed memory for one frame; back ends may offer page-locked memory instead."""
    return np.zeros(shape, np.uint8)


class FrameRing:
    """Fixed slots, one writer, one reader.

    Parameters
    ----------
    slots : int
        Number of slots, at least 3.
    shape : tuple of int
        Rows and columns of a frame.
    keep_all : bool
        False (a live camera): the newest frame wins and what it displaces is counted. True (a file): every frame
        is read in order and the writer waits for the reader.
    allocate : callable
        Makes the memory of one slot from its shape.

    Raises
    ------
    UsageError
        Fewer than three slots.
    """

    def __init__(
        self,
        slots: int,
        shape: tuple[int, int],
        *,
        keep_all: bool = False,
        allocate: Callable[[tuple[int, int]], Image] = host_memory,
    ) -> None:
        if slots < MINIMUM_SLOTS:
            raise UsageError(f"a ring needs at least {MINIMUM_SLOTS} slots, not {slots}")
        self._slots = tuple(Slot(allocate(shape)) for _ in range(slots))
        self._free: deque[Slot] = deque(self._slots)
        self._ready: deque[Slot] = deque()
        self._keep_all = keep_all
        self._dropped = 0
        self._closed = False
        self._lock = threading.Lock()
        self._changed_for_reader = threading.Condition(self._lock)
        self._changed_for_writer = threading.Condition(self._lock)

    @property
    def dropped(self) -> int:
        """Frames that a newer one displaced before they were read."""
        return self._dropped

    def acquire(self, timeout_s: float) -> Slot | None:
        """Give the writer a slot to fill.

        Returns
        -------
        Slot or None
            None when the ring was closed, or, with `keep_all`, when no slot came free within `timeout_s`.
        """
        with self._lock:
            if self._keep_all and not self._free and not self._closed:
                self._changed_for_writer.wait(timeout_s)
            if self._closed or (self._keep_all and not self._free):
                return None
            if self._free:
                slot = self._free.popleft()
            elif self._ready:
                slot = self._ready.popleft()
                self._dropped += 1
            else:
                raise UsageError("every slot is held: release or discard slots before asking for another")
            slot.state = SlotState.WRITING
            slot.meta = None
            return slot

    def commit(self, slot: Slot, meta: FrameMeta) -> None:
        """Hand a filled slot to the reader."""
        with self._lock:
            self._expect(slot, SlotState.WRITING)
            slot.meta = meta
            slot.state = SlotState.READY
            self._ready.append(slot)
            self._changed_for_reader.notify()

    def discard(self, slot: Slot) -> None:
        """Give back a slot that was not filled."""
        with self._lock:
            self._expect(slot, SlotState.WRITING)
            self._set_free(slot)

    def take(self, timeout_s: float) -> Slot | None:
        """Give the reader the newest frame, or with `keep_all` the oldest.

        Frames older than the one taken are freed and counted in `dropped`.

        Returns
        -------
        Slot or None
            None when there was no frame within `timeout_s`, or the ring is closed and empty.
        """
        with self._lock:
            if not self._ready and not self._closed:
                self._changed_for_reader.wait(timeout_s)
            if not self._ready:
                return None
            if self._keep_all:
                slot = self._ready.popleft()
            else:
                slot = self._ready.pop()
                while self._ready:
                    self._set_free(self._ready.popleft())
                    self._dropped += 1
            slot.state = SlotState.READING
            return slot

    def release(self, slot: Slot) -> None:
        """Give back a slot that was read."""
        with self._lock:
            self._expect(slot, SlotState.READING)
            self._set_free(slot)

    def close(self) -> None:
        """Wake both sides; no slot is given to the writer any more, READY frames can still be taken."""
        with self._lock:
            self._closed = True
            self._changed_for_reader.notify_all()
            self._changed_for_writer.notify_all()

    def _set_free(self, slot: Slot) -> None:
        slot.state = SlotState.FREE
        slot.meta = None
        self._free.append(slot)
        self._changed_for_writer.notify()

    @staticmethod
    def _expect(slot: Slot, state: SlotState) -> None:
        if slot.state is not state:
            raise UsageError(f"the slot is {slot.state.name}, not {state.name}")
