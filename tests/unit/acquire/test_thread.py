from __future__ import annotations

import threading

import pytest
from support.fakes import END, FakeCamera
from support.waits import LONG_S, finishes

from rtface.acquire.ring import FrameRing, SlotState
from rtface.acquire.thread import AcquisitionThread
from rtface.core.errors import CameraLostError

SHAPE = (24, 32)


def make(camera: FakeCamera, *, keep_all: bool = True) -> tuple[AcquisitionThread, FrameRing]:
    ring = FrameRing(3, SHAPE, keep_all=keep_all)
    return AcquisitionThread(camera, ring), ring


def states(ring: FrameRing) -> set[SlotState]:
    return {slot.state for slot in ring._slots}


def read_all(ring: FrameRing) -> list[int]:
    """Read until the ring is closed and empty."""
    ids = []
    while (slot := finishes(lambda: ring.take(600))) is not None:
        assert slot.meta is not None
        assert (slot.pixels == slot.meta.frame_id).all()
        ids.append(slot.meta.frame_id)
        ring.release(slot)
    return ids


def ends(thread: AcquisitionThread) -> None:
    thread._thread.join(LONG_S)
    assert not thread.alive


def test_it_hands_over_every_frame_and_ends_with_the_source() -> None:
    thread, ring = make(FakeCamera(*range(1, 41), END))
    thread.start()
    assert read_all(ring) == list(range(1, 41))
    ends(thread)
    assert thread.ended
    assert thread.error is None
    assert states(ring) == {SlotState.FREE}


@pytest.mark.parametrize("error", [CameraLostError("unplugged"), ZeroDivisionError("a bug"), SystemExit(3)])
def test_an_error_is_kept_and_wakes_the_reader(error: BaseException) -> None:
    camera = FakeCamera(7)
    thread, ring = make(camera)
    thread.start()
    camera.feed(error)
    assert read_all(ring) == [7]
    ends(thread)
    assert thread.error is error
    assert not thread.ended
    assert states(ring) == {SlotState.FREE}


def test_it_can_be_stopped_while_the_camera_has_nothing() -> None:
    camera = FakeCamera()
    thread, ring = make(camera)
    thread.start()
    assert camera.asked.wait(LONG_S)
    assert thread.alive
    assert thread.stop(LONG_S)
    ends(thread)
    assert thread.error is None
    assert not thread.ended
    assert states(ring) == {SlotState.FREE}, "the slot that waited for a frame was not given back"
    assert ring.acquire(0) is None


def test_it_can_be_stopped_while_the_ring_is_full() -> None:
    camera = FakeCamera(1, 2, 3, 4)
    thread, ring = make(camera)
    thread.start()
    while [slot.state for slot in ring._slots] != [SlotState.READY] * 3:
        assert thread.alive
    assert finishes(lambda: thread.stop(LONG_S))
    assert read_all(ring) == [1, 2, 3]


def test_a_time_out_is_no_end() -> None:
    camera = FakeCamera()
    thread, ring = make(camera)
    thread.start()
    assert camera.asked.wait(LONG_S)
    camera.asked.clear()
    assert camera.asked.wait(LONG_S)
    camera.feed(9, END)
    assert read_all(ring) == [9]
    ends(thread)


def test_a_live_camera_overwrites_what_nobody_read() -> None:
    thread, ring = make(FakeCamera(*range(1, 101), END, live=True), keep_all=False)
    thread.start()
    ends(thread)
    assert read_all(ring) == [100]
    assert ring.dropped == 99


def test_a_camera_that_does_not_answer_is_reported() -> None:
    camera = FakeCamera()
    camera.stuck = threading.Event()
    thread, ring = make(camera)
    thread.start()
    assert camera.asked.wait(LONG_S)
    assert not thread.stop(0.01)
    assert thread.alive
    camera.stuck.set()
    assert thread.stop(LONG_S)
    assert states(ring) == {SlotState.FREE}


def test_stopping_before_the_start_is_harmless() -> None:
    camera = FakeCamera(1)
    thread, ring = make(camera)
    assert thread.stop()
    assert thread.stop()
    thread.start()
    ends(thread)
    assert ring.take(0) is None
