from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.fakes import END, FakeCamera
from support.outside_cameras import SOON, outside
from support.waits import LONG_S, wait_until

from rtface.acquire import lasting
from rtface.acquire.lasting import LastingStream
from rtface.acquire.reopening import Reopening
from rtface.acquire.ring import host_memory
from rtface.core.clock import NS_PER_S, ManualClock
from rtface.core.errors import CameraLostError

FOREVER_NS = 3600 * NS_PER_S


@pytest.fixture
def streams() -> Iterator[Any]:
    made: list[LastingStream] = []

    def make(camera: Any, reconnect_ns: int = FOREVER_NS, **more: Any) -> LastingStream:
        stream = LastingStream(camera, 6, reconnect_ns, **more)
        made.append(stream)
        stream.open()
        stream.start(host_memory)
        return stream

    yield make
    for stream in made:
        stream.stop()
        stream.close()


def next_id(stream: LastingStream) -> int:
    """Return the number of the next frame, however long it takes."""
    for _ in range(round(LONG_S / 0.05)):
        slot = stream.take(0.05)
        if slot is not None:
            assert slot.meta is not None
            number = slot.meta.frame_id
            stream.release(slot)
            return number
    raise AssertionError("no frame came")


def take_until_lost(stream: LastingStream) -> None:
    for _ in range(1000):
        stream.take(0.05)


def test_numbers_go_on_over_a_gap_and_leave_one_out(streams: Any) -> None:
    camera = FakeCamera(5, live=True)
    stream = streams(camera)
    assert next_id(stream) == 5
    camera.feed(CameraLostError("unplugged"))
    wait_until(lambda: stream.take(0.01) is None and stream.gap is not None)
    camera.feed(0)
    assert next_id(stream) == 7
    camera.feed(1)
    assert next_id(stream) == 8
    camera.feed(CameraLostError("unplugged"))
    wait_until(lambda: stream.take(0.01) is None and stream.gap is not None)
    camera.feed(0)
    assert next_id(stream) == 10
    gaps = [gap for gap in iter(stream.news, None) if gap is not None]
    assert [(gap.event, gap.last_frame_id, gap.first_frame_id) for gap in gaps] == [
        ("lost", 5, None),
        ("back", 5, 7),
        ("lost", 8, None),
        ("back", 8, 10),
    ]


def test_there_is_room_in_the_numbers_for_frames_that_were_displaced_before_the_first_was_taken(
    streams: Any,
) -> None:
    camera = FakeCamera(5, live=True)
    stream = streams(camera)
    assert next_id(stream) == 5
    camera.feed(CameraLostError("unplugged"))
    wait_until(lambda: stream.take(0.01) is None and stream.gap is not None)
    assert stream._reopening.wait(LONG_S)
    assert stream.take(0) is None, "it is taken over"
    camera.asked.clear()
    camera.feed(0, 1, 2)
    assert camera.asked.wait(LONG_S), "all three wait in the ring"
    assert next_id(stream) == 5 + 2 + 2
    assert stream.dropped == 2


def test_a_camera_that_is_lost_again_before_a_frame_came_is_still_in_the_same_gap(streams: Any) -> None:
    camera = FakeCamera(5, CameraLostError("unplugged"), live=True)
    stream = streams(camera)
    assert next_id(stream) == 5
    camera.feed(CameraLostError("again"), 0)
    assert next_id(stream) == 7
    lost, back = iter(stream.news, None)
    assert (lost.why, back.why) == ("unplugged", "unplugged")
    assert back.tries == 2


def test_a_source_that_is_not_live_and_one_without_a_limit_are_lost_at_once(streams: Any) -> None:
    for live, reconnect_ns in ((False, FOREVER_NS), (True, 0)):
        stream = streams(FakeCamera(CameraLostError("damaged"), live=live), reconnect_ns)
        with pytest.raises(CameraLostError, match="damaged"):
            take_until_lost(stream)
        assert stream.news() is None


def test_the_end_of_a_source_is_no_loss(streams: Any) -> None:
    stream = streams(FakeCamera(1, END, live=True))
    assert next_id(stream) == 1
    wait_until(lambda: stream.take(0.01) is None and stream.ended)
    assert stream.gap is None


def test_a_killed_process_is_a_gap_and_the_next_one_goes_on(streams: Any) -> None:
    camera = outside(every_ms=1)
    stream = streams(camera)
    before, pid = next_id(stream), camera.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: take_and_release(stream) and stream.gap is not None)
    after = next_id(stream)
    assert after > before
    gaps = [gap for gap in iter(stream.news, None) if gap is not None]
    assert [gap.event for gap in gaps] == ["lost", "back"]
    assert "was ended by SIGKILL" in gaps[0].why
    assert camera.pid != pid


def take_and_release(stream: LastingStream) -> bool:
    slot = stream.take(0.01)
    if slot is not None:
        stream.release(slot)
    return True


def test_a_driver_that_hangs_in_stop_is_killed_and_its_camera_can_be_resumed(streams: Any) -> None:
    camera = outside(SOON, every_ms=1, faults={"stop": ["hang"]})
    stream = streams(camera)
    before = next_id(stream)
    stream.stop()
    assert not stream.running
    assert stream.gap is not None
    assert "did not return from stopping within 1 s" in stream.gap.why
    stream.start(host_memory)
    assert next_id(stream) > before


