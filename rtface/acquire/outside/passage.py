"""What joins the two processes: frames in shared memory, and who may touch which slot, by system calls alone.

The only module, with `rtface.acquire.outside.process`, that knows the operating system; this is Linux's way, and where
`AVAILABLE` is false `rtface.acquire.factory` opens every camera in the process that uses it. Another system needs a
`Passage` with the same methods: on Windows a named mapping, and pipes whose records can be read from both ends.

- Pixels lie in memory without a name (`memfd`): it is gone with the last process that has it, however that ends.
- A filled slot is one record of `RECORD` bytes in a pipe that both processes read. The kernel gives each record to exactly
  one reader: the consumer, or the producer that takes back the oldest for want of a free slot. So the newest frame wins, and
  a slot's owner is never in doubt.
- A slot that was read goes back as one number in a second pipe.
- Requests and answers are messages of a socket.

Whoever has taken a record or a number sees all that was written to the slot before it was sent, for these are system calls
on one pipe: no order of memory operations is relied on.
"""

from __future__ import annotations

import array
import mmap
import os
import select
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Self

import numpy as np

from rtface.core.records import Image

with suppress(ImportError):  # Linux alone has both, and all that is done with them here
    import fcntl
    import termios

AVAILABLE = sys.platform == "linux"
"""Whether this system has a way."""
ELSEWHERE = "this is Linux's way: who asks for a process of a camera's own looks at AVAILABLE first"
"""What another system is told."""
RECORD = 512
"""Bytes of a record: at most PIPE_BUF, so that each is written, and read, as a whole."""
MESSAGE = 1 << 20
"""Most bytes of a message that are read."""

_READABLE: int = getattr(select, "POLLIN", 0)
_SLOT = struct.Struct("<H")
_MOST_NUMBERS = 4096
_RECORDS_AT_ONCE = 64
_PIPE_BYTES = 1 << 20
_NOT_FILLED = 16
"""Records for which a pipe may have no room although it holds fewer than it can: what was read of a page takes room."""


