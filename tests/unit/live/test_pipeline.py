from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from functools import partialmethod
from typing import Any

import numpy as np
import pytest
from support.fakes import END, CountingClock, FakeBackend, FakeCamera, FakeHandler, FakeSink, fake_engine
from support.waits import LONG_S, finishes, wait_until

from rtface.acquire import stream as stream_module
from rtface.acquire.ring import FrameRing, Slot
from rtface.acquire.stream import Silence
from rtface.acquire.thread import AcquisitionThread
from rtface.core.clock import NS_PER_S
from rtface.core.clockfit import ClockLine
from rtface.core.errors import BackendError, CameraError, CameraLostError, UsageError
from rtface.core.records import Crop, Losses, Pose
from rtface.core.status import Gap, PipelineState, PipelineStatus
from rtface.live.pipeline import Pipeline
from rtface.track.tracker import Tracker

OPENING = ["camera.open", "backend.open", "backend.prepare", "sink.open", "camera.start"]
CLOSING = ["camera.stop", "tick", "sink.close", "backend.close", "camera.close"]


class Rig:
    """A pipeline of fakes that share one log and one map of faults."""

    def __init__(
        self,
        *feed: int | BaseException,
        live: bool = False,
        crop: Crop | None = None,
        reacts: bool = False,
    ) -> None:
        self.log: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.ticks: list[PipelineStatus] = []
        self.clock = CountingClock()
        self.camera = FakeCamera(*feed, live=live, log=self.log)
        self.backend = FakeBackend(log=self.log)
        self.sink = FakeSink(self.clock, log=self.log)
        self.handler = FakeHandler(self.log)
        self.pipeline = Pipeline(
            self.camera,
            Tracker(fake_engine(), self.backend, self.clock),
            self.sink,
            handler=self.handler if reacts else None,
            crop=crop,
            slots=4,
            on_tick=self._tick,
            clock=self.clock,
        )

    def _tick(self, status: PipelineStatus) -> None:
        self.log.append("tick")
        self.ticks.append(status)

    @property
    def state(self) -> PipelineState:
        return self.pipeline.status().state

    def ends(self) -> None:
        assert self.pipeline.wait(LONG_S)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("rtface-")]

    def in_background(self, work: Any, *arguments: object) -> Future[Any]:
        """Call something in a thread of its own."""
        answer: Future[Any] = Future()

        def run() -> None:
            try:
                answer.set_result(work(*arguments))
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return answer


def test_everything_is_opened_in_order_and_closed_in_reverse() -> None:
    rig = Rig(1, 2, END)
    rig.pipeline.start()
    rig.ends()
    assert rig.log == OPENING + CLOSING
    assert rig.pipeline.camera.kind == "fake"
    assert rig.pipeline.backend.why == "a test"


@pytest.mark.parametrize("paused", [False, True])
def test_every_frame_of_a_source_that_ends_is_published_once_in_order(paused: bool) -> None:
    rig = Rig(*range(1, 201))
    rig.pipeline.start()
    if paused:
        rig.sink.wait_for(20)
        rig.pipeline.pause()
        count = len(rig.sink.poses)
        assert rig.state is PipelineState.STOPPED
        rig.pipeline.resume()
        rig.sink.wait_for(count + 1)
    rig.camera.feed(END)
    rig.ends()
    assert rig.sink.ids == list(range(1, 201))
    assert rig.backend.values == rig.sink.ids
    status = rig.pipeline.status()
    assert (status.state, status.error, status.frames) == (PipelineState.ENDED, None, 200)
    assert status.losses == Losses()
    assert status.latency["end_to_end"].n == 200
    assert rig.ticks[-1] == status
    assert rig.pipeline.error is None


@pytest.mark.parametrize(
    ("place", "call"),
    [("camera", "open"), ("backend", "open"), ("backend", "prepare"), ("sink", "open"), ("camera", "start")],
)
@pytest.mark.parametrize("error", [CameraError("not there"), ZeroDivisionError("a bug")])
def test_what_had_been_opened_is_closed_when_opening_fails(
    place: str, call: str, error: BaseException
) -> None:
    rig = Rig(1)
    getattr(rig, place).fails[call] = error
    with pytest.raises(type(error)) as caught:
        finishes(rig.pipeline.start)
    assert caught.value is error
    rig.ends()
    opened = OPENING[: OPENING.index(f"{place}.{call}") + 1]
    assert rig.log[: len(opened)] == opened
    closed = [name for name in rig.log[len(opened) :] if name.endswith(".close")]
    wanted = [name for name in CLOSING if name.endswith(".close")]
    assert closed == [
        name for name in wanted if name.split(".")[0] in {part.split(".")[0] for part in opened}
    ]
    assert rig.state is PipelineState.FAILED
    assert rig.pipeline.error is error
    assert rig.sink.poses == []
    assert rig.log.count("tick") == (call == "start"), "only an open sink can be told"
    with pytest.raises(UsageError):
        rig.pipeline.pause()