def test_a_stop_ends_the_opening_that_is_under_way(streams: Any) -> None:
    """Of a driver that hangs in open: its process is killed, long before its time is over."""
    camera = outside(every_ms=1)
    stream = streams(camera)
    next_id(stream)
    camera._arguments["faults"] = {"open": ["hang"]}
    os.kill(camera.pid, signal.SIGKILL)
    wait_until(lambda: take_and_release(stream) and stream.gap is not None)
    done = threading.Event()
    thread = threading.Thread(target=lambda: (stream.stop(), done.set()))
    thread.start()
    assert done.wait(LONG_S)
    thread.join()
    assert camera.pid is None or not os.path.exists(f"/proc/{camera.pid}")


def test_what_is_not_back_in_time_is_gone_for_good_with_both_causes() -> None:
    clock, camera = ManualClock(1), FakeCamera(1, CameraLostError("unplugged"), live=True)
    camera.gone = threading.Event()
    stream = LastingStream(camera, 6, NS_PER_S, clock)
    stream.open()
    stream.start(host_memory)
    assert next_id(stream) == 1
    wait_until(lambda: stream.take(0.01) is None and stream.gap is not None)
    clock.sleep_until_ns(3 * NS_PER_S)
    with pytest.raises(
        CameraLostError, match=r"^unplugged; it did not come back within 1 s: it is not there$"
    ):
        take_until_lost(stream)
    stream.stop()
    stream.close()


def test_an_opening_that_was_given_up_tries_no_more() -> None:
    camera = FakeCamera(live=True)
    stream = LastingStream(camera, 6, FOREVER_NS)
    stream.open()
    camera.gone = threading.Event()
    reopening = Reopening(camera, stream._frames, stream.info)
    wait_until(lambda: reopening.tries > 0)
    assert reopening.give_up()
    tries = reopening.tries
    assert not reopening.wait(0.5)
    assert reopening.tries == tries
    assert reopening.why_not == "it is not there"


def test_a_camera_that_is_lost_while_it_is_stopped_is_opened_anew_when_it_is_started(streams: Any) -> None:
    camera = outside(every_ms=1)
    stream = streams(camera)
    before, pid = next_id(stream), camera.pid
    stream.stop()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    stream.start(host_memory)
    assert stream.running
    assert next_id(stream) > before
    assert [gap.event for gap in iter(stream.news, None) if gap is not None] == ["lost", "back"]


def test_a_camera_that_cannot_be_started_at_first_is_an_error() -> None:
    camera = FakeCamera(live=True, fails={"start": CameraLostError("no")})
    stream = LastingStream(camera, 6, FOREVER_NS)
    stream.open()
    with pytest.raises(CameraLostError, match="no"):
        stream.start(host_memory)
    assert not stream.running
    stream.close()


def test_a_camera_that_is_lost_again_and_again_is_opened_anew_at_growing_intervals(
    streams: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []

    class Watched(Reopening):
        def __init__(self, camera: Any, frames: Any, before: Any, pause_s: float) -> None:
            pauses.append(pause_s)
            super().__init__(camera, frames, before)

    monkeypatch.setattr(lasting, "Reopening", Watched)
    clock = ManualClock(1)
    camera = FakeCamera(0, live=True)
    stream = streams(camera, clock=clock)
    next_id(stream)
    for _ in range(6):
        camera.feed(CameraLostError("unplugged"))
        wait_until(lambda: stream.take(0.01) is None and stream.gap is not None)
        camera.feed(0)
        next_id(stream)
    assert pauses == [0.0, 0.2, 0.4, 0.8, 1.6, 2.0]
    clock.sleep_until_ns(clock.now_ns() + lasting.SETTLED_NS)
    camera.feed(CameraLostError("unplugged"))
    wait_until(lambda: stream.take(0.01) is None and stream.gap is not None)
    assert pauses[-1] == 0.0


def test_a_camera_that_waited_for_its_first_trigger_after_a_gap_has_all_its_time_again(streams: Any) -> None:
    clock, camera = ManualClock(1), FakeCamera(5, live=True)
    stream = streams(camera, NS_PER_S, clock=clock)
    assert next_id(stream) == 5
    camera.feed(CameraLostError("unplugged"))
    wait_until(lambda: stream.take(0.01) is None and stream.gap is not None and not stream.opening)
    clock.sleep_until_ns(clock.now_ns() + lasting.SETTLED_NS)
    camera.feed(CameraLostError("again"))
    wait_until(lambda: stream.take(0.01) is None and camera.log.count("camera.open") == 3)
    camera.feed(0)
    assert next_id(stream) == 7


def test_whoever_looks_at_the_terminal_later_finds_when_it_was_lost_and_back(
    streams: Any, caplog: pytest.LogCaptureFixture
) -> None:
    camera = FakeCamera(5, CameraLostError("unplugged"), live=True)
    stream = streams(camera)
    next_id(stream)
    camera.feed(0)
    next_id(stream)
    lost, back = caplog.messages
    assert lost == "the camera is lost and is opened anew, for up to 3600 s: unplugged"
    assert back.startswith("the camera is back after")
