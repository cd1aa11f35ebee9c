"""The recorder of frames: exact pictures, an index, and frames that find no room are dropped and counted."""

from __future__ import annotations

import functools
import threading
import zlib
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest
from support.waits import LONG_S, finishes

from rtface.acquire.factory import make_camera
from rtface.config import VideoCameraSettings
from rtface.core.clock import SYSTEM_CLOCK, ManualClock
from rtface.core.errors import DataError, UsageError
from rtface.core.records import FrameMeta, Image
from rtface.record.session import VIDEO_NAME
from rtface.record.session.encoder import VideoEncoder, count_frames, frame_checksums
from rtface.record.session.entries import Entry, FaultEntry, VideoEntry
from rtface.record.session.frames import FrameRecorder
from rtface.record.session.rows import FRAME_DTYPE, FRAMES, Rows

SHAPE = (50, 70)
Codec = Literal["h264", "lossless", "ffv1"]


def frame(number: int) -> Image:
    image = np.random.default_rng(number).integers(0, 256, SHAPE, np.uint8)
    image[: number % 50] = number % 256
    return image


def meta(number: int) -> FrameMeta:
    return FrameMeta(number, 10**9 + number * 5_000_000, 10**9 + number * 5_000_000)


class FakeLog:
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._rows: list[bytes] = []

    def put(self, entry: Entry) -> bool:
        self.entries.append(entry)
        return True

    def put_row(self, kind: int, row: bytes) -> bool:
        assert kind == FRAMES
        self._rows.append(row)
        return True

    @property
    def rows(self) -> Rows:
        return np.frombuffer(b"".join(self._rows), FRAME_DTYPE)

    @property
    def last(self) -> VideoEntry:
        found = [each for each in self.entries if isinstance(each, VideoEntry)]
        assert found[-1].ended
        return found[-1]


class FakeEncoder:
    """Encodes only while `free` is set; fails from frame `fails_at` on; holds `held` frames back."""

    def __init__(self, fails_at: int | None = None, held: int = 0) -> None:
        self.free = threading.Event()
        self.free.set()
        self.waiting = threading.Event()
        self.seen: list[int] = []
        self.times: list[int] = []
        self.synced = threading.Event()
        self._fails_at, self._held = fails_at, held

    def make(self, *arguments: Any) -> FakeEncoder:
        return self

    def write(self, image: Image, t_ms: int) -> int:
        if not self.free.is_set():
            self.waiting.set()
            assert self.free.wait(LONG_S)
        if self._fails_at is not None and len(self.seen) >= self._fails_at:
            raise DataError("No space left on device")
        self.seen.append(zlib.crc32(image))
        self.times.append(t_ms)
        return int(len(self.seen) > self._held)

    def sync(self) -> None:
        self.synced.set()

    def close(self) -> int:
        return min(self._held, len(self.seen))


def recorder(folder: Path, log: FakeLog, **options: Any) -> FrameRecorder:
    return FrameRecorder(folder, SHAPE[1], SHAPE[0], log, **options)


@pytest.mark.parametrize("codec", ["lossless", "ffv1"])
def test_every_pixel_comes_back(tmp_path: Path, codec: Codec) -> None:
    log = FakeLog()
    made = recorder(tmp_path, log, codec=codec, slots=200)
    made.open()
    for number in range(100):
        assert made.put(frame(number), meta(number))
    assert made.close()
    wanted = [zlib.crc32(frame(number)) for number in range(100)]
    assert log.rows["crc32"].tolist() == wanted
    assert log.rows["frame_id"].tolist() == log.rows["position"].tolist() == list(range(100))
    assert log.rows["exposure_ns"].tolist() == [meta(number).exposure_ns for number in range(100)]
    assert list(frame_checksums(tmp_path / VIDEO_NAME)) == wanted
    last = log.last
    assert (last.offered, last.encoded, last.dropped, last.codec) == (100, 100, 0, codec)
    camera = make_camera(
        VideoCameraSettings(kind="video", path=tmp_path / VIDEO_NAME, paced=False), SYSTEM_CLOCK
    )
    info = camera.open()
    assert (info.width, info.height) == (SHAPE[1], SHAPE[0])
    camera.start()
    image = np.empty(SHAPE, np.uint8)
    for number in range(100):
        while (found := camera.fill(image, 1.0)) is None:
            pass
        assert zlib.crc32(image) == wanted[number]
        assert found.camera_ns == number * 5_000_000
    camera.close()


