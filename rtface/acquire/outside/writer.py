"""The producer's side of the slots: who fills them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rtface.acquire.outside.passage import Passage
from rtface.acquire.outside.records import Counts, Filled
from rtface.core.records import FrameMeta, Image


class SlotWriter:
    """Fills slots, from one start of the camera to its stop.

    Parameters
    ----------
    passage : Passage
    frames : sequence of (ndarray, ndarray)
        Of all slots: pixels, and the bytes beside them.
    free : iterable of int
        Slots that may be filled.
    keep_all : bool
        As in `rtface.acquire.ring.FrameRing`: wait for the reader, rather than take back what it did not take.

    Attributes
    ----------
    taken_back : int
        Frames that were displaced by a newer one.
    """

    def __init__(
        self,
        passage: Passage,
        frames: tuple[tuple[Image, Image], ...],
        free: Iterable[int],
        *,
        keep_all: bool,
    ) -> None:
        self._passage, self._frames, self._keep_all = passage, frames, keep_all
        self._free = deque(free)
        self.taken_back = 0

    def acquire(self, timeout_s: float) -> int | None:
        """Return a slot to fill; None when none came free within a time, or a message has come."""
        self._free.extend(self._passage.returned())
        if not self._free and not self._keep_all:
            self._take_back()
        if not self._free:
            self._passage.wait_for_returned(timeout_s)
            self._free.extend(self._passage.returned())
        return self._free.popleft() if self._free else None

    def pixels(self, slot: int) -> Image:
        """Return a slot's memory."""
        return self._frames[slot][0]

    def beside(self, slot: int) -> Image:
        """Return the bytes beside a slot's pixels."""
        return self._frames[slot][1]

    def discard(self, slot: int) -> None:
        """Give back a slot that was not filled."""
        self._free.append(slot)

    def commit(self, slot: int, meta: FrameMeta, counts: Counts) -> None:
        """Hand a filled slot to the reader."""
        self._passage.put(Filled(slot, meta, counts).pack())

    def say(self, counts: Counts) -> None:
        """Say what was counted, without a frame: that one was displaced is known even if this process dies now."""
        self._passage.put(Filled(None, None, counts).pack())

    def idle(self, counts: Counts) -> None:
        """Say that the driver answers, though it has no frame; unless the reader has yet to take what was said before."""
        if self._passage.nothing_waits:
            self.say(counts)

    def _take_back(self) -> None:
        """Take back the oldest frame that nobody has taken, if there is one."""
        while records := self._passage.take(1):
            slot = Filled.unpack(records[0]).slot
            if slot is not None:
                self._free.append(slot)
                self.taken_back += 1
                return