def test_an_error_of_closing_does_not_hide_that_of_opening() -> None:
    rig = Rig(1)
    rig.camera.fails = {"open": (error := CameraError("not there")), "close": CameraError("never opened")}
    with pytest.raises(CameraError) as caught:
        finishes(rig.pipeline.start)
    assert caught.value is error


def test_a_crop_that_does_not_fit_is_refused_at_the_start() -> None:
    rig = Rig(1, crop=Crop(0, 0, 33, 24))
    with pytest.raises(UsageError, match="beyond"):
        finishes(rig.pipeline.start)
    rig.ends()
    assert [name for name in rig.log if name.endswith("close")] == ["backend.close", "camera.close"]


@pytest.mark.parametrize("error", [CameraLostError("unplugged"), ZeroDivisionError("a bug in the driver")])
def test_a_camera_that_is_lost_fails_the_pipeline_after_its_last_frame(error: BaseException) -> None:
    rig = Rig(1, 2, 3, error)
    rig.pipeline.start()
    rig.ends()
    assert rig.sink.ids == [1, 2, 3]
    assert rig.pipeline.error is error
    status = rig.pipeline.status()
    assert status.state is PipelineState.FAILED
    assert status.error == f"{type(error).__name__}: {error}"
    assert rig.ticks[-1] == status
    assert rig.log == OPENING + CLOSING


def test_the_error_of_the_camera_is_kept_when_stopping_it_fails_too() -> None:
    rig = Rig(1, error := CameraLostError("unplugged"))
    rig.camera.fails["stop"] = CameraError("cannot stop what is not there")
    rig.pipeline.start()
    rig.ends()
    assert rig.pipeline.error is error
    assert rig.log == OPENING + CLOSING


@pytest.mark.parametrize("error", [CameraError("does not stop"), ZeroDivisionError("a bug")])
def test_an_error_of_stopping_the_camera_is_told_and_the_rest_is_closed(error: BaseException) -> None:
    rig = Rig()
    rig.camera.fails["stop"] = error
    rig.pipeline.start()
    assert rig.pipeline.stop(LONG_S)
    rig.ends()
    assert rig.pipeline.error is error
    assert rig.state is PipelineState.FAILED
    assert rig.log == OPENING + CLOSING


@pytest.mark.parametrize(("place", "call"), [("backend", "infer"), ("sink", "publish")])
@pytest.mark.parametrize("error", [BackendError("broken"), ValueError("a bug")])
@pytest.mark.parametrize("live", [False, True])
def test_an_error_on_the_way_fails_the_pipeline(
    place: str, call: str, error: BaseException, live: bool
) -> None:
    rig = Rig(*range(1, 50), live=live)
    getattr(rig, place).fails[call] = error
    rig.pipeline.start()
    rig.ends()
    assert rig.pipeline.error is error
    assert rig.ticks[-1].state is PipelineState.FAILED
    assert rig.log == OPENING + CLOSING


def test_an_error_of_the_tick_fails_the_pipeline_and_closes_everything() -> None:
    rig = Rig()
    error = ValueError("a bug")

    def fail(status: PipelineStatus) -> None:
        raise error

    rig.pipeline._on_tick = fail
    rig.pipeline.start()
    rig.clock.advance_ns(2 * NS_PER_S)
    rig.ends()
    assert rig.pipeline.error is error
    assert rig.log[-3:] == ["sink.close", "backend.close", "camera.close"]


def test_stop_ends_a_running_pipeline() -> None:
    rig = Rig(1, 2, live=True)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    assert not rig.pipeline.wait(0)
    assert rig.pipeline.stop(LONG_S)
    assert rig.pipeline.stop(LONG_S)
    rig.ends()
    assert rig.state is PipelineState.ENDED
    assert rig.pipeline.error is None
    assert rig.log == OPENING + CLOSING


def test_stop_before_the_start_is_harmless() -> None:
    rig = Rig(1)
    assert rig.pipeline.stop()
    assert rig.pipeline.stop()
    assert rig.log == []
    finishes(rig.pipeline.start)
    rig.ends()
    assert rig.log == OPENING + CLOSING


