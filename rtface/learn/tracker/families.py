"""The networks that rtface trains, by the names that its users choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rtface.core.errors import UsageError

INPUT_SIZE = 256
"""Longer side of every family's input in pixels."""

FAMILIES: dict[str, dict[str, Any]] = {
    "small": {"name": "small", "channels": [16, 32, 64, 128], "depths": [2, 4, 4], "head": 64},
    "fast": {"name": "small", "channels": [32, 64, 96], "depths": [3, 3], "head": 48, "stem": 4},
    "tiny": {"name": "small", "channels": [16, 32, 48, 64], "depths": [1, 2, 2], "head": 32},
    "facemap": {"name": "facemap", "channels": [16, 32, 64, 128, 200]},
}
"""Family to the arguments of its network.

``small`` is the default for a rig; ``fast`` has 0.3 GFLOP in place of its 0.8 for a 4:3 frame, and few of them at 1/4 of the
input, where they cost most; ``tiny`` is for the weakest computers; ``facemap`` is the network of Syeda et al.
2024 with the widths of its authors' later tools, for comparison and as a teacher.
"""


def architecture(family: str, keypoints: Sequence[str]) -> dict[str, Any]:
    """Return a family's network for some keypoints, as `rtface.networks.build` takes it.

    Raises
    ------
    UsageError
        There is no such family.
    """
    if family not in FAMILIES:
        raise UsageError(f"there is no family of networks {family!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[family] | {"keypoints": len(keypoints)}
