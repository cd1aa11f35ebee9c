"""The pipeline of several cameras: poses come from tracking processes, and one thread decides, publishes and records.

Of each camera the newest pose counts, in turn. A camera that is lost does not hold the others up; the pipeline ends when no
camera has any more to give.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Protocol

from rtface.acquire.outside.passage import ELSEWHERE
from rtface.acquire.ring import Slot
from rtface.acquire.thread import POLL_S
from rtface.core.clock import SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraLostError, UsageError
from rtface.core.records import Crop
from rtface.core.status import Gap, PipelineState, PipelineStatus
from rtface.live.loopthread import LoopThread
from rtface.live.multi.handler import MultiHandler
from rtface.live.multi.seat import CameraSeat
from rtface.live.tally import TICK_NS

ENDS_WITHIN_S = 25.0
"""How long the end may take: tracking processes that do not answer are killed within that time."""


class Opened(Protocol):
    """What poses go out by, which one thread opens and closes."""

    def open(self) -> None:
        """Take what it needs."""

    def close(self) -> None:
        """Give it back."""


def _together(call: Callable[[CameraSeat], None], seats: Sequence[CameraSeat]) -> None:
    """Do something of all cameras at once, for each may take seconds; raise the first error once all have ended."""
    with ThreadPoolExecutor(len(seats), "rtface-cameras") as pool:
        for done in [pool.submit(call, seat) for seat in seats]:
            done.result()


def _stopped(seat: CameraSeat) -> None:
    """Stop a camera at the end; one that does not answer is lost with its process, and that is no error of the end."""
    try:
        seat.stop()
    except CameraLostError as error:
        seat.failed(error)


class MultiPipeline(LoopThread):
    """From several tracking processes to one sink.

    Parameters
    ----------
    seats : sequence of CameraSeat
    sink : Opened
        What the seats publish by.
    handler : MultiHandler or None
        What acts on each pose before it is published, and records it after.
    on_gap : callable
        Given, in the processing thread, a camera's name and each `Gap` of it as it begins and as it ends.
    on_tick : callable
        Called in the processing thread with each camera's `PipelineStatus` about once a second, and once more at the end.
    clock : Clock
    """

    def __init__(
        self,
        seats: Sequence[CameraSeat],
        sink: Opened,
        *,
        handler: MultiHandler | None = None,
        on_gap: Callable[[str, Gap], None] = lambda camera, gap: None,
        on_tick: Callable[[Mapping[str, PipelineStatus]], None] = lambda statuses: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__()
        self.seats = {seat.name: seat for seat in seats}
        self._turn = list(seats)
        self._sink, self._handler = sink, handler
        self._on_gap, self._on_tick = on_gap, on_tick
        self._clock = clock
        self._ticked_ns = 0
        self._paused = False

    @property
    def state(self) -> PipelineState:
        """What it is doing as a whole: running while any camera is."""
        if self._state is not PipelineState.RUNNING:
            return self._state
        states = {seat.state for seat in self._turn}
        return PipelineState.RUNNING if PipelineState.RUNNING in states else PipelineState.STOPPED

    def statuses(self) -> dict[str, PipelineStatus]:
        """Return how each camera is; may be called from any thread once the pipeline has started."""
        return {name: seat.status() for name, seat in self.seats.items()}

    def stop(self, timeout_s: float = ENDS_WITHIN_S) -> bool:
        """End everything; as `LoopThread.stop`, with the time that tracking processes may take."""
        return super().stop(timeout_s)

    def pause(self) -> None:
        """Stop all cameras and keep everything else open."""
        self.ask(self._pause)

    def resume(self) -> None:
        """Start the cameras again after `pause`."""
        self.ask(self._resume)

    def reset_latency(self) -> None:
        """Forget the latencies so far: those of the warm-up, before a measurement."""
        self.ask(self._reset_latency)

    def set_crop(self, camera: str, crop: Crop | None) -> Crop:
        """Look at another part of a camera's frames (None: the whole frame) and return it.

        Raises
        ------
        UsageError
            There is no such camera, it is not there at the moment, or the crop reaches beyond its frame.
        """
        return self.ask(lambda: self._set_crop(camera, crop))

    def _reset_latency(self) -> None:
        for seat in self._turn:
            seat.tally.latency.reset()

    def _set_crop(self, camera: str, crop: Crop | None) -> Crop:
        seat = self.seats.get(camera)
        if seat is None:
            raise UsageError(f"no camera is called {camera!r}; there are: {', '.join(self.seats)}")
        if seat.done or seat.stream.opening:
            raise UsageError(f"camera {camera} is not there: {seat.error or 'it is being opened anew'}")
        network = seat.use_crop(crop).in_use
        if self._handler is not None:
            self._handler.network_changed(camera, network)
        return network.crop

    def _begin(self, opened: ExitStack) -> None:
        opened.callback(lambda: _together(CameraSeat.close, self._turn))
        _together(CameraSeat.open, self._turn)
        opened.callback(self._sink.close)
        self._sink.open()
        opened.callback(self._finish)
        handler = self._handler
        if handler is not None:
            opened.callback(lambda: handler.close(self._error))  # before all else, which may take time
            handler.open({seat.name: (seat.info, seat.network.in_use) for seat in self._turn})
        self._resume()

    def _finish(self) -> None:
        """End the acquisition, tell waiting commands and say so, while the sink is still open; the handler has ended."""
        try:
            _together(_stopped, self._turn)
        except Exception as error:
            self._fail(error)
        self._mailbox.close()
        self._on_tick(self.statuses())

    def _resume(self) -> None:
        self._paused = False
        for seat in self._turn:
            seat.start()
        self._state = PipelineState.RUNNING

    def _pause(self) -> None:
        self._paused = True
        for seat in self._turn:
            if not seat.stream.running:
                continue
            try:
                for slot in seat.stream.drain():
                    self._track(seat, slot)
                seat.stop()
            except CameraLostError as error:
                self._lost_for_good(seat, error)
        if self._state is PipelineState.RUNNING:
            self._state = PipelineState.STOPPED

    def _loop(self) -> None:
        now_ns = self._ticked_ns = self._clock.now_ns()
        for seat in self._turn:
            seat.tally.begin(now_ns)
        while not self._stopping.is_set():
            if self._paused:
                self._mailbox.serve(POLL_S)
                self._idle()
            else:
                self._mailbox.serve(0)
                self._take_turns()
            if self._error is not None:
                raise self._error
            self._tick()
            if all(seat.done for seat in self._turn):
                self._end()
                return

    def _end(self) -> None:
        """End with the error of a camera that was lost, where there is one."""
        for seat in self._turn:
            if seat.error is not None:
                raise seat.error

    def _take_turns(self) -> None:
        """Give each camera a turn; wait where none has anything."""
        came = False
        for seat in self._turn:
            came = self._process(seat) or came
        self._turn.append(self._turn.pop(0))
        if self._handler is not None:
            self._handler.look()
        if not came and not self._wait():
            self._idle()

    def _wait(self) -> bool:
        """Wait until something can be taken; False where nothing came in time."""
        if sys.platform == "win32":
            raise NotImplementedError(ELSEWHERE)
        poll = select.poll()
        for seat in self._turn:
            for handle in seat.waits_on:
                poll.register(handle, select.POLLIN)
        return bool(poll.poll(POLL_S * 1000))

    def _idle(self) -> None:
        if self._handler is not None:
            self._handler.idle()

    def _process(self, seat: CameraSeat) -> bool:
        """Take a camera's newest frame; True where there was one."""
        if seat.done:
            return False
        slot = None
        try:
            slot = seat.take()
            self._follow_gaps(seat)
        except CameraLostError as error:
            self._follow_gaps(seat)
            self._lost_for_good(seat, error)
        if slot is None:
            return False
        self._track(seat, slot)
        return True

    def _track(self, seat: CameraSeat, slot: Slot) -> None:
        pose = seat.pose(slot)
        handler = self._handler
        if handler is not None:
            handler.handle(pose)
        handled_ns = self._clock.now_ns()
        published_ns = seat.publish(pose)
        seat.show(slot.pixels, pose)
        if handler is not None:
            handler.published(slot.pixels, pose, published_ns)
        seat.published(slot, pose, handled_ns, published_ns)

    def _follow_gaps(self, seat: CameraSeat) -> None:
        """Let everybody know that a camera was lost, or is back."""
        while (gap := seat.news()) is not None:
            self._say(seat, gap)
            if gap.ended_ns is not None and self._handler is not None:
                self._handler.network_changed(seat.name, seat.network.in_use)

    def _lost_for_good(self, seat: CameraSeat, error: CameraLostError) -> None:
        if seat.error is None and (gap := seat.failed(error)) is not None:
            self._say(seat, gap)

    def _say(self, seat: CameraSeat, gap: Gap) -> None:
        if self._handler is not None:
            self._handler.gap(seat.name, gap)
        self._on_gap(seat.name, gap)

    def _tick(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns - self._ticked_ns < TICK_NS:
            return
        self._ticked_ns = now_ns
        for seat in self._turn:
            seat.tally.tick(now_ns)
        statuses = {name: seat.tick() for name, seat in self.seats.items()}
        if self._handler is not None:
            self._handler.tick(statuses)
        self._on_tick(statuses)