def test_an_interrupted_start_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the network compiles."""
    rig = Rig(1)

    class Interrupted(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

    rig.pipeline._started = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        finishes(rig.pipeline.start)
    assert not rig.pipeline._thread.is_alive()
    rig.ends()
    assert rig.log[-1] == "camera.close"


def test_a_slow_sink_does_not_keep_stop_from_ending() -> None:
    rig = Rig(*range(1, 100))
    rig.sink.gate = threading.Semaphore(0)
    rig.pipeline.start()
    assert rig.sink.waiting.wait(LONG_S)
    assert not rig.pipeline.stop(0.01)
    rig.sink.gate.release()
    assert rig.pipeline.stop(LONG_S)
    rig.ends()
    assert rig.sink.ids == [1]
    assert rig.log == OPENING + CLOSING


def test_frames_of_a_live_camera_that_come_too_fast_are_counted_at_the_ring() -> None:
    rig = Rig(1, live=True)
    rig.backend.gate = threading.Semaphore(0)
    rig.pipeline.start()
    assert rig.backend.waiting.wait(LONG_S)  # the first frame is in the network
    rig.camera.asked.clear()
    rig.camera.feed(*range(2, 30))
    assert rig.camera.asked.wait(LONG_S)  # all the others are in the ring or displaced
    assert rig.pipeline.status().camera_clock is None
    rig.camera.clock_line = ClockLine(1, 2.0, 3e-5)
    assert rig.pipeline.status().camera_clock == ClockLine(1, 2.0, 3e-5)
    rig.camera.lost_at_camera, rig.camera.lost_in_transport, rig.sink.lost = 3, 5, 7
    for _ in range(2):
        rig.backend.gate.release()
    rig.sink.wait_for(2)
    assert rig.sink.ids == [1, 29]
    assert rig.sink.losses[-1] == Losses(camera=3, transport=5, ring=27, publish=7)
    rig.pipeline.pause()
    assert rig.pipeline.status().losses.ring == 27
    rig.pipeline.resume()
    rig.backend.gate.release()
    rig.camera.feed(30, END)
    rig.ends()
    assert rig.pipeline.status().losses == Losses(3, 5, 27, 7)
    rig.camera.transport_known = False
    assert rig.pipeline.status().losses == Losses(3, 5, 27, 7, transport_known=False)
    assert rig.sink.ids == [1, 29, 30]


def test_frames_that_wait_when_a_live_camera_pauses_are_shown_or_counted() -> None:
    rig = Rig(1, live=True)
    rig.backend.gate = threading.Semaphore(0)
    rig.pipeline.start()
    assert rig.backend.waiting.wait(LONG_S)
    paused = rig.in_background(rig.pipeline.pause)
    rig.camera.asked.clear()
    rig.camera.feed(*range(2, 12))
    assert rig.camera.asked.wait(LONG_S)
    while not len(rig.pipeline._mailbox):
        assert rig.pipeline._thread.is_alive()
    for _ in range(2):
        rig.backend.gate.release()
    paused.result(LONG_S)
    assert rig.sink.ids == [1, 11]
    assert len(rig.sink.ids) + rig.pipeline.status().losses.ring == 11
    assert rig.pipeline.stop(LONG_S)


def test_pausing_stops_the_camera_alone_and_can_be_undone() -> None:
    rig = Rig(1)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    for _ in range(2):
        rig.pipeline.pause()
        assert rig.state is PipelineState.STOPPED
    assert rig.log == [*OPENING, "camera.stop"]
    rig.camera.feed(2)
    for _ in range(2):
        rig.pipeline.resume()
        assert rig.state is PipelineState.RUNNING
    rig.sink.wait_for(2)
    assert rig.pipeline.stop(LONG_S)
    assert rig.log == [*OPENING, "camera.stop", "camera.start", *CLOSING]
    assert rig.sink.ids == [1, 2]


def test_a_paused_pipeline_can_be_stopped() -> None:
    rig = Rig(1)
    rig.pipeline.start()
    rig.pipeline.pause()
    assert rig.pipeline.stop(LONG_S)
    rig.ends()
    assert rig.log == [*OPENING, "camera.stop", *CLOSING[1:]]


def test_a_camera_that_cannot_be_resumed_leaves_the_pipeline_paused() -> None:
    rig = Rig(1)
    rig.pipeline.start()
    rig.pipeline.pause()
    rig.camera.fails["start"] = error = CameraError("busy")
    with pytest.raises(CameraError) as caught:
        rig.pipeline.resume()
    assert caught.value is error
    assert rig.state is PipelineState.STOPPED
    del rig.camera.fails["start"]
    rig.pipeline.resume()
    rig.camera.feed(2, END)
    rig.ends()
    assert rig.sink.ids[-1] == 2


def test_a_camera_that_fails_while_it_is_paused_fails_the_pipeline() -> None:
    rig = Rig(1)
    rig.backend.gate = threading.Semaphore(0)
    rig.pipeline.start()
    assert rig.backend.waiting.wait(LONG_S)
    paused = rig.in_background(rig.pipeline.pause)
    while not len(rig.pipeline._mailbox):
        assert rig.pipeline._thread.is_alive()
    rig.camera.feed(2, error := CameraLostError("unplugged"))
    rig.pipeline._stream._frames._acquisition._thread.join(LONG_S)  # type: ignore[union-attr]
    for _ in range(2):
        rig.backend.gate.release()
    assert paused.exception(LONG_S) is error
    rig.ends()
    assert rig.sink.ids == [1, 2]
    assert rig.pipeline.error is error
    assert rig.state is PipelineState.FAILED


def test_an_error_with_the_frames_that_wait_when_the_camera_pauses_fails_the_pipeline() -> None:
    rig = Rig(1)
    rig.backend.gate = threading.Semaphore(0)
    rig.pipeline.start()
    assert rig.backend.waiting.wait(LONG_S)
    paused = rig.in_background(rig.pipeline.pause)
    rig.camera.asked.clear()
    rig.camera.feed(2)
    assert rig.camera.asked.wait(LONG_S)
    while not len(rig.pipeline._mailbox):
        assert rig.pipeline._thread.is_alive()
    rig.backend.fails["infer"] = error = BackendError("broken")
    rig.backend.gate.release()
    assert paused.exception(LONG_S) is error
    rig.ends()
    assert rig.pipeline.error is error
    assert rig.log == OPENING + CLOSING


def test_a_camera_that_does_not_stop_fails_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AcquisitionThread, "stop", partialmethod(AcquisitionThread.stop, timeout_s=0.01))
    rig = Rig()
    rig.camera.stuck = threading.Event()
    rig.pipeline.start()
    assert rig.camera.asked.wait(LONG_S)
    acquisition = rig.pipeline._stream._frames._acquisition
    assert acquisition is not None
    with pytest.raises(CameraLostError, match="did not answer") as caught:
        rig.pipeline.pause()
    assert rig.pipeline.wait(LONG_S)
    assert rig.pipeline.error is caught.value
    assert rig.state is PipelineState.FAILED
    assert rig.log.count("camera.start") == 1
    rig.camera.stuck.set()
    acquisition._thread.join(LONG_S)
    rig.ends()


def test_the_crop_can_be_changed_while_it_runs() -> None:
    rig = Rig(1, crop=Crop(0, 0, 16, 16))
    rig.backend.found = np.array([[0, 0, 1]], np.float32)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    assert rig.pipeline.set_crop(Crop(8, 4, 20, 20)) == Crop(8, 4, 20, 20)
    assert rig.pipeline.crop == Crop(8, 4, 20, 20)
    rig.camera.feed(2)
    rig.sink.wait_for(2)
    assert rig.pipeline.set_crop(None) == Crop(0, 0, 32, 24)
    rig.pipeline.pause()
    assert rig.pipeline.set_crop(Crop(1, 1, 16, 16)) == Crop(1, 1, 16, 16)
    assert rig.pipeline.stop(LONG_S)
    shift = (20 / 64 - 1) / 2 - (16 / 64 - 1) / 2
    np.testing.assert_allclose(rig.sink.poses[1].xy - rig.sink.poses[0].xy, [[8 + shift, 4 + shift]])
    assert [crop for _, crop in rig.backend.prepared] == [
        Crop(0, 0, 16, 16), Crop(8, 4, 20, 20), Crop(0, 0, 32, 24), Crop(1, 1, 16, 16)
    ]  # fmt: skip


def test_what_was_seen_of_the_view_is_of_the_crop_before() -> None:
    rig = Rig(1, crop=Crop(0, 0, 16, 16))
    rig.backend.found = np.array([[0, 0, 1]], np.float32)
    rig.pipeline.start()
    rig.sink.wait_for(1)

    def known() -> None:
        rig.pipeline._tally._views.append(0.9)
        rig.pipeline._tally.view_ok = 0.9

    rig.pipeline.ask(known)
    assert rig.pipeline.status().view_ok == 0.9
    rig.pipeline.set_crop(Crop(8, 4, 20, 20))
    assert np.isnan(rig.pipeline.status().view_ok)
    assert not rig.pipeline.ask(lambda: list(rig.pipeline._tally._views))
    assert rig.pipeline.stop(LONG_S)


def test_a_crop_that_cannot_be_leaves_the_old_one_and_the_pipeline_running() -> None:
    rig = Rig(crop=Crop(0, 0, 16, 16))
    rig.pipeline.start()
    with pytest.raises(UsageError, match="beyond"):
        rig.pipeline.set_crop(Crop(20, 0, 16, 16))
    rig.backend.fails["prepare"] = error = BackendError("no memory")
    with pytest.raises(BackendError) as caught:
        rig.pipeline.set_crop(Crop(0, 0, 20, 20))
    assert caught.value is error
    assert rig.pipeline.crop == Crop(0, 0, 16, 16)
    assert rig.state is PipelineState.RUNNING
    rig.camera.feed(1)
    rig.sink.wait_for(1)
    assert rig.pipeline.stop(LONG_S)


def test_commands_before_the_start_and_after_the_end_are_refused() -> None:
    rig = Rig(1, END)
    commands = [rig.pipeline.pause, rig.pipeline.resume, rig.pipeline.reset_latency]
    for command in [*commands, lambda: rig.pipeline.set_crop(None)]:
        with pytest.raises(UsageError):
            finishes(command)
    for early in ("camera", "backend"):
        with pytest.raises(UsageError, match="has not been opened"):
            getattr(rig.pipeline, early)
    assert rig.state is PipelineState.STARTING
    rig.pipeline.start()
    rig.ends()
    for command in [*commands, lambda: rig.pipeline.set_crop(None)]:
        with pytest.raises(UsageError):
            finishes(command)


def test_a_command_that_waits_when_the_source_ends_is_refused() -> None:
    rig = Rig(1)
    rig.backend.gate = threading.Semaphore(0)
    rig.pipeline.start()
    assert rig.backend.waiting.wait(LONG_S)
    answers = [rig.in_background(rig.pipeline.pause) for _ in range(3)]
    while len(rig.pipeline._mailbox) < 3:
        assert rig.pipeline._thread.is_alive()
    rig.pipeline._stopping.set()
    rig.backend.gate.release()
    rig.ends()
    for answer in answers:
        assert isinstance(answer.exception(LONG_S), UsageError)


def test_a_command_while_everything_is_being_closed_is_refused_at_once() -> None:
    """A control thread that asks while the sink is being closed must not keep it from being closed."""
    rig = Rig(END)
    answers: list[BaseException | None] = []
    close = rig.sink.close

    def ask_while_closing() -> None:
        answers.append(rig.in_background(rig.pipeline.reset_latency).exception(LONG_S))
        close()

    rig.sink.close = ask_while_closing  # type: ignore[method-assign]
    rig.pipeline.start()
    rig.ends()
    assert isinstance(answers[0], UsageError)
    assert "ended" in str(answers[0])


def test_too_many_commands_are_refused() -> None:
    rig = Rig(1)
    rig.backend.gate = threading.Semaphore(0)
    rig.pipeline.start()
    assert rig.backend.waiting.wait(LONG_S)
    waiting = [rig.in_background(rig.pipeline.reset_latency) for _ in range(16)]
    while len(rig.pipeline._mailbox) < 16:
        assert rig.pipeline._thread.is_alive()
    with pytest.raises(UsageError, match="too many commands"):
        rig.pipeline.reset_latency()
    rig.backend.gate.release(100)
    rig.camera.feed(*range(2, 50))
    for answer in waiting:
        answer.result(LONG_S)
    assert rig.pipeline.stop(LONG_S)


def test_a_frame_that_comes_just_before_the_end_is_not_overlooked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ring is found empty; then the last frame comes and the camera's thread ends."""
    rig = Rig(1)
    thread: list[AcquisitionThread] = []

    class LateRing(FrameRing):
        def take(self, timeout_s: float) -> Slot | None:
            slot = super().take(0)
            if slot is None and rig.sink.ids == [1] and not thread:
                acquisition = rig.pipeline._stream._frames._acquisition
                assert acquisition is not None
                thread.append(acquisition)
                rig.camera.feed(2, END)
                acquisition._thread.join(LONG_S)
            return slot

    monkeypatch.setattr(stream_module, "FrameRing", LateRing)
    rig.pipeline.start()
    rig.ends()
    assert thread
    assert rig.sink.ids == [1, 2]
    assert rig.state is PipelineState.ENDED