def test_what_is_not_exact_looks_the_same(tmp_path: Path) -> None:
    log = FakeLog()
    made = recorder(tmp_path, log, codec="h264")
    made.open()
    smooth = np.add.outer(np.arange(50), np.arange(70)).astype(np.uint8)
    for number in range(20):
        made.put(smooth, meta(number))
    assert made.close()
    assert count_frames(tmp_path / VIDEO_NAME) == 20
    camera = make_camera(
        VideoCameraSettings(kind="video", path=tmp_path / VIDEO_NAME, paced=False), SYSTEM_CLOCK
    )
    camera.open()
    camera.start()
    image = np.empty(SHAPE, np.uint8)
    while camera.fill(image, 1.0) is None:
        pass
    camera.close()
    assert np.abs(image.astype(int) - smooth).max() < 12


def test_frames_that_find_no_room_are_dropped_and_counted_and_nothing_waits(tmp_path: Path) -> None:
    log, encoder = FakeLog(), FakeEncoder()
    encoder.free.clear()
    made = recorder(tmp_path, log, slots=5, make_encoder=encoder.make)
    made.open()
    assert made.put(frame(0), meta(0))
    assert encoder.waiting.wait(LONG_S)
    taken = finishes(lambda: [made.put(frame(number), meta(number)) for number in range(1, 9)])
    assert taken == [True] * 4 + [False] * 4
    assert made.dropped == 4
    encoder.free.set()
    assert made.close()
    assert log.rows["frame_id"].tolist() == [0, 1, 2, 3, 4]
    assert encoder.seen == [zlib.crc32(frame(number)) for number in range(5)]
    assert (log.last.offered, log.last.encoded, log.last.dropped) == (9, 5, 4)


def test_the_frame_is_copied(tmp_path: Path) -> None:
    log, encoder = FakeLog(), FakeEncoder()
    encoder.free.clear()
    made = recorder(tmp_path, log, make_encoder=encoder.make)
    made.open()
    image = frame(3)
    made.put(image, meta(0))
    image[:] = 0
    encoder.free.set()
    assert made.close()
    assert encoder.seen == [zlib.crc32(frame(3))]


def test_frames_that_the_encoder_holds_back_are_in_the_index_once_they_are_in_the_file(
    tmp_path: Path,
) -> None:
    log, encoder = FakeLog(), FakeEncoder(held=3)
    made = recorder(tmp_path, log, make_encoder=encoder.make)
    made.open()
    for number in range(10):
        made.put(frame(number), meta(number))
    assert made.close()
    assert log.rows["frame_id"].tolist() == list(range(10))
    assert log.last.encoded == 10


def test_a_full_disk_ends_the_video_and_is_a_fault_at_once(tmp_path: Path) -> None:
    log, encoder, faults = FakeLog(), FakeEncoder(fails_at=3), []
    came = threading.Event()

    def on_fault(fault: FaultEntry) -> None:
        faults.append(fault)
        came.set()

    made = recorder(tmp_path, log, make_encoder=encoder.make, on_fault=on_fault)
    made.open()
    for number in range(8):
        made.put(frame(number), meta(number))
    assert came.wait(LONG_S)
    assert not made.put(frame(8), meta(8))
    assert not made.close()
    assert [each.what for each in faults] == ["video"]
    assert made.fault == faults[0]
    assert [each for each in log.entries if isinstance(each, FaultEntry)] == faults
    assert (log.last.offered, log.last.encoded, log.last.dropped) == (9, 3, 6)


def test_a_bug_in_the_encoder_is_a_fault_and_not_silence(tmp_path: Path) -> None:
    class Buggy(FakeEncoder):
        def write(self, image: Image, t_ms: int) -> int:
            raise RuntimeError("a bug")

    made = recorder(tmp_path, FakeLog(), make_encoder=Buggy().make)
    made.open()
    made.put(frame(0), meta(0))
    assert not made.close()
    assert made.fault is not None
    assert "RuntimeError: a bug" in made.fault.text


def test_once_a_second_it_says_how_far_it_is_and_syncs(tmp_path: Path) -> None:
    log, encoder, clock = FakeLog(), FakeEncoder(), ManualClock(10**9)
    made = recorder(tmp_path, log, make_encoder=encoder.make, clock=clock)
    made.open()
    made.put(frame(0), meta(0))
    clock.sleep_until_ns(2 * 10**9)
    assert encoder.synced.wait(LONG_S)
    assert made.close()
    videos = [each for each in log.entries if isinstance(each, VideoEntry)]
    assert [each.ended for each in videos] == [False, True]