class Passage:
    """One side of what joins a camera's process to the one that uses it.

    Parameters
    ----------
    handles : sequence of int
        Memory, records (to read, to write), returned slots (to read, to write), socket; -1 for what this side has not.

    Attributes
    ----------
    messages : socket
        Requests and answers, each a message of its own.
    """

    def __init__(self, handles: Sequence[int]) -> None:
        self._memory, self._records, self._records_in, self._returned, self._returned_in, sock = handles
        self.messages = socket.socket(fileno=sock)
        if sys.platform != "linux":
            raise NotImplementedError(ELSEWHERE)
        self._waiting = select.poll()

    @classmethod
    def make(cls) -> tuple[Self, tuple[int, ...]]:
        """Make the consumer's side, and the handles of the producer's, which `close_handles` must close here.

        Raises
        ------
        OSError
            The system has no room for more.
        """
        if sys.platform != "linux":
            raise NotImplementedError(ELSEWHERE)
        with ExitStack() as begun:

            def kept(*handles: int) -> tuple[int, ...]:
                begun.callback(close_handles, handles)
                return handles

            ours, theirs = kept(
                *(each.detach() for each in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            )
            (memory,) = kept(os.memfd_create("rtface-frames"))
            records, records_in = kept(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
            returned, returned_in = kept(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
            (memory_there,) = kept(os.dup(memory))
            (records_there,) = kept(os.dup(records))
            begun.pop_all()
        with suppress(OSError):  # beyond what this user may have: then there are fewer slots
            fcntl.fcntl(records, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        passage = cls((memory, records, -1, -1, returned_in, ours))
        return passage, (memory_there, records_there, records_in, returned, -1, theirs)

    @property
    def most_slots(self) -> int:
        """How many slots there may be, so that there is always room for their records, and for one beside each."""
        if sys.platform != "linux":
            raise NotImplementedError(ELSEWHERE)
        return fcntl.fcntl(self._records, fcntl.F_GETPIPE_SZ) // RECORD // 2 - _NOT_FILLED

    def fit(self, slots: int, shape: tuple[int, int], beside: int = 0) -> tuple[tuple[Image, Image], ...]:
        """Make room for so many frames of a shape, and return it as `frames`; by the consumer, before the producer maps it."""
        os.ftruncate(self._memory, slots * _stride(shape, beside))
        return self.frames(slots, shape, beside)

    def frames(self, slots: int, shape: tuple[int, int], beside: int = 0) -> tuple[tuple[Image, Image], ...]:
        """Return the frames of memory that was made to fit, each beginning at a page, and the bytes beside each."""
        stride, (height, width) = _stride(shape, beside), shape
        pixels = height * width
        mapped = mmap.mmap(self._memory, slots * stride)
        return tuple(
            (
                np.frombuffer(mapped, np.uint8, pixels, slot * stride).reshape(shape),
                np.frombuffer(mapped, np.uint8, beside, slot * stride + pixels),
            )
            for slot in range(slots)
        )

    def put(self, record: bytes) -> None:
        """Send a record."""
        os.write(self._records_in, record)

    @property
    def nothing_waits(self) -> bool:
        """Whether every record was taken."""
        if sys.platform != "linux":
            raise NotImplementedError(ELSEWHERE)
        pending = array.array("i", [0])
        fcntl.ioctl(self._records, termios.FIONREAD, pending)
        return not pending[0]

    def take(self, most: int = _RECORDS_AT_ONCE) -> list[bytes]:
        """Take the oldest records, which nobody else gets from now on; empty where there are none."""
        try:
            data = os.read(self._records, most * RECORD)
        except BlockingIOError:
            return []
        return [data[at : at + RECORD] for at in range(0, len(data), RECORD)]

    def give_back(self, slot: int) -> None:
        """Send a slot back to the producer; nothing where that is gone."""
        try:
            os.write(self._returned_in, _SLOT.pack(slot))
        except (BrokenPipeError, BlockingIOError):
            return

    def returned(self) -> list[int]:
        """Take the slots that came back."""
        try:
            data = os.read(self._returned, _MOST_NUMBERS)
        except BlockingIOError:
            return []
        return [slot for (slot,) in _SLOT.iter_unpack(data)]

    def wait_for_records(self, timeout_s: float) -> None:
        """Wait until a record or a message can be taken, or the other side is gone."""
        self._wait(timeout_s, (self._records, _READABLE), (self.messages.fileno(), _READABLE))

    @property
    def waits_on(self) -> tuple[int, int]:
        """What becomes readable when a record or a message can be taken, or the other side is gone."""
        return self._records, self.messages.fileno()

    def wait_for_returned(self, timeout_s: float) -> None:
        """Wait until a slot has come back, or a message."""
        self._wait(timeout_s, (self._returned, _READABLE), (self.messages.fileno(), _READABLE))

    def message_waits(self, timeout_s: float = 0.0) -> bool:
        """Return whether a message can be taken, or the other side is gone, now or within a time."""
        return self._wait(timeout_s, (self.messages.fileno(), _READABLE))

    def say_if_there_is_room(self, message: bytes) -> bool:
        """Send a message, unless the other side has left so many that it would have to be waited for; True when it is sent."""
        if sys.platform != "linux":
            raise NotImplementedError(ELSEWHERE)
        try:
            self.messages.send(message, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Give this side back; frames stay for as long as somebody has them."""
        self.messages.close()
        close_handles((self._memory, self._records, self._records_in, self._returned, self._returned_in))
        self._memory = self._records = self._records_in = self._returned = self._returned_in = -1

    def _wait(self, timeout_s: float, *handles: tuple[int, int]) -> bool:
        if sys.platform != "linux":
            raise NotImplementedError(ELSEWHERE)
        for handle, event in handles:
            self._waiting.register(handle, event)
        try:
            return bool(self._waiting.poll(max(0.0, timeout_s) * 1000))
        finally:
            for handle, _ in handles:
                self._waiting.unregister(handle)


def close_handles(handles: Sequence[int]) -> None:
    """Close what `Passage.make` made for the other process, once that has it."""
    for handle in handles:
        if handle >= 0:
            os.close(handle)


def _stride(shape: tuple[int, int], beside: int) -> int:
    """Bytes from one frame to the next: whole pages, so that a device may lock them."""
    used = shape[0] * shape[1] + beside
    return -(-used // mmap.PAGESIZE) * mmap.PAGESIZE