def test_the_rate_is_of_the_last_second_and_ticks_come_once_a_second() -> None:
    rig = Rig()
    ticked = threading.Semaphore(0)
    tick = rig.pipeline._on_tick

    def count(status: PipelineStatus) -> None:
        tick(status)
        ticked.release()

    rig.pipeline._on_tick = count
    rig.pipeline.start()
    rig.camera.feed(*range(1, 11))
    rig.sink.wait_for(10)
    rig.clock.advance_ns(2 * NS_PER_S)
    assert ticked.acquire(timeout=LONG_S)
    assert rig.ticks[0].rate_hz == pytest.approx(5, rel=1e-3)
    assert rig.ticks[0].state is PipelineState.RUNNING
    rig.clock.advance_ns(NS_PER_S)
    assert ticked.acquire(timeout=LONG_S)
    assert rig.ticks[1].rate_hz == 0
    assert rig.ticks[1].frames == 10
    assert rig.pipeline.stop(LONG_S)
    assert len(rig.ticks) == 3


def test_a_host_that_takes_frames_late_does_not_change_a_live_camera_s_rate() -> None:
    rig = Rig(live=True)
    ticked = threading.Semaphore(0)
    rig.pipeline._on_tick = lambda status: ticked.release()
    rig.pipeline.start()
    for number in range(1, 7):
        rig.camera.feed(number)
        rig.sink.wait_for(number)
        if number % 3 == 0:
            rig.clock.advance_ns(number * NS_PER_S)
            assert ticked.acquire(timeout=LONG_S)
    assert rig.pipeline.status().rate_hz == pytest.approx(NS_PER_S / 1_000)
    assert rig.pipeline.stop(LONG_S)


