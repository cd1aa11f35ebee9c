"""Answers that the check of a rig and the self-test before arming share."""

from __future__ import annotations

from rtface.config import OutputSettings
from rtface.core.check import Check
from rtface.core.outputs import OutputInfo
from rtface.core.records import CameraInfo


def camera_in_words(camera: CameraInfo) -> str:
    """Return what a camera is, and the settings that were read back."""
    read = ", ".join(f"{name} {value}" for name, value in camera.settings.items()) or "no settings"
    return f"{camera.kind} {camera.label}, {camera.width}x{camera.height}; read back: {read}"


def guard(output: OutputInfo, settings: OutputSettings) -> list[Check]:
    """Return whether a fault of this computer can leave the light on; nothing where a device prevents it."""
    if output.guarded:
        return []
    if getattr(settings, "allow_unguarded", False):
        return [
            Check(
                "guard", "warn", f"{output.label} has no dead-man of its own; the configuration allows that"
            )
        ]
    return [
        Check(
            "guard",
            "fail",
            f"{output.label} has no dead-man of its own: were this computer to hang, its light would stay on",
            "use the safety gate, or set output.allow_unguarded: true",
        )
    ]
