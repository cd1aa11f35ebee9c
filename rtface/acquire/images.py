"""A folder of images played as a camera."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.acquire.pacing import Advance, PlayedCamera, SourceFacts
from rtface.acquire.picturefile import SUFFIXES, depth_of, is_picture, page_count, read_page, to_8_bits
from rtface.config import ImagesCameraSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraError, CameraLostError, DataError
from rtface.core.files import printable
from rtface.core.records import Image

_LOOKED_AT = 16
"""Images, spread over the folder, that tell how many of 16 bits are in use."""


class ImagesCamera(PlayedCamera):
    """A camera (see `rtface.acquire.base.Camera`) that plays a folder of images; pace and losses as in `PlayedCamera`.

    The images are those with a suffix in `SUFFIXES`, in natural order of their names (``2.png`` before
    ``10.png``), hidden files left out; a TIFF of several pages is so many images. The values are those of
    ``cv2.cvtColor(cv2.imread(path), COLOR_BGR2GRAY)``; of 16 bits, the upper 8 of the 12, 14 or 16 that images spread
    over the folder use. One that uses more raises CameraLostError where it comes.
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
        self._pages: list[tuple[Path, int]] = []
        self._next = 0
        self._bits = 8
        self._held: tuple[Path, NDArray[np.uint8]] | None = None

    @property
    def label(self) -> str:
        return printable(str(self._folder))

    @property
    def camera_ns(self) -> int:
        return round((self._next - 1) * NS_PER_S / self._rate_hz)

    def open(self) -> SourceFacts:
        try:
            found = sorted(
                filter(is_picture, self._folder.iterdir()), key=lambda path: natural_key(path.name)
            )
            self._pages = [(path, page) for path in found for page in range(page_count(path))]
        except OSError as error:
            raise CameraError(
                f"the folder of images {self._folder} cannot be read: {error.strerror}"
            ) from error
        if not found:
            raise CameraError(f"{self._folder} holds no images ({', '.join(sorted(SUFFIXES))})")
        first = self._raw(0)
        if first is None:
            raise CameraError(f"{self._where(0)} cannot be read as an image")
        if first.dtype == np.uint16:
            spread = np.unique(np.linspace(0, len(self._pages) - 1, _LOOKED_AT).astype(int)).tolist()
            self._bits = depth_of(image for at in spread if (image := self._raw(at)) is not None)
        height, width = first.shape
        self.rewind()
        settings = {"bits": self._bits}
        return SourceFacts(
            width=width, height=height, rate_hz=self._rate_hz, frames=len(self._pages), settings=settings
        )

    def rewind(self) -> None:
        self._next = 0

    def read(self, out: Image) -> Advance:
        if self._next >= len(self._pages):
            return Advance.END
        where = self._where(self._next)
        raw = self._raw(self._next)
        if raw is None:
            raise CameraLostError(f"{where} cannot be read as an image")
        if raw.shape != out.shape:
            raise CameraLostError(
                f"{where} has {raw.shape[1]}x{raw.shape[0]} pixels, "
                f"the first image {out.shape[1]}x{out.shape[0]}; all must have one size"
            )
        if raw.dtype == np.uint16 and self._bits == 8:
            self._bits = 16
        try:
            np.copyto(out, to_8_bits(raw, self._bits, where))
        except DataError as error:
            raise CameraLostError(str(error)) from error
        self._next += 1
        return Advance.FRAME

    def skip(self) -> Advance:
        if self._next >= len(self._pages):
            return Advance.END
        self._next += 1
        return Advance.FRAME

    def close(self) -> None:
        self._pages, self._held = [], None

    def _where(self, at: int) -> str:
        path, page = self._pages[at]
        return f"{path}, page {page + 1}" if page else str(path)

    def _raw(self, at: int) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
        """Return an image of its own depth, or None if it is none; a stack's bytes are read once."""
        path, page = self._pages[at]
        try:
            if self._held is None or self._held[0] != path:
                self._held = path, np.fromfile(path, np.uint8)
        except OSError:
            return None
        return read_page(self._held[1], page)