def test_latencies_can_be_forgotten_and_are_counted_against_the_deadline() -> None:
    rig = Rig(1, 2, 3)
    rig.pipeline.start()
    rig.sink.wait_for(3)
    rig.pipeline.reset_latency()
    assert rig.pipeline.status().latency["network"].n == 0
    rig.camera.feed(4, END)
    rig.ends()
    latency = rig.pipeline.status().latency
    assert latency["network"].n == 1
    assert latency["network"].max_ms == 1e-6  # one look at the clock to the next
    assert latency["end_to_end"].misses == 1
    distribution = rig.pipeline.latency_distribution()
    assert {stage: sum(count for _, count in bins) for stage, bins in distribution.items()} == dict.fromkeys(
        latency, 1
    )
    assert rig.pipeline.status().frames == 4


def test_stamps_rise_along_the_way() -> None:
    rig = Rig(7, END)
    rig.pipeline.start()
    rig.ends()
    (pose,) = rig.sink.poses
    stamps = pose.stamps
    assert (stamps.exposure_ns, stamps.arrival_ns) == (7_000, 7_100)
    order = [stamps.taken_ns, stamps.prepared_ns, stamps.inferred_ns, stamps.decided_ns]
    assert order == list(range(order[0], order[0] + 4))


def test_reacting_comes_before_publishing_and_keeping_after_it() -> None:
    rig = Rig(1, 2, END, reacts=True)
    publish = rig.sink.publish

    def published(pose: Pose, losses: Losses) -> int:
        rig.log.append("sink.publish")
        return publish(pose, losses)

    rig.sink.publish = published  # type: ignore[method-assign]
    rig.pipeline.start()
    rig.ends()
    log = [entry for entry in rig.log if entry.startswith(("handler", "sink.publish"))]
    frame = ["handler.handle", "sink.publish", "handler.published"]
    assert log == ["handler.open", *frame, *frame, "handler.close"]
    assert rig.handler.closed_with == [None]


