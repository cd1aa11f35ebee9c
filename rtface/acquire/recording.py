"""From the path of a recording to the camera that plays it."""

from __future__ import annotations

from pathlib import Path

from rtface.config import ImagesCameraSettings, VideoCameraSettings
from rtface.core.errors import DataError

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mj2", ".mpg", ".mpeg", ".webm", ".wmv"})


def is_video(path: Path) -> bool:
    """Return whether a file's name is a video's; hidden files are none."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def source_settings(source: Path) -> VideoCameraSettings | ImagesCameraSettings:
    """Return the camera that plays a file or a folder of images as fast as it is read.

    Raises
    ------
    DataError
        There is nothing at that path.
    """
    if source.is_dir():
        return ImagesCameraSettings(kind="images", path=source)
    if not source.is_file():
        raise DataError(f"{source}: no such file or folder")
    return VideoCameraSettings(kind="video", path=source, paced=False)
