"""A camera's process: one camera, which opens, starts, fills, stops and closes as its parent asks.

Begun by `rtface.acquire.outside.process`. Everything happens in one thread: whatever the driver does, waiting, holding the
interpreter's lock, hanging or dying, happens here alone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from typing import Any

from rtface.acquire.base import Camera
from rtface.acquire.outside.beside import BesideCamera
from rtface.acquire.outside.messages import (
    FETCH,
    READY,
    STATUS,
    Answer,
    Failure,
    info_map,
    status_map,
    unpack_request,
)
from rtface.acquire.outside.passage import MESSAGE, Passage
from rtface.acquire.outside.records import Counts
from rtface.acquire.outside.writer import SlotWriter
from rtface.acquire.thread import POLL_S, let_the_reader_run
from rtface.core.clock import NS_PER_MS, monotonic_ns
from rtface.core.errors import UsageError
from rtface.core.realtime import realtime_process
from rtface.core.status import CameraStatus

STATUS_EVERY_NS = 100 * NS_PER_MS
"""Least time from one word of how the camera does to the next."""

_PARENT_DEATH_SIGNAL = 1


def end_with(parent: int) -> None:
    """Have the system end this process with the thread that began it; end now where that is gone already.

    Parameters
    ----------
    parent : int
        The process that began this one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class CameraServer:
    """Carries out requests with one camera.

    Parameters
    ----------
    passage : Passage
    """

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._camera: Camera | None = None
        self._slots: SlotWriter | None = None
        self._beside: BesideCamera | None = None
        self._fills = False
        self._taken_back = 0
        self._said = CameraStatus()
        self._next_status_ns = 0
        self._requests: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "start": self._start,
            "call": self._call,
            "stop": self._stop,
            "close": self._close,
        }

    def serve(self) -> None:
        """Serve until asked to close, or the parent is gone."""
        self._say(Answer(READY))
        while True:
            if self._fills and not self._passage.message_waits():
                self._fill()
                continue
            message = self._passage.messages.recv(MESSAGE)
            if not message:
                return
            name, arguments = unpack_request(message)
            try:
                value = self._requests[name](**arguments)
            except Exception as error:
                self._say(Answer(name, None, self._counts(), Failure.of(error)))
            else:
                self._say(Answer(name, value, self._counts()))
            if name == "close":
                return

    def _open(self, maker: str, arguments: dict[str, Any]) -> dict[str, Any]:
        module, _, function = maker.partition(":")
        self._camera = getattr(import_module(module), function)(**arguments)
        self._said = CameraStatus()
        info = self._camera.open()
        return info_map(info)

    def _call(self, method: str, arguments: dict[str, Any]) -> Any:
        camera = self._opened()
        if not isinstance(camera, BesideCamera) or method not in camera.CALLS:
            raise UsageError(f"the camera has nothing that is called {method}")
        return getattr(camera, method)(**arguments)

    def _start(
        self, slots: int, shape: tuple[int, int], free: list[int], *, keep_all: bool, beside: int = 0
    ) -> None:
        self._passage.returned()  # all that came back before is in `free`
        frames = self._passage.frames(slots, (shape[0], shape[1]), beside)
        self._slots = SlotWriter(self._passage, frames, free, keep_all=keep_all)
        camera = self._opened()
        self._beside = camera if beside and isinstance(camera, BesideCamera) else None
        camera.start()
        self._fills = True

    def _stop(self) -> None:
        self._fills = False
        if self._slots is not None:
            self._taken_back += self._slots.taken_back
            self._slots = None
        self._opened().stop()

    def _close(self) -> None:
        if self._camera is not None:
            self._camera.close()

    def _fill(self) -> None:
        camera, slots = self._opened(), self._slots
        assert slots is not None  # made by what began to fill
        try:
            displaced = slots.taken_back
            slot = slots.acquire(POLL_S)
            if slots.taken_back != displaced:
                slots.say(self._now())
            if slot is None:
                slots.idle(self._now())
                return
            meta = camera.fill(slots.pixels(slot), POLL_S)
            if self._beside is not None and meta is not None:
                self._beside.put_beside(slots.beside(slot))
            if meta is None:
                slots.discard(slot)
                slots.idle(self._now())
            else:
                slots.commit(slot, meta, self._now())
                let_the_reader_run()
            self._say_how_it_does()
        except Exception as error:
            self._fills = False
            self._say(Answer(FETCH, None, self._counts(), Failure.of(error)))

    def _say_how_it_does(self) -> None:
        """Say what the counts of a frame do not hold, where it has changed; now and then, and never wait for it.

        A reader may be away for long, and what is said may change with each frame.
        """
        now_ns = monotonic_ns()
        if now_ns < self._next_status_ns:
            return
        status = replace(self._opened().status, missed_triggers=None)
        if status != self._said:
            self._next_status_ns = now_ns + STATUS_EVERY_NS
            if self._passage.say_if_there_is_room(Answer(STATUS, status_map(status), self._counts()).pack()):
                self._said = status

    def _opened(self) -> Camera:
        assert self._camera is not None  # the parent asks in order
        return self._camera

    def _now(self) -> Counts:
        slots = self._slots
        return Counts.of(self._opened(), self._taken_back + (0 if slots is None else slots.taken_back))

    def _counts(self) -> list[Any]:
        return [] if self._camera is None else self._now().as_list()

    def _say(self, answer: Answer) -> None:
        self._passage.messages.send(answer.pack())


def main(arguments: Sequence[str]) -> None:
    """Serve the parent that began this process.

    Parameters
    ----------
    arguments : sequence of str
        Number of the parent's process, and the handles of `Passage`.
    """
    parent, *handles = map(int, arguments)
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for handle in handles:
        if handle >= 0:
            os.set_inheritable(handle, False)  # what a driver begins must not hold them
    with realtime_process(), closing(Passage(handles)) as passage:
        CameraServer(passage).serve()
