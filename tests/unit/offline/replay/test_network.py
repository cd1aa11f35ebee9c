"""The network replayed on the recorded frames: the same bits from exact frames, shifts from others, differences named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from support.recorded_loop import setup

from rtface.acquire.factory import make_camera
from rtface.config import BackendSettings, SessionSettings, SimulatedCameraSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.errors import DataError, UsageError
from rtface.core.records import Crop, Pose
from rtface.decide.rules import RulesFile
from rtface.offline.replay.network import replay_network
from rtface.record.session import VIDEO_NAME
from rtface.record.session.recorder import SessionRecorder
from rtface.track.backends.factory import make_backend
from rtface.track.store import Engine, load_engine
from rtface.track.tracker import Tracker

FRAMES = 40
BACKEND = BackendSettings(name="openvino", threads=1)
CROPS = {0: Crop(0, 0, 320, 240), 25: Crop(40, 20, 200, 200)}
Codec = Literal["none", "h264", "lossless", "ffv1"]


@pytest.fixture
def engine(test_engine: str) -> Engine:
    return load_engine(test_engine)


def record(root: Path, engine: Engine, codec: Codec, *, nudge: int | None = None, sha256: str = "") -> Path:
    """Track a simulated mouse, with another crop from frame 25 on, and record it; `nudge` moves a point of a frame."""
    camera = make_camera(
        SimulatedCameraSettings(width=320, height=240, paced=False, frames=FRAMES), SYSTEM_CLOCK
    )
    camera.open()
    tracker = Tracker(engine, make_backend(engine, BACKEND), SYSTEM_CLOCK)
    backend = tracker.open()
    facts = dataclasses.replace(
        setup(RulesFile(), width=320, height=240),
        keypoints=engine.manifest.skeleton,
        backend=backend.as_dict(),
        crop=CROPS[0],
        sha256={"engine": sha256 or engine.sha256},
    )
    recorder = SessionRecorder(SessionSettings(folder=root, frames=codec, min_free_gb=0), "n", facts)
    recorder.open()
    camera.start()
    image = np.empty((240, 320), np.uint8)
    for number in range(FRAMES):
        if (crop := CROPS.get(number)) is not None:
            tracker.prepare(image.shape, crop)
            recorder.network("fake", backend.as_dict(), crop)
        meta = camera.fill(image, 1.0)
        assert meta is not None
        pose: Pose = tracker.track(image, meta, SYSTEM_CLOCK.now_ns())
        recorder.frame(image, meta)
        if number == nudge:
            pose.xy[3, 1] = np.nextafter(pose.xy[3, 1], np.float32(1e9))
        if number != 7:
            recorder.pose(pose)
    camera.stop()
    camera.close()
    tracker.close()
    assert recorder.close()
    return recorder.folder


@pytest.mark.parametrize("codec", ["lossless", "ffv1"])
def test_exact_frames_give_the_same_poses_bit_for_bit(tmp_path: Path, engine: Engine, codec: Codec) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> bool:
        told.append((done, total))
        return True

    report = replay_network(record(tmp_path, engine, codec), engine, BACKEND, progress=progress)
    assert report.identical, report.first
    assert (report.frames, report.identical_frames, report.without_pose) == (FRAMES - 1, FRAMES - 1, 1)
    assert (report.altered, report.without_frame, report.exact) == (0, 0, True)
    assert report.shift_px == (0.0, 0.0, 0.0)
    assert report.remarks == ()
    assert told[-1] == (FRAMES, FRAMES)


def test_a_keypoint_that_is_not_the_network_s_is_named(tmp_path: Path, engine: Engine) -> None:
    report = replay_network(record(tmp_path, engine, "lossless", nudge=11), engine, BACKEND)
    assert not report.identical
    assert report.identical_frames == FRAMES - 2
    first = report.first
    assert first is not None
    assert (first.keypoint, first.field) == (engine.manifest.skeleton[3].name, "xy")
    assert f"frame {first.frame_id}: xy of {first.keypoint} was" in first.in_words()
    assert report.shift_px is not None
    assert 0 < report.shift_px[2] < 0.001


def test_frames_that_are_not_exact_are_told_by_how_far_the_keypoints_shift(
    tmp_path: Path, engine: Engine
) -> None:
    report = replay_network(record(tmp_path, engine, "h264"), engine, BACKEND)
    assert not report.exact
    assert report.altered == 0
    assert report.frames == FRAMES - 1
    assert report.shift_px is not None
    assert report.shift_px[0] <= report.shift_px[1] <= report.shift_px[2]
    assert report.shift_px[2] > 0


def test_a_video_that_was_cut_off_is_replayed_as_far_as_it_goes(tmp_path: Path, engine: Engine) -> None:
    folder = record(tmp_path, engine, "ffv1")
    video = (folder / VIDEO_NAME).read_bytes()
    (folder / VIDEO_NAME).write_bytes(video[: len(video) // 2])
    report = replay_network(folder, engine, BACKEND)
    assert report.identical
    assert 10 < report.frames < FRAMES - 5
    assert "the video ends before frame" in report.remarks[0]
    assert report.frames + report.without_frame == FRAMES - 1


def test_another_video_and_another_engine_are_told(tmp_path: Path, engine: Engine) -> None:
    folder = record(tmp_path / "a", engine, "lossless", sha256="0" * 64)
    other = record(tmp_path / "b", engine, "h264")
    (folder / VIDEO_NAME).write_bytes((other / VIDEO_NAME).read_bytes())
    report = replay_network(folder, engine, BACKEND)
    assert not report.identical
    assert report.altered > 0
    assert report.remarks == ("the engine is another one than the session was run with (test-engine)",)


def test_what_has_no_frames_or_other_keypoints_is_refused(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(UsageError, match="no recorded frames"):
        replay_network(record(tmp_path / "a", engine, "none"), engine, BACKEND)
    manifest = engine.manifest.model_copy(update={"keypoints": tuple(reversed(engine.manifest.keypoints))})
    with pytest.raises(DataError, match="finds other keypoints"):
        replay_network(
            record(tmp_path / "b", engine, "ffv1"), dataclasses.replace(engine, manifest=manifest), BACKEND
        )
