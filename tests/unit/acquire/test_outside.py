"""Cameras in a process of their own: nothing torn, nothing lost uncounted, nothing that a driver does held or left behind."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from support.outside_cameras import SOON, outside, scripted
from support.waits import LONG_S, finishes, wait_until

from rtface.acquire.base import EndOfStream
from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.outside.messages import Failure, info_map, info_of_map
from rtface.acquire.outside.passage import AVAILABLE, RECORD, Passage, close_handles
from rtface.acquire.outside.records import Counts, Filled
from rtface.acquire.outside.writer import SlotWriter
from rtface.acquire.ring import Slot
from rtface.core import errors
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK
from rtface.core.clockfit import ClockLine
from rtface.core.errors import CameraLostError, RtfaceError
from rtface.core.records import CameraInfo, FrameMeta, Image

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="this system has no way for it")

KILLS = int(os.environ.get("RTFACE_KILLS", "5"))
"""Of the child; a third of them of the parent. A long run: ``RTFACE_KILLS=60``."""


@pytest.fixture
def opened() -> Iterator[Any]:
    cameras: list[OutsideCamera] = []

    def make(*, starts: bool = True, **arguments: Any) -> OutsideCamera:
        camera = outside(**arguments)
        cameras.append(camera)
        camera.open()
        if starts:
            camera.start()
        return camera

    yield make
    for camera in cameras:
        camera.close()


def whole(slot: Slot | None) -> int:
    """Return the number of a frame of which every pixel is its own."""
    assert slot is not None, "no frame came"
    assert slot.meta is not None
    assert (slot.pixels == slot.meta.frame_id % 256).all(), "a torn frame"
    return slot.meta.frame_id


def take_all(camera: OutsideCamera) -> Iterator[Slot]:
    """Take frames until the source ends."""
    while True:
        try:
            slot = camera.take(LONG_S)
        except EndOfStream:
            return
        assert slot is not None, "no frame came"
        yield slot
        camera.release(slot)


def fill_for_ever(camera: OutsideCamera) -> None:
    out = memory()
    while True:
        camera.fill(out, LONG_S)


# The slots


def test_of_frames_that_come_faster_than_they_are_taken_the_newest_wins_none_is_torn_and_all_are_counted(
    opened: Any,
) -> None:
    camera = opened(frames=4000)
    taken: list[int] = []
    for slot in take_all(camera):
        taken.append(whole(slot))
        for _ in range(3):  # long enough to be overtaken
            assert whole(slot) == taken[-1]
    assert taken == sorted(set(taken))
    assert taken[-1] == 3999, "the newest is never the one that is displaced"
    assert len(taken) + camera.dropped == 4000


def test_a_source_that_waits_delivers_every_frame_in_order(opened: Any) -> None:
    camera = opened(frames=300, live=False, slots=3)
    assert [whole(slot) for slot in take_all(camera)] == list(range(300))
    assert camera.dropped == 0


def test_a_slot_that_is_held_stays_as_it_is_through_a_stop_and_a_start(opened: Any) -> None:
    camera = opened(slots=3)
    held = camera.take(LONG_S)
    number = whole(held)
    camera.stop()
    camera.start()
    for _ in range(20):
        other = camera.take(LONG_S)
        assert whole(other) > number
        camera.release(other)
    assert whole(held) == number
    camera.release(held)


def test_what_was_not_taken_before_a_stop_does_not_come_after_the_next_start(opened: Any) -> None:
    camera = opened(live=False, slots=3, faults={"2": ["raise", "CameraLostError", "two wait"]})
    while camera.failure is None:
        camera._hear()
    camera.stop()
    camera.start()
    with pytest.raises(CameraLostError, match="two wait"):
        camera.take(LONG_S)
    assert camera.dropped == 0


def test_what_waits_when_the_camera_stops_can_still_be_taken(opened: Any) -> None:
    camera = opened(frames=5, live=False)
    camera.release(camera.take(LONG_S))
    while not isinstance(camera.failure, EndOfStream):
        camera._hear()
    camera.stop()
    waiting = []
    while (slot := camera.waiting()) is not None:
        waiting.append(whole(slot))
        camera.release(slot)
    assert waiting == [1, 2, 3, 4]


@pytest.fixture
def passage() -> Iterator[tuple[Passage, Passage]]:
    ours, handles = Passage.make()
    theirs = Passage(handles)
    yield ours, theirs
    ours.close()
    theirs.close()


def writer(theirs: Passage, slots: int, *, keep_all: bool = False) -> SlotWriter:
    return SlotWriter(theirs, theirs.frames(slots, (2, 4)), range(slots), keep_all=keep_all)


def test_a_writer_takes_back_the_oldest_and_never_what_is_held(passage: tuple[Passage, Passage]) -> None:
    ours, theirs = passage
    ours.fit(3, (2, 4))
    slots = writer(theirs, 3)
    for number in range(3):
        slots.commit(slots.acquire(0), FrameMeta(number, 0, 0), Counts())
    (record,) = ours.take(1)
    assert Filled.unpack(record).slot == 0, "held from now on"
    assert [slots.acquire(0), slots.acquire(0), slots.acquire(0)] == [1, 2, None]
    assert slots.taken_back == 2
    ours.give_back(0)
    assert slots.acquire(0) == 0


def test_slots_of_frames_that_were_overtaken_go_back(passage: tuple[Passage, Passage]) -> None:
    ours, theirs = passage
    camera = outside()
    camera._slots = tuple(Slot(*memory) for memory in ours.fit(3, (2, 4)))
    slots = writer(theirs, 3)
    for number in range(3):
        slots.commit(slots.acquire(0), FrameMeta(number, 0, 0), Counts())
    camera._passage = ours
    taken = camera._next(newest=True)
    assert taken is camera._slots[2]
    assert [slots.acquire(0), slots.acquire(0), slots.acquire(0)] == [0, 1, None]
    camera.release(taken)
    assert slots.acquire(0) == 2
    assert (camera.dropped, slots.taken_back) == (2, 0)


def test_a_writer_that_keeps_all_takes_nothing_back(passage: tuple[Passage, Passage]) -> None:
    ours, theirs = passage
    ours.fit(3, (2, 4))
    slots = writer(theirs, 3, keep_all=True)
    for number in range(3):
        slots.commit(slots.acquire(0), FrameMeta(number, 0, 0), Counts())
    assert slots.acquire(0) is None
    assert [Filled.unpack(each).slot for each in ours.take()] == [0, 1, 2]


def test_there_is_room_for_a_record_of_every_slot(passage: tuple[Passage, Passage]) -> None:
    ours, theirs = passage
    most = ours.most_slots
    assert most > 64
    record = Filled(0, FrameMeta(1, 2, 3), Counts()).pack()
    for _ in range(3):  # the pages of a pipe are used up from both ends
        for _ in range(2 * most):
            theirs.put(record)
        while ours.take():
            continue
        theirs.put(record)
        ours.take(1)


def test_that_a_frame_was_displaced_is_known_although_the_driver_dies_before_the_next(opened: Any) -> None:
    camera = opened(slots=3, faults={"3": ["die", "SIGKILL"]})
    process = camera._process
    assert process.wait(LONG_S), "it filled three slots, took the oldest back, and died"
    slot = camera.take(LONG_S)
    assert whole(slot) == 2
    with pytest.raises(CameraLostError, match="SIGKILL"):
        camera.take(LONG_S)
    assert camera.dropped == 2


def test_that_a_driver_answers_is_said_once_until_it_was_read(passage: tuple[Passage, Passage]) -> None:
    ours, theirs = passage
    ours.fit(3, (2, 4))
    slots = writer(theirs, 3)
    for _ in range(1000):
        slots.idle(Counts())
    assert len(ours.take()) == 1
    slots.idle(Counts())
    assert len(ours.take()) == 1


def test_a_record_holds_all_that_a_frame_has() -> None:
    """A field that `FrameMeta` gets must travel too: numbers at the limits of 64 bits stand for the worst."""
    values = [2**63 - 1 - place for place in range(len(fields(FrameMeta)))]
    counts = Counts(2**40, 2**48, False, ClockLine(2**62, -1.25e18, -1e-4), 2**40)
    record = Filled(65535, FrameMeta(*values), counts).pack()
    assert len(record) == RECORD <= 4096
    assert Filled.unpack(record) == Filled(65535, FrameMeta(*values), counts)
    assert Filled.unpack(Filled(None, None, Counts()).pack()) == Filled(None, None, Counts())


# What the camera says


def test_what_a_camera_says_of_itself_and_has_counted_is_what_it_says_inside(opened: Any) -> None:
    camera, inside = opened(starts=False, live=False), scripted(live=False)
    assert reopened(camera) == inside.open()
    camera.start()
    inside.start()
    for _ in range(4):
        ours, theirs = memory(), memory()
        meta, true = camera.fill(ours, LONG_S), inside.fill(theirs, LONG_S)
        assert meta is not None
        assert (meta.frame_id, meta.camera_ns) == (true.frame_id, true.camera_ns)
        np.testing.assert_array_equal(ours, theirs)
        for name in ("lost_at_camera", "lost_in_transport", "transport_known"):
            assert getattr(camera, name) == getattr(inside, name)
        assert camera.clock_line is not None
        assert camera.clock_line.anchor_ns == inside.clock_line.anchor_ns


def reopened(camera: OutsideCamera) -> Any:
    camera.close()
    return camera.open()


def memory() -> Image:
    return np.zeros((64, 96), np.uint8)


def test_settings_of_foreign_types_arrive_as_text() -> None:
    settings = {
        "path": Path("/a"),
        "pair": (1, None),
        "nested": {3: Path("b"), "rate": 1.5},
        "no": float("inf"),
    }
    info = CameraInfo("fake", "fake 1", 4, 2, 99.5, None, True, "camera", settings)
    sent = json.loads(json.dumps(info_map(info)))
    plain = {"path": "/a", "pair": [1, None], "nested": {"3": "b", "rate": 1.5}, "no": float("inf")}
    assert info_of_map(sent) == replace(info, settings=plain)


@pytest.mark.parametrize(
    "name", ["CameraError", "CameraSettingError", "CameraLostError", "UsageError", "DataError"]
)
def test_an_error_arrives_as_it_was_raised(opened: Any, name: str) -> None:
    with pytest.raises(RtfaceError) as caught:
        opened(faults={"open": ["raise", name, "Gain was set to 5 but reads back 0"]})
    assert type(caught.value) is getattr(errors, name)
    assert str(caught.value) == "Gain was set to 5 but reads back 0"


def test_frames_before_an_error_are_delivered_and_then_the_error_each_time(opened: Any) -> None:
    camera = opened(live=False, faults={"3": ["raise", "CameraLostError", "unplugged"]})
    assert [camera.fill(memory(), LONG_S).frame_id for _ in range(3)] == [0, 1, 2]
    for _ in range(3):
        with pytest.raises(CameraLostError, match=r"^unplugged$"):
            camera.fill(memory(), LONG_S)


def test_a_fault_of_the_driver_s_own_is_a_lost_camera_with_its_words(
    opened: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    camera = opened(faults={"0": ["raise", "ZeroDivisionError", "a bug"]})
    with pytest.raises(CameraLostError, match="the camera's driver failed: ZeroDivisionError: a bug"):
        camera.fill(memory(), LONG_S)
    assert "Traceback" in capfd.readouterr().err


def test_an_error_that_no_rtface_knows_is_a_lost_camera() -> None:
    assert type(Failure("NewerError", "words").error()) is CameraLostError


# Drivers that hang


@pytest.mark.parametrize(
    ("call", "doing"),
    [("open", "opening"), ("start", "starting"), ("2", "waiting for a frame"), ("stop", "stopping")],
)
def test_a_driver_that_hangs_is_killed_within_its_time(opened: Any, call: str, doing: str) -> None:
    faults = {call: ["hang"]}

    def use() -> None:
        camera = opened(patience=SOON, live=False, faults=faults)
        for _ in range(3):
            assert camera.fill(memory(), LONG_S) is not None
        camera.stop()

    began_ns = SYSTEM_CLOCK.now_ns()
    with pytest.raises(
        CameraLostError, match=f"did not return from {doing} within 1 s; its process was killed"
    ):
        finishes(use)
    assert SYSTEM_CLOCK.now_ns() - began_ns >= NS_PER_S
    assert children() == []


def test_a_driver_that_hangs_while_closing_is_killed_and_close_says_nothing_but_in_the_log(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    camera = opened(patience=SOON, faults={"close": ["hang"]})
    camera.close()
    assert children() == []
    assert "did not return from closing within 1 s" in caplog.text


def children() -> list[psutil.Process]:
    return psutil.Process().children()


def test_while_a_driver_holds_the_lock_of_its_interpreter_this_one_goes_on(opened: Any) -> None:
    """Inside, a thread that wakes every 5 ms would not run for a second and a half."""
    camera = opened(live=False, faults={"1": ["hold", 1500]})
    done, beats = threading.Event(), [SYSTEM_CLOCK.now_ns()]

    def beat() -> None:
        while not done.wait(0.005):
            beats.append(SYSTEM_CLOCK.now_ns())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert camera.fill(memory(), LONG_S).frame_id == 0
        assert camera.fill(memory(), LONG_S).frame_id == 1
    finally:
        done.set()
        thread.join()
    assert max(after - before for before, after in itertools.pairwise(beats)) < 750 * NS_PER_MS


# Deaths


@pytest.mark.parametrize("number", ["SIGABRT", "SIGSEGV", "SIGKILL"])
def test_a_driver_that_dies_is_a_lost_camera_and_the_signal_is_named(opened: Any, number: str) -> None:
    camera = opened(live=False, faults={"2": ["die", number]})
    assert [camera.fill(memory(), LONG_S).frame_id for _ in range(2)] == [0, 1]
    for _ in range(2):
        with pytest.raises(
            CameraLostError, match=f"scripted 1 was ended by {number} while waiting for a frame"
        ):
            camera.fill(memory(), LONG_S)
    with pytest.raises(CameraLostError, match=number):
        reopened_in_vain(camera)


def reopened_in_vain(camera: OutsideCamera) -> None:
    camera.stop()
    camera.start()


@pytest.mark.parametrize(
    ("call", "doing"), [("open", "opening"), ("start", "starting"), ("stop", "stopping")]
)
def test_a_driver_that_ends_its_process_is_a_lost_camera(opened: Any, call: str, doing: str) -> None:
    def use() -> None:
        opened(faults={call: ["exit", 3]}).stop()

    with pytest.raises(CameraLostError, match=f"ended with status 3 while {doing}"):
        use()


def test_what_is_lost_can_be_opened_again_and_nothing_is_left_of_before(opened: Any) -> None:
    camera = opened()
    reopened(camera)
    handles = open_handles()
    for _ in range(KILLS):
        camera.start()
        for _ in range(3):
            assert camera.fill(memory(), LONG_S) is not None
        os.kill(camera.pid, signal.SIGKILL)
        with pytest.raises(CameraLostError, match="SIGKILL"):
            fill_for_ever(camera)
        assert children() == []
        reopened(camera)
    assert open_handles() == handles
    camera.close()
    assert children() == []


def open_handles() -> int:
    return len(os.listdir("/proc/self/fd"))


USES = """
import sys
import numpy as np
from support.outside_cameras import outside
camera = outside(faults={"2": ["hang"]} if sys.argv[1] == "hangs" else {})
camera.open()
camera.start()
out = np.zeros((64, 96), np.uint8)
for _ in range(2):
    camera.fill(out, 60)
