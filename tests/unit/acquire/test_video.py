from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import pytest

from rtface.acquire.base import EndOfStream
from rtface.acquire.lifecycle import DRIVER_BUFFERS
from rtface.acquire.video import VideoCamera
from rtface.config import VideoCameraSettings
from rtface.core.clock import ManualClock
from rtface.core.errors import CameraError, CameraLostError
from rtface.core.records import FrameMeta, Image

WIDTH, HEIGHT, FRAMES = 96, 64, 60
MS = 1_000_000


def encode(path: Path, codec: str = "libx264", pixels: str = "yuv420p", **options: str) -> Path:
    """Write `FRAMES` frames of noise at 50 per second; frame n is the first rolled by n pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    container_options = {"movflags": options.pop("movflags")} if "movflags" in options else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = cast("av.VideoStream", container.add_stream(codec, rate=50))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.options = dict(options)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, number, 1), format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def packets(path: Path) -> list[tuple[int, int]]:
    """Return where each packet lies in the file, and its size."""
    with av.open(str(path)) as container:
        return [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]


def camera_for(path: Path, clock: ManualClock | None = None, **settings: object) -> VideoCamera:
    merged = {"kind": "video", "path": path, "paced": False, **settings}
    return VideoCamera(VideoCameraSettings.model_validate(merged), clock or ManualClock(1))


def play(camera: VideoCamera) -> tuple[list[FrameMeta], list[Image], Exception]:
    """Read until the camera raises; return what came before, and what it raised."""
    info = camera.open()
    camera.start()
    metas, images = [], []
    try:
        while True:
            out = np.empty((info.height, info.width), np.uint8)
            meta = camera.fill(out, 1.0)
            assert meta is not None
            metas.append(meta)
            images.append(out)
    except (EndOfStream, CameraError) as end:
        return metas, images, end
    finally:
        camera.close()


def opencv_gray(path: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(path))
    images = []
    while (read := capture.read())[0]:
        images.append(np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY), np.uint8))
    capture.release()
    return images


@pytest.mark.parametrize(
    ("codec", "pixels", "suffix"),
    [
        ("libx264", "yuv420p", "mp4"),
        ("libx264", "yuvj420p", "mp4"),
        ("mjpeg", "yuvj420p", "avi"),
        ("ffv1", "gray", "mkv"),
        ("ffv1", "bgr0", "mkv"),
    ],
)
def test_every_frame_comes_once_with_the_values_that_opencv_reads(
    tmp_path: Path, codec: str, pixels: str, suffix: str
) -> None:
    path = encode(tmp_path / f"v.{suffix}", codec, pixels)
    metas, images, end = play(camera_for(path))
    assert isinstance(end, EndOfStream)
    assert [meta.frame_id for meta in metas] == list(range(FRAMES))
    assert [meta.camera_ns for meta in metas] == [number * 20 * MS for number in range(FRAMES)]
    np.testing.assert_array_equal(images, opencv_gray(path))


def test_a_file_whose_time_stamps_begin_elsewhere_has_its_first_frame_at_0(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.ts")
    with av.open(str(path)) as container:
        assert container.streams.video[0].start_time
    metas, _, _ = play(camera_for(path))
    times = np.array([meta.camera_ns for meta in metas])
    np.testing.assert_allclose(times, np.arange(len(metas)) * 20 * MS, atol=20_000)  # ticks of 1/90000 s
    assert times[0] == 0


def test_a_real_recording_is_read_whole_and_as_opencv_reads_it(shared_data: Path) -> None:
    path = shared_data / "mouse_face_pupil_video" / "sample_video.mp4"
    camera = camera_for(path)
    info = camera.open()
    assert (info.width, info.height, info.frames, info.rate_hz, info.live) == (800, 480, 749, 25.0, False)
    camera.start()
    out = np.empty((480, 800), np.uint8)
    capture = cv2.VideoCapture(str(path))
    for number in range(749):
        meta = camera.fill(out, 1.0)
        assert meta is not None
        assert meta.frame_id == number
        _, frame = capture.read()
        if number % 20 == 0:
            np.testing.assert_array_equal(out, cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
    with pytest.raises(EndOfStream):
        camera.fill(out, 1.0)
    camera.close()
    capture.release()


def test_paced_frames_are_exposed_at_absolute_times(tmp_path: Path) -> None:
    clock = ManualClock(1000)
    camera = camera_for(encode(tmp_path / "v.mp4"), clock, paced=True)
    assert camera.open().live
    camera.start()
    out = np.empty((HEIGHT, WIDTH), np.uint8)
    for number in range(5):
        meta = camera.fill(out, 1.0)
        assert meta is not None
        assert meta.exposure_ns == meta.arrival_ns == 1000 + number * 20 * MS
        assert meta.camera_ns == number * 20 * MS
    clock.sleep_until_ns(1000 + 105 * MS)
    late = camera.fill(out, 1.0)
    assert late == FrameMeta(5, 1000 + 100 * MS, 1000 + 105 * MS, 100 * MS)
    on_time = camera.fill(out, 1.0)
    assert on_time == FrameMeta(6, 1000 + 120 * MS, 1000 + 120 * MS, 120 * MS)
    camera.close()


def test_another_rate_replaces_the_files_own(tmp_path: Path) -> None:
    clock = ManualClock(0)
    camera = camera_for(encode(tmp_path / "v.mp4"), clock, paced=True, rate_hz=1000)
    assert camera.open().rate_hz == 1000
    camera.start()
    out = np.empty((HEIGHT, WIDTH), np.uint8)
    assert [camera.fill(out, 1.0).exposure_ns for _ in range(3)] == [0, MS, 2 * MS]  # type: ignore[union-attr]
    camera.close()


def test_a_late_reader_finds_the_newest_frames_and_the_rest_counted(tmp_path: Path) -> None:
    clock = ManualClock(0)
    path = encode(tmp_path / "v.mp4")
    _, images, _ = play(camera_for(path))
    camera = camera_for(path, clock, paced=True)
    camera.open()
    camera.start()
    out = np.empty((HEIGHT, WIDTH), np.uint8)
    camera.fill(out, 1.0)
    clock.sleep_until_ns(20 * 20 * MS)
    numbers = []
    for _ in range(DRIVER_BUFFERS + 1):
        meta = camera.fill(out, 1.0)
        assert meta is not None
        numbers.append(meta.frame_id)
        np.testing.assert_array_equal(out, images[meta.frame_id])
    assert numbers == [17, 18, 19, 20, 21]
    assert camera.lost_in_transport == 16
    camera.close()


def test_a_schedule_that_cannot_be_caught_up_in_time_is_moved(tmp_path: Path) -> None:
    clock = ManualClock(0)
    camera = camera_for(encode(tmp_path / "v.mp4"), clock, paced=True)
    camera.open()
    camera.start()
    out = np.empty((HEIGHT, WIDTH), np.uint8)
    clock.sleep_until_ns(5000 * MS)
    assert camera.fill(out, 0.0) == FrameMeta(0, 5000 * MS, 5000 * MS, 0)
    assert camera.fill(out, 1.0) == FrameMeta(1, 5020 * MS, 5020 * MS, 20 * MS)
    assert camera.lost_in_transport == 0
    camera.close()


@pytest.mark.parametrize("busy_ms", [[0], [500], [5000], [0, 130, 0, 400]])
def test_what_came_and_what_was_lost_add_up_to_all(tmp_path: Path, busy_ms: list[int]) -> None:
    """The reader is late before its first frame, between frames, or until after the last."""
    clock = ManualClock(0)
    camera = camera_for(encode(tmp_path / "v.mp4"), clock, paced=True)
    camera.open()
    camera.start()
    out = np.empty((HEIGHT, WIDTH), np.uint8)
    delivered = 0
    with contextlib.suppress(EndOfStream):
        for busy in itertools.cycle(busy_ms):
            clock.sleep_until_ns(clock.now_ns() + busy * MS)
            delivered += camera.fill(out, 1.0) is not None
    assert delivered + camera.lost_in_transport == FRAMES
    assert (camera.lost_in_transport > 0) == (busy_ms != [0])
    camera.close()


def test_looping_counts_on_and_has_no_end(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mp4")
    _, images, _ = play(camera_for(path))
    camera = camera_for(path, loop=True)
    assert camera.open().frames is None
    camera.start()
    out = np.empty((HEIGHT, WIDTH), np.uint8)
    for number in range(2 * FRAMES + 3):
        meta = camera.fill(out, 1.0)
        assert meta is not None
        assert meta.frame_id == number
        assert meta.camera_ns == number % FRAMES * 20 * MS
        np.testing.assert_array_equal(out, images[number % FRAMES])
    camera.close()


def test_a_file_that_cannot_be_played_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    headless = tmp_path / "headless.mp4"
    whole = encode(tmp_path / "whole.mp4")
    headless.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    for path in (tmp_path / "absent.mp4", text, sound, headless):
        camera = camera_for(path)
        with pytest.raises(CameraError, match=path.name):
            camera.open()
        camera.close()


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "movflags"),
    [
        ("v.mp4", "mpeg4", "yuv420p", "faststart"),
        ("h.mp4", "libx264", "yuv420p", "faststart"),
        ("v.avi", "mjpeg", "yuvj420p", None),
        ("v.mkv", "ffv1", "gray", None),
    ],
)
def test_a_cut_off_file_never_looks_complete(
    tmp_path: Path, name: str, codec: str, pixels: str, movflags: str | None
) -> None:
    path = encode(tmp_path / name, codec, pixels, **({"movflags": movflags} if movflags else {}))
    _, whole, _ = play(camera_for(path))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    _, images, end = play(camera_for(path))
    assert isinstance(end, CameraLostError)
    assert name in str(end)
    assert str(len(images) - 1) in str(end) or str(len(images)) in str(end)
    assert 0 < len(images) < FRAMES
    np.testing.assert_array_equal(images, whole[: len(images)])


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("intra.mp4", "libx264", "yuv420p", {"g": "1"}),
        ("v.avi", "mjpeg", "yuvj420p", {}),
        ("p.mp4", "libx264", "yuv420p", {"bf": "0"}),
        ("m.mp4", "mpeg4", "yuv420p", {"movflags": "faststart"}),
    ],
)
def test_all_frames_before_the_damage_come_and_then_an_error_that_names_it(
    tmp_path: Path, name: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    path = encode(tmp_path / name, codec, pixels, **options)
    _, whole, _ = play(camera_for(path))
    position, size = packets(path)[30]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    metas, images, end = play(camera_for(path))
    assert isinstance(end, CameraLostError)
    assert name in str(end)
    assert "frame 30" in str(end)
    assert [meta.frame_id for meta in metas] == list(range(30))
    np.testing.assert_array_equal(images, whole[:30])


@pytest.mark.parametrize("paced", [False, True])
def test_looking_for_the_last_good_frame_keeps_to_the_time_limit(tmp_path: Path, paced: bool) -> None:
    path = encode(tmp_path / "p.mp4", bf="0")
    _, whole, _ = play(camera_for(path))
    position, size = packets(path)[30]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    clock = ManualClock(0)
    camera = camera_for(path, clock, paced=paced)
    camera.open()
    camera.start()
    images: list[Image] = []
    given_up = 0
    lost: CameraLostError | None = None
    while lost is None:
        out = np.empty((HEIGHT, WIDTH), np.uint8)
        clock.sleep_until_ns(clock.now_ns() + 20 * MS)
        try:
            if camera.fill(out, 0.0) is None:
                given_up += 1
            else:
                images.append(out)
        except CameraLostError as error:
            lost = error
    assert "frame 30" in str(lost)
    assert given_up >= 10
    np.testing.assert_array_equal(images, whole[:30])
    assert camera.lost_in_transport == 0
    camera.close()


def test_reordered_frames_that_precede_the_damage_come_too(tmp_path: Path) -> None:
    path = encode(tmp_path / "b.mp4", bf="2", g="250", b_strategy="0")
    with av.open(str(path)) as container:
        stamps = [
            (packet.pos or 0, packet.size, packet.pts or 0)
            for packet in container.demux(video=0)
            if packet.size
        ]
    _, whole, _ = play(camera_for(path))
    position, size, pts = stamps[30]
    expected = sum(other < pts for _, _, other in stamps[:30])
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    _, images, end = play(camera_for(path))
    assert isinstance(end, CameraLostError)
    assert len(images) == expected
    np.testing.assert_array_equal(images, whole[:expected])


def test_a_picture_that_the_decoder_had_to_make_up_is_damage(tmp_path: Path) -> None:
    path = encode(tmp_path / "m.mp4", "mpeg4", movflags="faststart")
    _, whole, _ = play(camera_for(path))
    position, size = packets(path)[30]
    data = bytearray(path.read_bytes())
    garbage = np.random.default_rng(1).integers(0, 256, size - 20).astype(np.uint8)
    data[position + 8 : position + size - 12] = garbage.tobytes()
    path.write_bytes(data)
    _, images, end = play(camera_for(path))
    assert isinstance(end, CameraLostError)
    assert "frame 30" in str(end)
    np.testing.assert_array_equal(images, whole[:30])


@pytest.mark.parametrize("loop", [False, True])
def test_a_damaged_source_stays_lost(tmp_path: Path, loop: bool) -> None:
    path = encode(tmp_path / "v.avi", "mjpeg", "yuvj420p")
    position, size = packets(path)[2]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    camera = camera_for(path, loop=loop)
    info = camera.open()
    camera.start()
    out = np.empty((info.height, info.width), np.uint8)
    assert camera.fill(out, 1.0)
    assert camera.fill(out, 1.0)
    for _ in range(3):
        with pytest.raises(CameraLostError, match="frame 2 of 60"):
            camera.fill(out, 1.0)
    camera.close()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_video_tagged_as_turned_is_played_as_opencv_shows_it(tmp_path: Path, degrees: int) -> None:
    path = turned(encode(tmp_path / "plain.mp4"), tmp_path / "turned.mp4", degrees)
    capture = cv2.VideoCapture(str(path))
    wanted = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY) for _ in range(3)]
    _, images, _ = play(camera_for(path))
    assert len(images) == FRAMES
    for got, want in zip(images, wanted, strict=False):
        np.testing.assert_array_equal(got, want)


def turned(plain: Path, path: Path, degrees: int) -> Path:
    """Write the file with another matrix in the header of its track: it is to be shown turned."""
    data = bytearray(plain.read_bytes())
    one = (1 << 16).to_bytes(4, "big")
    minus, zero = (-(1 << 16)).to_bytes(4, "big", signed=True), bytes(4)
    plainly = one + zero + zero + zero + one
    at = data.index(plainly, data.index(b"tkhd"))
    a, b, c, d = {
        90: (zero, one, minus, zero),
        180: (minus, zero, zero, minus),
        270: (zero, minus, one, zero),
    }[degrees]
    data[at : at + 20] = a + b + zero + c + d
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("lost", [1, 2])
def test_a_matroska_file_that_lacks_its_last_frames_is_named(tmp_path: Path, lost: int) -> None:
    whole = encode(tmp_path / "whole.mkv", "mjpeg", "yuvj420p")
    at, _ = packets(whole)[-lost]
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: at - 20])
    _, images, error = play(camera_for(cut))
    assert FRAMES - lost - 1 <= len(images) <= FRAMES - lost
    assert isinstance(error, CameraLostError)
    assert str(cut) in str(error)
    _, images, error = play(camera_for(whole))
    assert len(images) == FRAMES
    assert isinstance(error, EndOfStream)


KINDS = pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("h.mp4", "libx264", "yuv420p", {"movflags": "faststart", "bf": "0"}),
        ("m.mp4", "mpeg4", "yuv420p", {"movflags": "faststart"}),
        ("fragments.mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov", "bf": "0"}),
        ("v.avi", "mjpeg", "yuvj420p", {}),
        ("h.avi", "libx264", "yuv420p", {"bf": "0"}),
    ],
)


@KINDS
@pytest.mark.parametrize("half", [False, True])
def test_a_file_that_ends_before_or_within_its_last_frame_is_named(
    tmp_path: Path, name: str, codec: str, pixels: str, options: dict[str, str], half: bool
) -> None:
    path = encode(tmp_path / name, codec, pixels, **options)
    _, whole, end = play(camera_for(path))
    assert isinstance(end, EndOfStream)
    at, size = packets(path)[-1]
    path.write_bytes(path.read_bytes()[: at + half * size // 2])
    _, images, end = play(camera_for(path))
    assert isinstance(end, CameraLostError)
    assert str(path) in str(end)
    assert str(FRAMES - 1) in str(end) or f"after frame {FRAMES - 2}" in str(end)
    np.testing.assert_array_equal(images, whole[:-1])


@KINDS
def test_a_last_frame_that_the_decoder_passes_over_in_silence_is_named(
    tmp_path: Path, name: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    """The file has its whole length and states all frames; where the last one was, a crash left zeros."""
    path = encode(tmp_path / name, codec, pixels, **options)
    _, whole, _ = play(camera_for(path))
    at, size = packets(path)[-1]
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    _, images, end = play(camera_for(path))
    assert isinstance(end, CameraLostError)
    assert str(path) in str(end)
    np.testing.assert_array_equal(images, whole[:-1])


@pytest.mark.parametrize("name", ["b.mp4", "b.avi"])
def test_frames_that_are_stored_out_of_order_are_not_missed_at_the_end(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name, bf="3", b_strategy="0")
    _, images, end = play(camera_for(path))
    assert isinstance(end, EndOfStream)
    assert len(images) == FRAMES
