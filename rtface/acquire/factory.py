"""The camera that a configuration asks for."""

from __future__ import annotations

from typing import assert_never

from rtface.acquire.base import Camera
from rtface.config import (
    AravisCameraSettings,
    CameraSettings,
    GenicamCameraSettings,
    ImagesCameraSettings,
    OpencvCameraSettings,
    SimulatedCameraSettings,
    VideoCameraSettings,
)
from rtface.core.clock import SYSTEM_CLOCK, Clock


def make_camera(settings: CameraSettings, clock: Clock = SYSTEM_CLOCK) -> Camera:
    """Make a camera, not yet open; only the driver that is needed is loaded.

    Parameters
    ----------
    settings : CameraSettings
        The camera's section of the configuration.
    clock : Clock
        What the camera paces and stamps with.
    """
    match settings:
        case SimulatedCameraSettings():
            from rtface.acquire.simulated import SimulatedCamera

            return SimulatedCamera(settings, clock)
        case VideoCameraSettings():
            from rtface.acquire.video import VideoCamera

            return VideoCamera(settings, clock)
        case ImagesCameraSettings():
            from rtface.acquire.images import ImagesCamera

            return ImagesCamera(settings, clock)
        case GenicamCameraSettings():
            from rtface.acquire.genicam.camera import GenicamCamera

            return GenicamCamera(settings, clock)
        case AravisCameraSettings():
            from rtface.acquire.aravis.camera import AravisCamera

            return AravisCamera(settings, clock)
        case OpencvCameraSettings():
            from rtface.acquire.opencv import OpencvCamera

            return OpencvCamera(settings, clock)
    assert_never(settings)