def test_frames_do_not_wait_for_a_slow_sync(tmp_path: Path) -> None:
    class Slow(FakeEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.go_on = threading.Event()

        def sync(self) -> None:
            super().sync()
            assert self.go_on.wait(LONG_S)

    log, encoder, clock = FakeLog(), Slow(), ManualClock(10**9)
    made = recorder(tmp_path, log, make_encoder=encoder.make, clock=clock, slots=2)
    made.open()
    clock.sleep_until_ns(2 * 10**9)
    made.put(frame(0), meta(0))
    assert encoder.synced.wait(LONG_S)
    for number in range(1, 20):
        finishes(functools.partial(_put_in_turn, made, encoder, number))
    encoder.go_on.set()
    assert made.close()
    assert (log.last.encoded, log.last.dropped) == (20, 0)


def _put_in_turn(made: FrameRecorder, encoder: FakeEncoder, number: int) -> None:
    assert made.put(frame(number), meta(number))
    while len(encoder.seen) <= number:
        SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.now_ns() + 100_000)


def test_a_sync_that_fails_is_a_fault(tmp_path: Path) -> None:
    class Failing(FakeEncoder):
        def sync(self) -> None:
            super().sync()
            raise DataError("Input/output error")

    encoder, clock, came = Failing(), ManualClock(10**9), threading.Event()
    made = recorder(
        tmp_path, FakeLog(), make_encoder=encoder.make, clock=clock, on_fault=lambda fault: came.set()
    )
    made.open()
    clock.sleep_until_ns(2 * 10**9)
    assert came.wait(LONG_S)
    assert not made.close()


def test_what_is_no_frame_of_the_video_is_refused(tmp_path: Path) -> None:
    made = recorder(tmp_path, FakeLog(), make_encoder=FakeEncoder().make)
    assert not made.close()
    made.open()
    with pytest.raises(UsageError, match=r"a frame of uint8 \(70, 50\) for a video of uint8 \(50, 70\)"):
        made.put(frame(0).T, meta(0))
    with pytest.raises(UsageError, match="a frame of uint16"):
        made.put(frame(0).astype(np.uint16), meta(0))  # type: ignore[arg-type]
    assert made.close()
    assert made.close()
    assert not made.put(frame(0), meta(0))


def test_a_video_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / VIDEO_NAME).write_bytes(b"precious")
    with pytest.raises(DataError, match="exists already"):
        VideoEncoder(tmp_path / VIDEO_NAME, 70, 50)
    with pytest.raises(DataError, match="cannot write"):
        VideoEncoder(tmp_path / "nowhere" / VIDEO_NAME, 70, 50)


def test_frames_at_the_same_millisecond_keep_their_order(tmp_path: Path) -> None:
    encoder = VideoEncoder(tmp_path / VIDEO_NAME, 70, 50, "ffv1")
    for number in range(20):
        encoder.write(frame(number), number // 4)
    encoder.close()
    wanted = [zlib.crc32(frame(number)) for number in range(20)]
    assert list(frame_checksums(tmp_path / VIDEO_NAME)) == wanted


@pytest.mark.parametrize("codec", ["lossless", "ffv1", "h264"])
def test_a_video_cut_off_anywhere_plays_up_to_there(tmp_path: Path, codec: Codec) -> None:
    encoder = VideoEncoder(tmp_path / VIDEO_NAME, 70, 50, codec)
    for number in range(200):
        encoder.write(frame(number), number * 5)
    encoder.close()
    whole = (tmp_path / VIDEO_NAME).read_bytes()
    all_frames = list(frame_checksums(tmp_path / VIDEO_NAME))
    assert len(all_frames) == 200
    with av.open(str(tmp_path / VIDEO_NAME)) as container:
        ends = [
            packet.pos + packet.size for packet in container.demux() if packet.pos is not None and packet.size
        ]
    cut = tmp_path / "cut.mkv"
    for size in np.linspace(ends[0] + 20, len(whole), 24).astype(int):
        cut.write_bytes(whole[:size])
        found = list(frame_checksums(cut))
        assert found == all_frames[: len(found)]
        assert abs(len(found) - sum(end <= size for end in ends)) <= 1, size


@pytest.mark.parametrize("codec", ["lossless", "ffv1", "h264"])
@pytest.mark.parametrize("rate_hz", [10, 30, 200, 1000])
def test_what_a_killed_process_leaves_lacks_a_third_of_a_second_at_most(
    tmp_path: Path, codec: Codec, rate_hz: int
) -> None:
    """What another process can read of the file while it is written is what outlives its writer."""
    encoder = VideoEncoder(tmp_path / VIDEO_NAME, 70, 50, codec)
    written = 3 * rate_hz
    still = np.zeros(SHAPE, np.uint8)
    for number in range(written):
        encoder.write(still, 1000 * number // rate_hz)
    assert count_frames(tmp_path / VIDEO_NAME) >= written - rate_hz / 3 - 2
    encoder.close()
    assert count_frames(tmp_path / VIDEO_NAME) == written