def test_what_acts_is_closed_before_anything_else() -> None:
    rig = Rig(1, live=True, reacts=True)
    rig.pipeline.start()
    rig.pipeline.stop()
    rig.ends()
    assert [each for each in rig.log if each in (*CLOSING, "handler.close")][-len(CLOSING) - 1 :] == [
        "handler.close",
        *CLOSING,
    ]


def test_a_camera_that_is_lost_closes_what_acts_with_its_error_even_if_the_camera_hangs() -> None:
    lost = CameraLostError("gone")
    rig = Rig(1, lost, live=True, reacts=True)
    rig.pipeline.start()
    rig.ends()
    assert rig.handler.closed_with == [lost]
    assert rig.log.index("handler.close") < rig.log.index("camera.close")


@pytest.mark.parametrize("call", ["open", "handle", "published", "close"])
def test_a_handler_that_fails_ends_the_pipeline_and_is_closed(call: str) -> None:
    rig = Rig(1, 2, END, reacts=True)
    failure = UsageError("of the handler")
    rig.handler.fails = {call: failure}
    if call == "open":
        with pytest.raises(UsageError, match="of the handler"):
            rig.pipeline.start()
    else:
        rig.pipeline.start()
    rig.ends()
    assert rig.pipeline.error is failure
    assert rig.state is PipelineState.FAILED
    assert "handler.close" in rig.log
    assert rig.log[-1] == "camera.close"


