from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.fakes import END, FakeBackend, FakeCamera, fake_engine

from rtface.acquire import sampling
from rtface.config import BackendSettings, ImagesCameraSettings
from rtface.core.errors import CameraLostError, DataError
from rtface.core.records import FloatArray, Image
from rtface.learn.labels.suggest import usable
from rtface.learn.labels.survey import Survey, read_frames, survey
from rtface.simulate.face import MouseFace
from rtface.track import pictures

RECORDING = ImagesCameraSettings(kind="images", path=Path("somewhere"))


class GrayBackend(FakeBackend):
    """Finds the point at the gray level of the frame, but far off in one frame."""

    def __init__(self, lost: int | None) -> None:
        super().__init__()
        self.lost = lost

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        super().infer(frame, levels)
        value = int(frame[0, 0])
        return np.array([[10.0 if value == self.lost else value / 100, 5.0, 0.5]], np.float32)


@pytest.fixture
def look_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    def look(camera: FakeCamera, *, limit: int = 600, lost: int | None = None) -> tuple[Survey, GrayBackend]:
        backend = GrayBackend(lost)
        monkeypatch.setattr(sampling, "make_camera", lambda settings: camera)
        monkeypatch.setattr(pictures, "make_backend", lambda engine, settings: backend)
        return survey(RECORDING, fake_engine(), BackendSettings(), limit=limit), backend

    return look


@pytest.mark.parametrize(("frames", "limit", "step"), [(10, 600, 1), (100, 30, 4), (120, 20, 8)])
def test_frames_are_evenly_spaced_and_no_more_than_the_limit(
    look_at: Any, frames: int, limit: int, step: int
) -> None:
    seen, _ = look_at(FakeCamera(*range(frames), END), limit=limit)
    assert seen.frame.tolist() == list(range(0, frames, step))
    assert seen.total == frames
    assert seen.damage is None
    assert seen.xy.shape == (len(seen), 1, 2)


def test_a_point_lost_for_one_frame_jumps_and_a_moving_one_does_not(look_at: Any) -> None:
    for limit in (600, 16):
        seen, _ = look_at(FakeCamera(*range(64), END), limit=limit, lost=32)
        row = seen.frame.tolist().index(32)
        assert seen.jump[row, 0] > 4
        others = np.delete(seen.jump[:, 0], [row - 1, row, row + 1])
        assert others.max() < 0.01


def test_frames_before_a_damage_are_used(look_at: Any) -> None:
    seen, _ = look_at(FakeCamera(0, 1, 2, CameraLostError("cut off after frame 2")))
    assert seen.frame.tolist() == [0, 1, 2]
    assert seen.damage == "cut off after frame 2"
    with pytest.raises(DataError, match="cut off at once"):
        look_at(FakeCamera(CameraLostError("cut off at once")))


def test_everything_is_closed_even_when_it_fails(look_at: Any) -> None:
    camera = FakeCamera(fails={"open": CameraLostError("gone")})
    with pytest.raises(CameraLostError, match="gone"):
        look_at(camera)
    assert camera.log[-1] == "camera.close"


def test_frames_are_read_again_by_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "make_camera", lambda settings: FakeCamera(*range(9), END))
    frames = read_frames(RECORDING, [7, 2])
    assert {number: int(frame[0, 0]) for number, frame in frames.items()} == {2: 2, 7: 7}
    with pytest.raises(DataError, match="no longer has frame 9"):
        read_frames(RECORDING, [2, 9])


def test_black_white_and_blurred_pictures_are_told_from_good_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(FakeBackend, "infer", lambda self, frame, levels: self.found)
    monkeypatch.setattr(pictures, "make_backend", lambda engine, settings: FakeBackend())
    random, face = np.random.default_rng(0), MouseFace(320, 240, 5.0, 3)
    image = np.zeros((240, 320), np.uint8)
    changes = {
        4: lambda frame: frame // 20,
        9: lambda frame: cv2.add(frame, 230),
        12: lambda frame: cv2.GaussianBlur(frame, (0, 0), 5),
        17: lambda frame: random.integers(0, 3, frame.shape).astype(np.uint8),
    }
    for index in range(30):
        face.render(index, image)
        changed = changes.get(index, np.copy)(image)
        cv2.imwrite(str(tmp_path / f"{index}.png"), changed)
    recording = ImagesCameraSettings(kind="images", path=tmp_path)
    seen = survey(recording, fake_engine(), BackendSettings())
    assert np.flatnonzero(~usable(seen)).tolist() == sorted(changes)
