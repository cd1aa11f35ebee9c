"""Where poses go when only what comes before them is measured."""

from __future__ import annotations

from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.records import Losses, Pose


class Nowhere:
    """A sink that takes poses and does nothing with them."""

    lost = 0

    def open(self) -> None:
        """Do nothing."""

    def publish(self, pose: Pose, losses: Losses) -> int:
        """Return when the pose came."""
        return SYSTEM_CLOCK.now_ns()

    def close(self) -> None:
        """Do nothing."""
