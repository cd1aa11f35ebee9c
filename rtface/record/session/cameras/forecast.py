"""How much the video of a session may write, and how long the room lasts: said before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from rtface.config import SessionSettings
from rtface.core.records import CameraInfo

_MB, _GB = 1e6, 1e9
_SHORT_H = 1.0


@dataclass(frozen=True)
class VideoForecast:
    """What frames of all cameras take before they are compressed: the most that a video writes.

    Attributes
    ----------
    rates : mapping of str to float
        Bytes a second by camera; of one whose frame rate is not known none is there.
    unknown : tuple of str
        Cameras whose frame rate is not known.
    room : int
        Bytes that there are for it.
    """

    rates: Mapping[str, float]
    unknown: tuple[str, ...]
    room: int

    @classmethod
    def of(cls, cameras: Mapping[str, CameraInfo], room: int) -> VideoForecast:
        """Return the forecast for open cameras, with so many bytes of room."""
        rates = {
            name: each.width * each.height * each.rate_hz for name, each in cameras.items() if each.rate_hz
        }
        return cls(rates, tuple(name for name in cameras if name not in rates), max(0, room))

    @classmethod
    def room_in(cls, settings: SessionSettings, cameras: Mapping[str, CameraInfo]) -> VideoForecast | None:
        """Return the forecast for a session's folder; None where that is not there yet, and nothing is known of its room."""
        try:
            free = shutil.disk_usage(settings.folder).free
        except OSError:
            return None
        return cls.of(cameras, free - round(settings.min_free_gb * _GB))

    @property
    def short(self) -> bool:
        """Whether the room may not last an hour."""
        return self.hours < _SHORT_H

    @property
    def bytes_per_s(self) -> float:
        """Of all cameras whose rate is known."""
        return sum(self.rates.values())

    @property
    def hours(self) -> float:
        """How long the room lasts at least; infinite where nothing is known of any rate."""
        return self.room / self.bytes_per_s / 3600 if self.bytes_per_s else float("inf")

    def in_words(self, codec: str) -> str:
        """Return it in words, with the codec that will compress the frames."""
        each = ", ".join(f"{name} {rate / _MB:.1f}" for name, rate in self.rates.items())
        text = (
            f"frames of all cameras are {self.bytes_per_s / _MB:.1f} MB/s before {codec} compresses them ({each}); "
            f"{self.room / _GB:.1f} GB of room last {self.hours:.1f} h at least"
        )
        return text + (f"; the rate of {', '.join(self.unknown)} is not known" if self.unknown else "")
