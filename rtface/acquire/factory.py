"""The camera that a configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from pydantic import TypeAdapter

from rtface.acquire.base import Camera
from rtface.acquire.outside.camera import OutsideCamera
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
from rtface.core.clock import SYSTEM_CLOCK, Clock

OUTSIDE = ("genicam", "aravis", "opencv")
"""Kinds whose driver is a vendor's: it runs in a process of its own, where the system has a way."""


def make_camera(settings: CameraSettings, clock: Clock = SYSTEM_CLOCK) -> Camera:
    """Make a camera, not yet open; a vendor's driver will run in a process of its own.

    Parameters
    ----------
    settings : CameraSettings
        The camera's section of the configuration.
    clock : Clock
        What the camera paces and stamps with. With another one than the system's, which another process could not read,
        every camera is in this process.
    """
    if settings.kind in OUTSIDE and AVAILABLE and clock is SYSTEM_CLOCK:
        return make_outside(settings)
    return make_inside(settings, clock)


def make_outside(settings: CameraSettings) -> OutsideCamera:
    """Make a camera that opens in a process of its own."""
    asked = {"settings": settings.model_dump(mode="json")}
    return OutsideCamera(settings.kind, f"{__name__}:{make_of_map.__name__}", asked)


def make_of_map(settings: Mapping[str, Any]) -> Camera:
    """Make a camera in this process from its settings as plain values."""
    checked: CameraSettings = TypeAdapter(CameraSettings).validate_python(settings)
    return make_inside(checked)


def make_inside(settings: CameraSettings, clock: Clock = SYSTEM_CLOCK) -> Camera:
    """Make a camera whose driver runs in this process; only the driver that is needed is loaded.

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
