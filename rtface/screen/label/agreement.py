"""How far two people's labels of the same frames are apart, in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np

Labels = Mapping[tuple[str, str], Mapping[str, Any]]
"""Values of `rtface.screen.label.values` by frame and keypoint."""


@dataclass(frozen=True, slots=True)
class PointAgreement:
    """How two passes agree on a keypoint.

    Attributes
    ----------
    point : str
    both : int
        Frames on which both placed it.
    median, p90, worst : float or None
        Pixels between the two; None without such a frame.
    hidden_by_one : int
        Frames on which one placed it and the other marked it as hidden.
    """

    point: str
    both: int
    median: float | None
    p90: float | None
    worst: float | None
    hidden_by_one: int


@dataclass(frozen=True, slots=True)
class Apart:
    """Two labels of one point.

    Attributes
    ----------
    frame, point : str
    px : float or None
        Pixels between them; None where one of the two marked it as hidden.
    """

    frame: str
    point: str
    px: float | None


def agreement(first: Labels, second: Labels, points: list[str]) -> tuple[list[PointAgreement], list[Apart]]:
    """Return how two passes agree, by keypoint, and all pairs of labels, those that are furthest apart first."""
    pairs: list[Apart] = []
    for (frame, point), other in second.items():
        one = first.get((frame, point))
        if one is None or point not in points:
            continue
        if "x" in one and "x" in other:
            pairs.append(Apart(frame, point, hypot(one["x"] - other["x"], one["y"] - other["y"])))
        elif "x" in one or "x" in other:
            pairs.append(Apart(frame, point, None))
    table = []
    for point in points:
        px = [each.px for each in pairs if each.point == point and each.px is not None]
        hidden = sum(each.point == point and each.px is None for each in pairs)
        median, p90 = (float(np.percentile(px, part)) if px else None for part in (50, 90))
        table.append(PointAgreement(point, len(px), median, p90, max(px, default=None), hidden))
    return table, sorted(pairs, key=lambda each: -(np.inf if each.px is None else each.px))