def test_while_no_frame_comes_and_while_it_is_stopped_the_handler_goes_on() -> None:
    rig = Rig(1, live=True, reacts=True)
    rig.pipeline.start()
    assert rig.handler.idled.wait(LONG_S)
    rig.pipeline.pause()
    rig.handler.idled.clear()
    assert rig.handler.idled.wait(LONG_S)
    rig.pipeline.stop()
    rig.ends()


def test_a_posted_command_is_carried_out_between_two_frames() -> None:
    rig = Rig(1, live=True, reacts=True)
    rig.pipeline.start()
    done = threading.Event()
    rig.pipeline.post(done.set)
    assert done.wait(LONG_S)
    rig.pipeline.stop()
    rig.ends()


class LostRig(Rig):
    """A live camera that is opened anew when it is lost; what is fed after an error comes once it is open again."""

    def __init__(self, *feed: int | BaseException, reconnect_ns: int = 3600 * NS_PER_S) -> None:
        super().__init__(*feed, live=True, reacts=True)
        self.gaps: list[Gap] = []
        self.pipeline = Pipeline(
            self.camera,
            Tracker(fake_engine(), self.backend, self.clock),
            self.sink,
            handler=self.handler,
            slots=4,
            reconnect_ns=reconnect_ns,
            on_gap=self.gaps.append,
            on_tick=self._tick,
            clock=self.clock,
        )


def test_a_lost_camera_is_opened_anew_and_the_gap_is_known() -> None:
    rig = LostRig(7, CameraLostError("unplugged"))
    rig.pipeline.start()
    rig.camera.feed(12)
    rig.sink.wait_for(2)
    rig.camera.feed(END)
    rig.ends()
    assert rig.sink.ids == [7, 12]
    assert rig.pipeline.error is None
    lost, back = rig.gaps
    assert (lost.event, lost.why, lost.last_frame_id, lost.ended_ns) == ("lost", "unplugged", 7, None)
    assert (back.event, back.why, back.first_frame_id, back.tries) == ("back", "unplugged", 12, 1)
    assert back.ended_ns is not None
    told = [each for each in rig.log if each.startswith("handler.")]
    at = told.index("handler.gap lost")
    assert told[at - 1 : at + 3] == [
        "handler.published",
        "handler.gap lost",
        "handler.gap back",
        "handler.handle",
    ]
    assert rig.log.count("camera.open") == 2


def test_while_the_camera_is_gone_the_status_says_so_and_commands_are_served() -> None:
    rig = LostRig(7, CameraLostError("unplugged"))
    rig.camera.gone = threading.Event()
    rig.pipeline.start()
    wait_until(lambda: bool(rig.gaps))
    rig.handler.idled.clear()
    assert rig.handler.idled.wait(LONG_S), "who acts goes on"
    status = rig.pipeline.status()
    assert status.state is PipelineState.STOPPED
    assert status.gap == rig.gaps[0]
    assert status.rate_hz == 0
    rig.pipeline.pause()
    assert rig.pipeline.status().state is PipelineState.STOPPED
    rig.pipeline.resume()
    assert rig.pipeline.status().state is PipelineState.STOPPED
    rig.camera.gone.set()
    rig.camera.feed(12)
    rig.sink.wait_for(2)
    assert rig.pipeline.status().gap is None
    assert rig.pipeline.stop(LONG_S)
    assert rig.pipeline.error is None


