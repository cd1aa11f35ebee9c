from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.fakes import END, FakeCamera

from rtface.acquire import sampling as footage
from rtface.acquire.sampling import evenly_spaced, rig_frames
from rtface.config import ImagesCameraSettings, OpencvCameraSettings
from rtface.core.errors import CameraLostError, DataError, UsageError
from rtface.core.records import TriggerInfo

RECORDING = ImagesCameraSettings(kind="images", path=Path("somewhere"))


def read(monkeypatch: pytest.MonkeyPatch, camera: FakeCamera, count: int) -> list[int]:
    monkeypatch.setattr(footage, "make_camera", lambda settings: camera)
    frames = evenly_spaced(RECORDING, count)
    assert all(int(image[0, 0]) == number for number, image in frames.items()), "each is its own picture"
    return list(frames)


@pytest.mark.parametrize(("frames", "count", "step"), [(10, 20, 1), (100, 30, 4), (120, 20, 8), (5, 1, 8)])
def test_frames_are_evenly_spaced_and_no_more_than_asked_for(
    monkeypatch: pytest.MonkeyPatch, frames: int, count: int, step: int
) -> None:
    assert read(monkeypatch, FakeCamera(*range(frames), END), count) == list(range(0, frames, step))


def test_an_empty_or_damaged_recording_is_refused_and_the_camera_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty, damaged = FakeCamera(END), FakeCamera(0, 1, CameraLostError("broken"))
    with pytest.raises(DataError, match="no frames"):
        read(monkeypatch, empty, 3)
    with pytest.raises(CameraLostError, match="broken"):
        read(monkeypatch, damaged, 3)
    assert "camera.close" in empty.log
    assert "camera.close" in damaged.log
    with pytest.raises(UsageError, match="1 or more, not 0"):
        evenly_spaced(RECORDING, 0)


@pytest.mark.parametrize(
    ("trigger", "said"), [(None, "for 10 s$"), (TriggerInfo("Line0", 40.0, 600.0), "give some")]
)
def test_a_camera_that_delivers_nothing_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, trigger: TriggerInfo | None, said: str
) -> None:
    camera = FakeCamera(0, 1, live=True)
    camera._info = replace(camera._info, trigger=trigger)
    monkeypatch.setattr(footage, "make_camera", lambda settings: camera)
    with pytest.raises(CameraLostError, match=said):
        rig_frames(OpencvCameraSettings(kind="opencv"), 5)
    assert "camera.close" in camera.log
