"""A camera whose driver runs in another process, as the one that uses it sees it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rtface.acquire.lifecycle import CameraState, OrderedCamera
from rtface.acquire.outside.messages import (
    FETCH,
    READY,
    STATUS,
    Answer,
    Failure,
    info_of_map,
    pack_request,
    status_of_map,
)
from rtface.acquire.outside.passage import MESSAGE, Passage
from rtface.acquire.outside.patience import DOING, USUAL, Patience
from rtface.acquire.outside.process import CameraProcess
from rtface.acquire.outside.records import Counts, Filled
from rtface.acquire.ring import MINIMUM_SLOTS, Slot, SlotState
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, monotonic_ns
from rtface.core.clockfit import ClockLine
from rtface.core.errors import CameraError, CameraLostError, UsageError
from rtface.core.records import CameraInfo, FrameMeta, Image
from rtface.core.status import CameraStatus

_log = logging.getLogger(__name__)


class OutsideCamera(OrderedCamera):
    """A camera that is open in a process of its own; a `rtface.acquire.base.Camera`.

    A driver that does not return within its time is killed with its process, and one that dies takes nothing with it: both
    are a lost camera. What is lost can be closed and opened again.

    `fill` copies the next frame, as any camera's. Without a copy `take` gives the frame where the driver's process has put
    it, until `release`.

    Parameters
    ----------
    kind : str
        What messages call the camera.
    maker : str
        ``module:function`` that makes the camera there.
    arguments : mapping
        The function's, of plain values.
    slots : int
        Frames that can wait, or be held, at once; at least 3.
    patience : Patience
    beside : int
        Bytes that it puts beside each frame: it is a `rtface.acquire.outside.beside.BesideCamera`.
    """

    def __init__(
        self,
        kind: str,
        maker: str,
        arguments: Mapping[str, Any],
        slots: int = 6,
        patience: Patience = USUAL,
        beside: int = 0,
    ) -> None:
        super().__init__(kind, SYSTEM_CLOCK)
        self._maker, self._arguments = maker, dict(arguments)
        self._wanted_slots, self._patience, self._beside = slots, patience, beside
        self._passage: Passage | None = None
        self._process: CameraProcess | None = None
        self._slots: tuple[Slot, ...] = ()
        self._keep_all = False
        self._line: ClockLine | None = None
        self._status = CameraStatus()
        self._end: Failure | None = None
        self._heard_ns = 0
        self._left_out = self._taken_back = self._dropped_before = 0
        self._label = kind

    @property
    def clock_line(self) -> ClockLine | None:
        """The map of the device's clock, as of the newest frame."""
        return self._line

    @property
    def status(self) -> CameraStatus:
        """How the camera does, as of the newest frame."""
        return self._status

    @property
    def dropped(self) -> int:
        """Frames that a newer one displaced before they were taken, since this was made; may be read from any thread."""
        return self._dropped_before + self._left_out + self._taken_back

    @property
    def pid(self) -> int | None:
        """Number of the camera's process, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def failure(self) -> Exception | None:
        """What ended the frames, None while they may come."""
        return None if self._end is None else self._end.error()

    @property
    def waits_on(self) -> tuple[int, ...]:
        """What becomes readable when there is something to `take`, or to learn; nothing while it is not open."""
        passage = self._passage
        return () if passage is None else passage.waits_on

    def use_arguments(self, **arguments: Any) -> None:
        """Have the camera made with other arguments from the next `open` on."""
        self._arguments |= arguments

    def call(self, name: str, within_s: float, **arguments: Any) -> Any:
        """Have a method of the camera called there, one of its `CALLS`, and return what comes of it: plain values.

        Raises
        ------
        RtfaceError
            What was raised there, or `CameraLostError` as where the driver died or hangs.
        """
        return self._ask("call", within_s, method=name, arguments=arguments)

    def use_slots(self, slots: int) -> None:
        """Have so many slots from the next `open` on."""
        self._wanted_slots = slots

    def take(self, timeout_s: float) -> Slot | None:
        """Return the newest frame, of a source that waits for its reader the next one; what is older is given back.

        Returns
        -------
        Slot or None
            To be given back with `release`. Its pixels may be read until then.

        Raises
        ------
        EndOfStream, CameraLostError
            As of `rtface.acquire.base.Camera.fill`, after the last frame was taken.
        """
        self._expect(CameraState.RUNNING, "take")
        return self._take(timeout_s, newest=not self._keep_all)

    def release(self, slot: Slot) -> None:
        """Give a slot back."""
        if slot.state is not SlotState.READING:
            raise UsageError(f"the slot is {slot.state.name}, not {SlotState.READING.name}")
        slot.state, slot.meta = SlotState.FREE, None
        if self._passage is not None and slot in self._slots:
            self._passage.give_back(self._slots.index(slot))

    def waiting(self) -> Slot | None:
        """Return the newest frame that was filled before the camera stopped, of a source that waits the next one."""
        return self._next(newest=not self._keep_all)

    def close(self) -> None:
        """Give the device back; a driver that does not let go of it is killed."""
        try:
            self.stop()
        except CameraLostError as error:
            _log.warning("%s", error)
        self._state = CameraState.CLOSED
        self._close()

    def kill(self) -> None:
        """End the camera's process at once, from any thread; whatever is asked of it meanwhile fails as a lost camera."""
        process = self._process
        if process is not None:
            process.kill()

    def _open(self) -> CameraInfo:
        self._end, self._line, self._status = None, None, CameraStatus()
        try:
            self._passage, handles = Passage.make()
        except OSError as error:
            raise CameraError(f"there is no room to begin the camera's process: {error}") from error
        self._process = CameraProcess(handles)
        self._answer(READY, self._patience.begin_s)
        found = self._ask("open", self._patience.open_s, maker=self._maker, arguments=self._arguments)
        info = info_of_map(found)
        self._label, self._keep_all = info.label, not info.live
        shape = info.height, info.width
        slots = min(self._wanted_slots, self._passage.most_slots)
        if slots < MINIMUM_SLOTS:
            raise CameraError(
                f"the system has no room for {MINIMUM_SLOTS} frames between two processes: see fs.pipe-user-pages-soft"
            )
        try:
            self._slots = tuple(Slot(*memory) for memory in self._passage.fit(slots, shape, self._beside))
        except (OSError, ValueError, OverflowError) as error:
            raise CameraError(
                f"there is no memory for {slots} frames of {info.width}x{info.height} pixels: {error}"
            ) from error
        return info

    def _start(self) -> None:
        self._raise_if_gone()
        self._end = None
        passage = self._joined()
        while passage.take():  # of the start before: nobody asks for them any more
            continue
        free = [number for number, slot in enumerate(self._slots) if slot.state is SlotState.FREE]
        height, width = self._slots[0].pixels.shape
        self._ask(
            "start",
            self._patience.start_s,
            slots=len(self._slots),
            shape=(height, width),
            free=free,
            keep_all=self._keep_all,
            beside=self._beside,
        )
        self._heard_ns = monotonic_ns()

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        slot = self._take(timeout_s, newest=False)
        if slot is None:
            return None
        np.copyto(out, slot.pixels)
        meta = slot.meta
        self.release(slot)
        return meta

    def _stop(self) -> None:
        if self._process is None or self._process.ended:
            return
        self._ask("stop", self._patience.stop_s)

    def _close(self) -> None:
        process, passage = self._process, self._passage
        if process is not None and passage is not None and not process.ended:
            try:
                self._ask("close", self._patience.close_s)
                if not process.wait(self._patience.close_s):
                    _log.warning("the process of camera %s did not end: it was killed", self._label)
            except CameraError as error:
                _log.warning("%s", error)
            process.kill()
        self._process = self._passage = None
        self._slots = ()
        self._dropped_before += self._left_out + self._taken_back
        self._left_out = self._taken_back = 0
        if passage is not None:
            passage.close()

    def _take(self, timeout_s: float, *, newest: bool) -> Slot | None:
        deadline_ns = monotonic_ns() + round(timeout_s * NS_PER_S)
        while True:
            slot = self._next(newest=newest)
            if slot is not None:
                if self._joined().message_waits():
                    self._hear()  # who reads late must not leave messages until there is no room for more
                return slot
            if self._end is not None:
                raise self._end.error()
            if self._hear():
                continue  # what was filled before it was said is there now
            now_ns = monotonic_ns()
            hangs_ns = self._heard_ns + round(self._patience.fetch_s * NS_PER_S)
            if now_ns > hangs_ns:
                self._end = self._killed(FETCH, self._patience.fetch_s)
                continue
            if now_ns >= deadline_ns:
                return None
            self._joined().wait_for_records((min(deadline_ns, hangs_ns + 1) - now_ns) / NS_PER_S)

    def _next(self, *, newest: bool) -> Slot | None:
        """Return a frame that waits: the newest, or the oldest."""
        passage, found = self._joined(), None
        while records := passage.take() if newest else passage.take(1):
            self._heard_ns = monotonic_ns()
            for record in records:
                filled = Filled.unpack(record)
                self._learn(filled.counts)
                if filled.slot is None:
                    continue
                if found is not None:
                    passage.give_back(found[0])
                    self._left_out += 1
                found = filled.slot, filled.meta
            if found is not None and not newest:
                break
        if found is None:
            return None
        slot = self._slots[found[0]]
        slot.meta, slot.state = found[1], SlotState.READING
        return slot

    def _hear(self) -> bool:
        """Learn, if there is something to learn, that no more frames come; True when there was."""
        passage = self._joined()
        if passage.message_waits():
            answer = self._receive()
            if answer is None:
                self._end = self._died(FETCH)
            elif answer.to == FETCH:
                self._end = answer.failure
            return True
        if self._process is not None and self._process.ended:
            self._end = self._died(FETCH)
            return True
        return False

    def _ask(self, name: str, within_s: float, **arguments: Any) -> Any:
        """Have something done there, and return what came of it.

        Raises
        ------
        RtfaceError
            What was raised there, or `CameraLostError`: the driver died, or did not return in time and was killed.
        """
        try:
            self._joined().messages.send(pack_request(name, arguments))
        except OSError:
            self._end = self._died(name)
            raise self._end.error() from None
        return self._answer(name, within_s)

    def _answer(self, to: str, within_s: float) -> Any:
        deadline_ns = monotonic_ns() + round(within_s * NS_PER_S)
        while True:
            left_s = (deadline_ns - monotonic_ns()) / NS_PER_S
            if not self._joined().message_waits(left_s):
                if left_s > 0:
                    continue
                self._end = self._killed(to, within_s)
                raise self._end.error()
            answer = self._receive()
            if answer is None:
                self._end = self._died(to)
                raise self._end.error()
            if answer.to == FETCH:
                self._end = answer.failure
            elif answer.to == to:
                if answer.failure is not None:
                    raise answer.failure.error()
                return answer.value

    def _receive(self) -> Answer | None:
        """Return a message that waits; None where the other side is gone."""
        try:
            message = self._joined().messages.recv(MESSAGE)
        except OSError:
            message = b""
        if not message:
            return None
        answer = Answer.unpack(message)
        if answer.counts:
            self._learn(Counts.from_list(answer.counts))
        if answer.to == STATUS:
            missed = self._status.missed_triggers
            self._status = replace(status_of_map(answer.value), missed_triggers=missed)
        return answer

    def _learn(self, counts: Counts) -> None:
        self.lost_at_camera, self.lost_in_transport = counts.lost_at_camera, counts.lost_in_transport
        self.transport_known, self._line = counts.transport_known, counts.clock_line
        if counts.missed_triggers != self._status.missed_triggers:
            self._status = replace(self._status, missed_triggers=counts.missed_triggers)
        self._taken_back = counts.taken_back

    def _killed(self, doing: str, after_s: float) -> Failure:
        self.kill()
        return Failure(
            CameraLostError.__name__,
            f"the driver of camera {self._label} did not return from {DOING[doing]} "
            f"within {after_s:g} s; its process was killed",
        )

    def _died(self, doing: str) -> Failure:
        death = "is not there" if self._process is None else self._process.death_in_words()
        return Failure(
            CameraLostError.__name__,
            f"the process of camera {self._label} {death} while {DOING[doing]}",
        )

    def _raise_if_gone(self) -> None:
        if self._process is None or self._process.ended:
            raise (self._end or self._died("start")).error()

    def _joined(self) -> Passage:
        if self._passage is None:
            raise UsageError(f"the {self._kind} camera has not been opened")
        return self._passage
