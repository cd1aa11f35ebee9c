"""What keypoints become in a mirror: left ones right ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORD = re.compile(r"[A-Za-z]+")


def swap_of(keypoints: Sequence[str]) -> tuple[int, ...]:
    """Return for each keypoint the one that it becomes in a mirrored picture; empty where none changes.

    ``paw_left`` becomes ``paw_right`` if there is such a keypoint, and so do ``L`` and ``R`` as words of their own; a
    name without a partner stays, like Facemap's ``nose(r)``.

    Parameters
    ----------
    keypoints : sequence of str
        Names, each once.
    """
    place = {name.lower(): index for index, name in enumerate(keypoints)}
    partners = tuple(place.get(_other_side(name.lower()), index) for index, name in enumerate(keypoints))
    return () if partners == tuple(range(len(partners))) else partners


def _other_side(name: str) -> str:
    return _WORD.sub(lambda word: _SIDES.get(word.group(), word.group()), name)
