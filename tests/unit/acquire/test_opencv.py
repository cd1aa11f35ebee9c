from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtface.acquire.opencv import OpencvCamera, list_opencv
from rtface.config import OpencvCameraSettings
from rtface.core.clock import ManualClock
from rtface.core.errors import CameraError, CameraLostError, CameraSettingError


class FakeCapture:
    """A webcam of 40x30 pixels that takes any size, but runs at no more than 60 frames per second."""

    made: list[FakeCapture]
    ready = True
    frames: list[Any]
    waits: list[int]

    def __init__(self, device: int | str, api: int) -> None:
        self.values = {
            cv2.CAP_PROP_FRAME_WIDTH: 40.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 30.0,
            cv2.CAP_PROP_FPS: 30.0,
        }
        self.released = False
        type(self).made.append(self)

    @classmethod
    def waitAny(cls, captures: list[Any], timeout_ns: int) -> tuple[bool, list[int]]:  # noqa: N802
        cls.waits.append(timeout_ns)
        return cls.ready, []

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def getBackendName(self) -> str:  # noqa: N802
        return "V4L2"

    def set(self, key: int, value: float) -> bool:
        self.values[key] = min(value, 60.0) if key == cv2.CAP_PROP_FPS else value
        return True

    def get(self, key: int) -> float:
        return self.values[key]

    def read(self) -> tuple[bool, Any]:
        frame = self.frames.pop(0)
        return frame is not None, frame

    def release(self) -> None:
        self.released = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    class Fresh(FakeCapture):
        made: list[FakeCapture] = []  # noqa: RUF012
        frames: list[Any] = []  # noqa: RUF012
        waits: list[int] = []  # noqa: RUF012

    monkeypatch.setattr(cv2, "VideoCapture", Fresh)
    return Fresh


def camera_for(**settings: object) -> OpencvCamera:
    return OpencvCamera(OpencvCameraSettings.model_validate({"kind": "opencv", **settings}), ManualClock(5))


def test_settings_are_made_and_read_back(fake: type[FakeCapture]) -> None:
    camera = camera_for(width=80, height=60, rate_hz=60)
    info = camera.open()
    assert (info.width, info.height, info.rate_hz, info.live, info.exposure_source) == (
        80,
        60,
        60,
        True,
        "arrival",
    )
    camera.close()
    assert fake.made[0].released


def test_a_setting_that_does_not_hold_is_an_error_and_gives_the_device_back(fake: type[FakeCapture]) -> None:
    camera = camera_for(rate_hz=100)
    with pytest.raises(CameraSettingError, match=r"rate_hz was set to 100 but reads back 60"):
        camera.open()
    assert fake.made[0].released


def test_colour_and_gray_frames_are_delivered_as_gray(fake: type[FakeCapture]) -> None:
    camera = camera_for()
    camera.open()
    camera.start()
    colour = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    gray = colour[..., 0].copy()
    fake.frames.extend([colour, gray])
    out = np.empty((30, 40), np.uint8)
    meta = camera.fill(out, 0.25)
    assert meta is not None
    assert (meta.frame_id, meta.exposure_ns, meta.arrival_ns) == (0, 5, 5)
    np.testing.assert_array_equal(out, cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))
    camera.fill(out, 0.25)
    np.testing.assert_array_equal(out, gray)
    assert fake.waits == [250_000_000] * 2
    camera.close()


def test_no_frame_in_time_is_none_and_nothing_is_read(fake: type[FakeCapture]) -> None:
    camera = camera_for()
    camera.open()
    camera.start()
    fake.ready = False
    assert camera.fill(np.empty((30, 40), np.uint8), 0.1) is None
    camera.close()


def test_a_device_that_stops_or_changes_its_size_is_lost(fake: type[FakeCapture]) -> None:
    camera = camera_for()
    camera.open()
    camera.start()
    out = np.empty((30, 40), np.uint8)
    fake.frames.extend([None, np.zeros((60, 40, 3), np.uint8)])
    with pytest.raises(CameraLostError, match="stopped"):
        camera.fill(out, 0.1)
    with pytest.raises(CameraLostError, match="40x60 pixels instead of 40x30"):
        camera.fill(out, 0.1)
    camera.stop()
    camera.close()


def test_a_missing_device_is_said_to_be_missing(capfd: pytest.CaptureFixture[str]) -> None:
    camera = camera_for(device="/dev/video-that-is-not-there")
    with pytest.raises(CameraError, match="/dev/video-that-is-not-there"):
        camera.open()
    camera.close()
    assert capfd.readouterr().err == ""


def test_devices_are_listed_by_number(tmp_path: Path) -> None:
    for name in ("video10", "video2", "videocodec", "null"):
        (tmp_path / name).touch()
    assert list_opencv(tmp_path) == [str(tmp_path / "video2"), str(tmp_path / "video10")]
