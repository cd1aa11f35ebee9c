"""Features of one frame's geometry: position, velocity, distance, angle, area; all carry NaN through."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rtface.decide.features.base import Extractor
from rtface.decide.features.points import PointTrack


class Position(Extractor):
    """x and y of a point."""

    names, units = ("x", "y"), ("px", "px")
    __slots__ = ()

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        self._rest_on_all()
        track = self.tracks[0]
        return track.x, track.y


class Velocity(Extractor):
    """Velocity of a point along x and y."""

    names, units = ("vx", "vy"), ("px/s", "px/s")
    __slots__ = ()

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        self._rest_on_all()
        track = self.tracks[0]
        return track.vx, track.vy


class Speed(Extractor):
    """Length of a point's velocity."""

    names, units = ("speed",), ("px/s",)
    __slots__ = ()

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        self._rest_on_all()
        track = self.tracks[0]
        return (math.hypot(track.vx, track.vy),)


class Distance(Extractor):
    """Distance of two points."""

    names, units = ("distance",), ("px",)
    __slots__ = ()

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        self._rest_on_all()
        one, two = self.tracks
        return (math.hypot(one.x - two.x, one.y - two.y),)


class Angle(Extractor):
    """Direction of the line from one point to another, or the angle at the second of three points, in degrees."""

    names, units = ("angle",), ("deg",)
    __slots__ = ()

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`; unknown where two of the points coincide."""
        self._rest_on_all()
        first, second = self.tracks[:2]
        x, y = second.x - first.x, second.y - first.y
        if len(self.tracks) == 2:
            return (math.degrees(math.atan2(y, x)) if x or y else math.nan,)
        third = self.tracks[2]
        other_x, other_y = third.x - second.x, third.y - second.y
        if not (x or y) or not (other_x or other_y):
            return (math.nan,)
        across, along = other_x * y - other_y * x, -x * other_x - y * other_y
        return (math.degrees(math.atan2(abs(across), along)),)


class Area(Extractor):
    """Area of a polygon."""

    names, units = ("area",), ("px2",)
    __slots__ = ()

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`."""
        self._rest_on_all()
        return (polygon_area(self.tracks),)


def polygon_area(corners: Sequence[PointTrack]) -> float:
    """Return the area in px2 of the polygon of tracks (the shoelace formula), NaN if one is unknown."""
    left, top = corners[0].x, corners[0].y
    doubled = 0.0
    x, y = corners[-1].x - left, corners[-1].y - top
    for track in corners:
        next_x, next_y = track.x - left, track.y - top
        doubled += x * next_y - y * next_x
        x, y = next_x, next_y
    return abs(doubled) / 2
