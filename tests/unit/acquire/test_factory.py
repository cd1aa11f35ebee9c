from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rtface.acquire.factory import make_camera, make_inside
from rtface.acquire.outside.passage import AVAILABLE
from rtface.config import (
    AravisCameraSettings,
    CameraSettings,
    GenicamCameraSettings,
    ImagesCameraSettings,
    OpencvCameraSettings,
    SimulatedCameraSettings,
    VideoCameraSettings,
)
from rtface.core.clock import ManualClock


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (SimulatedCameraSettings(), "SimulatedCamera"),
        (VideoCameraSettings(kind="video", path=Path("a.mp4")), "VideoCamera"),
        (ImagesCameraSettings(kind="images", path=Path("a")), "ImagesCamera"),
        (GenicamCameraSettings(kind="genicam"), "GenicamCamera"),
        (AravisCameraSettings(kind="aravis"), "AravisCamera"),
        (OpencvCameraSettings(kind="opencv"), "OpencvCamera"),
    ],
)
def test_each_kind_gets_its_camera(settings: CameraSettings, name: str) -> None:
    assert type(make_inside(settings)).__name__ == name
    vendors = settings.kind in ("genicam", "aravis", "opencv") and AVAILABLE
    assert type(make_camera(settings)).__name__ == ("OutsideCamera" if vendors else name)
    assert type(make_camera(settings, ManualClock(1))).__name__ == name, (
        "no other process could read this clock"
    )


def test_making_a_camera_loads_no_vendor_package() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from rtface.acquire.factory import make_camera, make_inside\n"
        "from rtface.config import VideoCameraSettings, GenicamCameraSettings\n"
        "make_camera(VideoCameraSettings(kind='video', path=Path('a.mp4')))\n"
        "make_camera(GenicamCameraSettings(kind='genicam'))\n"
        "make_inside(GenicamCameraSettings(kind='genicam'))\n"
        "print([name for name in ('av', 'cv2', 'harvesters', 'genicam', 'torch') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