def test_a_camera_that_does_not_come_back_in_time_fails_the_pipeline_with_both_causes() -> None:
    rig = LostRig(7, reconnect_ns=NS_PER_S)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    rig.camera.gone = threading.Event()
    rig.camera.feed(CameraLostError("unplugged"))
    wait_until(lambda: bool(rig.gaps))
    rig.clock.advance_ns(2 * NS_PER_S)
    rig.ends()
    assert isinstance(rig.pipeline.error, CameraLostError)
    assert str(rig.pipeline.error) == "unplugged; it did not come back within 1 s: it is not there"
    assert rig.sink.ids == [7]


def test_losses_of_before_the_gap_are_not_forgotten() -> None:
    rig = LostRig(7)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    rig.camera.lost_at_camera, rig.camera.lost_in_transport, rig.camera.transport_known = 3, 5, False
    rig.camera.feed(CameraLostError("unplugged"), 12)
    rig.sink.wait_for(2)
    rig.camera.lost_at_camera = 10
    losses = rig.pipeline.status().losses
    assert (losses.camera, losses.transport, losses.transport_known) == (13, 5, False)
    assert rig.pipeline.stop(LONG_S)


def test_what_comes_back_as_another_camera_is_not_taken() -> None:
    rig = LostRig(7, reconnect_ns=NS_PER_S)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    rig.camera._info = replace(rig.camera._info, label="fake 2")
    rig.camera.feed(CameraLostError("unplugged"))
    wait_until(lambda: rig.log.count("camera.open") >= 2)
    rig.clock.advance_ns(2 * NS_PER_S)
    rig.ends()
    assert isinstance(rig.pipeline.error, CameraLostError)
    assert (
        "it did not come back within 1 s: what came back is another camera or has other frames: fake 2"
        in str(rig.pipeline.error)
    )
    assert rig.log.count("camera.start") == 1


def test_another_camera_at_its_place_is_not_the_end_before_its_time_is_over() -> None:
    rig = LostRig(7)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    right = rig.camera._info
    rig.camera._info = replace(right, label="fake 2")
    rig.camera.feed(CameraLostError("unplugged"))
    wait_until(lambda: rig.log.count("camera.open") >= 2)
    rig.camera._info = right
    rig.camera.feed(12)
    rig.sink.wait_for(2)
    assert rig.pipeline.stop(LONG_S)
    assert rig.sink.ids == [7, 12]


def test_silence_is_a_loss_too() -> None:
    rig = LostRig(7)
    rig.pipeline._silence = Silence(rig.pipeline._stream, NS_PER_S, rig.clock)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    rig.clock.advance_ns(2 * NS_PER_S)
    wait_until(lambda: bool(rig.gaps))
    assert "no frame came for 1 s" in rig.gaps[0].why
    wait_until(
        lambda: rig.log.count("camera.start") >= 2
    )  # the thread of before would take the frame with it
    rig.camera.feed(12)
    rig.sink.wait_for(2)
    assert rig.pipeline.stop(LONG_S)


def test_a_camera_that_is_back_and_says_nothing_is_opened_anew_until_its_time_is_over() -> None:
    rig = LostRig(7, reconnect_ns=20 * NS_PER_S)
    rig.pipeline._silence = Silence(rig.pipeline._stream, NS_PER_S, rig.clock)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    rig.camera.feed(CameraLostError("unplugged"))
    for opened in (2, 3):
        wait_until(lambda opened=opened: rig.log.count("camera.open") == opened)
        wait_until(lambda: not rig.pipeline._stream.opening)
        rig.handler.idled.clear()
        assert rig.handler.idled.wait(LONG_S), "its silence is counted from now"
        rig.clock.advance_ns(2 * NS_PER_S)
    wait_until(lambda: rig.log.count("camera.open") == 4)
    wait_until(lambda: not rig.pipeline._stream.opening)
    rig.handler.idled.clear()
    assert rig.handler.idled.wait(LONG_S)
    rig.clock.advance_ns(30 * NS_PER_S)
    rig.ends()
    assert "unplugged; it did not come back within 20 s: no frame came for 1 s" in str(rig.pipeline.error)
    assert [gap.event for gap in rig.gaps] == ["lost"]


def test_a_camera_that_is_lost_while_it_is_paused_and_is_not_to_be_opened_again_is_the_end() -> None:
    rig = LostRig(7, reconnect_ns=0)
    rig.pipeline.start()
    rig.sink.wait_for(1)
    rig.pipeline.pause()
    rig.camera.fails["start"] = CameraLostError("unplugged")
    with pytest.raises(CameraLostError, match="unplugged"):
        rig.pipeline.resume()
    rig.ends()
    assert str(rig.pipeline.error) == "unplugged"