print(camera.pid, flush=True)
while True:
    camera.take(1) if sys.argv[1] == "hangs" else camera.release(camera.take(60))
"""


@pytest.mark.parametrize("how", ["runs", "hangs"])
def test_a_parent_that_dies_leaves_no_process_and_no_memory(how: str) -> None:
    shared = set(os.listdir("/dev/shm"))
    tests = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}
    for _ in range(max(1, KILLS // 5)):
        with subprocess.Popen(
            [sys.executable, "-c", USES, how], env=environment, stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout is not None
            child = psutil.Process(int(parent.stdout.readline()))
            parent.kill()
            parent.wait(LONG_S)
            child.wait(LONG_S)
            assert not child.is_running()
    assert set(os.listdir("/dev/shm")) <= shared


def test_the_camera_outlives_the_thread_that_opened_it(opened: Any) -> None:
    """The system ends it with the thread that began it: that is one of its own."""
    cameras = []
    thread = threading.Thread(target=lambda: cameras.append(opened()))
    thread.start()
    thread.join()
    for _ in range(20):
        assert cameras[0].fill(memory(), LONG_S) is not None


def test_ctrl_c_is_for_the_parent_alone(opened: Any) -> None:
    camera = opened()
    os.kill(camera.pid, signal.SIGINT)
    assert os.getpgid(camera.pid) != os.getpgid(0)
    for _ in range(20):
        assert camera.fill(memory(), LONG_S) is not None


def test_what_a_driver_begins_holds_nothing_of_ours(opened: Any) -> None:
    camera = opened(starts=False)
    with open(f"/proc/{camera.pid}/fdinfo/0", encoding="ascii"):
        pass
    ours = [each for each in os.listdir(f"/proc/{camera.pid}/fd") if int(each) > 2]
    kept = []
    for each in ours:
        text = Path(f"/proc/{camera.pid}/fdinfo/{each}").read_text(encoding="ascii")
        flags = int(text.split("flags:")[1].split()[0], 8)
        if not flags & os.O_CLOEXEC:
            kept.append(os.readlink(f"/proc/{camera.pid}/fd/{each}"))
    assert kept == []


def test_without_room_for_descriptors_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = open_handles()

    def fails() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Passage, "make", fails)
    with pytest.raises(errors.CameraError, match="no room to begin the camera's process"):
        outside().open()
    assert open_handles() == handles


@pytest.mark.parametrize(
    ("call", "works"), [("memfd_create", 0), ("pipe2", 0), ("pipe2", 1), ("dup", 0), ("dup", 1)]
)
def test_without_room_for_one_more_descriptor_nothing_is_left_open(
    monkeypatch: pytest.MonkeyPatch, call: str, works: int
) -> None:
    handles, makes, calls = open_handles(), getattr(os, call), itertools.count()

    def fails(*arguments: Any) -> Any:
        if next(calls) >= works:
            raise OSError(24, "Too many open files")
        return makes(*arguments)

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(OSError, match="Too many open files"):
        Passage.make()
    assert open_handles() == handles


def test_what_there_is_no_memory_or_no_pipe_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise OSError(27, "File too large")

    handles = open_handles()
    with monkeypatch.context() as patched:
        patched.setattr(Passage, "fit", fails)
        with pytest.raises(errors.CameraError, match=r"no memory for 6 frames of 96x64 pixels: .*too large"):
            outside().open()
    monkeypatch.setattr(Passage, "most_slots", -8)
    with pytest.raises(errors.CameraError, match="no room for 3 frames between two processes"):
        outside().open()
    assert open_handles() == handles


def test_handles_of_the_other_side_are_closed_once() -> None:
    handles = open_handles()
    ours, theirs = Passage.make()
    close_handles(theirs)
    ours.close()
    ours.close()
    assert open_handles() == handles


def test_a_reader_who_is_away_does_not_hold_a_camera_that_has_much_to_say(opened: Any) -> None:
    """Its process gets to the frame at which it ends, though nobody takes what is said."""
    camera = opened(talks=True, faults={"5000": ["exit", 3]})
    wait_until(lambda: camera._process.ended)
    assert camera.take(LONG_S).meta.frame_id == 4999


def test_what_could_not_be_said_is_said_when_there_is_room() -> None:
    ours, handles = Passage.make()
    theirs = Passage(handles)
    said = 0
    while theirs.say_if_there_is_room(bytes(1000)):
        said += 1
    assert said > 10
    for _ in range(said):
        assert len(ours.messages.recv(2000)) == 1000
    assert theirs.say_if_there_is_room(b"at last")
    assert ours.messages.recv(2000) == b"at last"
    ours.close()
    theirs.close()


def test_the_newest_of_what_a_camera_says_of_itself_arrives(opened: Any) -> None:
    camera = opened(talks=True, every_ms=1, faults={"40": ["hold", 300]})
    for _ in range(2000):
        slot = camera.take(LONG_S)
        number = slot.meta.frame_id
        camera.release(slot)
        if number > 40 and camera.status.clock and int(camera.status.clock.split()[1]) > 40:
            return
    raise AssertionError(camera.status.clock)


def test_a_path_of_modules_that_notebooks_have_extended_is_no_obstacle(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands there need not be text."""
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/somewhere")])
    thread = threading.Thread(target=opened, daemon=True)
    thread.start()
    thread.join(LONG_S)
    assert not thread.is_alive()


def test_without_room_for_a_thread_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    handles = open_handles()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fails)
        with pytest.raises(errors.CameraError, match="no process could be begun"):
            outside().open()
    assert open_handles() == handles
