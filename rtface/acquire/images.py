"""A folder of images played as a camera."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rtface.acquire.pacing import Advance, PlayedCamera, SourceFacts
from rtface.config import ImagesCameraSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraError, CameraLostError
from rtface.core.records import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})


class ImagesCamera(PlayedCamera):
    """A camera (see `rtface.acquire.base.Camera`) that plays a folder of images; pace and losses as in `PlayedCamera`.

    The images are those with a suffix in `SUFFIXES`, in natural order of their names (``2.png`` before
    ``10.png``). The values are those of ``cv2.cvtColor(cv2.imread(path), COLOR_BGR2GRAY)``; 16 bits become the upper 8.
    An image that cannot be read, or that has another size than the first, raises CameraError when it is the
    first, else CameraLostError where it comes; both name the file. Image n is of the time ``n / rate_hz``.

    Parameters
    ----------
    settings : ImagesCameraSettings
        Which folder, and how to play it.
    clock : Clock
        What paces and stamps.
    """

    def __init__(self, settings: ImagesCameraSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(settings, _ImagesSource(settings.path, settings.rate_hz), clock)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that orders the numbers within names by value."""
    return [
        (0, int(part), part) if part.isdigit() else (1, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", name)
    ]


class _ImagesSource:
    """The images of a folder."""

    def __init__(self, folder: Path, rate_hz: float) -> None:
        self._folder = folder
        self._rate_hz = rate_hz
        self._paths: list[Path] = []
        self._next = 0

    @property
    def label(self) -> str:
        return str(self._folder)

    @property
    def camera_ns(self) -> int:
        return round((self._next - 1) * NS_PER_S / self._rate_hz)

    def open(self) -> SourceFacts:
        try:
            found = [path for path in self._folder.iterdir() if path.suffix.lower() in SUFFIXES]
        except OSError as error:
            raise CameraError(
                f"the folder of images {self._folder} cannot be read: {error.strerror}"
            ) from error
        if not found:
            raise CameraError(f"{self._folder} holds no images ({', '.join(sorted(SUFFIXES))})")
        self._paths = sorted(found, key=lambda path: natural_key(path.name))
        first = _load(self._paths[0])
        if first is None:
            raise CameraError(f"{self._paths[0]} cannot be read as an image")
        height, width = first.shape
        self.rewind()
        return SourceFacts(width=width, height=height, rate_hz=self._rate_hz, frames=len(self._paths))

    def rewind(self) -> None:
        self._next = 0

    def read(self, out: Image) -> Advance:
        if self._next >= len(self._paths):
            return Advance.END
        path = self._paths[self._next]
        image = _load(path)
        if image is None:
            raise CameraLostError(f"{path} cannot be read as an image")
        if image.shape != out.shape:
            raise CameraLostError(
                f"{path} has {image.shape[1]}x{image.shape[0]} pixels, "
                f"the first image {out.shape[1]}x{out.shape[0]}; all must have one size"
            )
        np.copyto(out, image)
        self._next += 1
        return Advance.FRAME

    def skip(self) -> Advance:
        if self._next >= len(self._paths):
            return Advance.END
        self._next += 1
        return Advance.FRAME

    def close(self) -> None:
        self._paths = []


def _load(path: Path) -> Image | None:
    """Return the image as gray of shape (height, width), or None if it is none."""
    import cv2

    try:
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
