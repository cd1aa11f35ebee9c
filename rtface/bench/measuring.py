"""What the benchmarks of a running pipeline share."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rtface.config import PublishSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK
from rtface.core.records import Losses, Pose
from rtface.core.status import PipelineStatus

WARM_UP_S = 4.0
FREE_ADDRESSES = PublishSettings(keypoints="tcp://127.0.0.1:*", control="tcp://127.0.0.1:*")

_TICK_S = 0.2


class Nowhere:
    """A sink that takes poses and does nothing with them, where only what comes before is measured."""

    lost = 0

    def open(self) -> None:
        """Do nothing."""

    def publish(self, pose: Pose, losses: Losses) -> int:
        """Return when the pose came."""
        return SYSTEM_CLOCK.now_ns()

    def close(self) -> None:
        """Do nothing."""


def wait_measuring(
    wait: Callable[[float], bool],
    seconds: float,
    progress: Callable[[float], None],
    ending: threading.Event,
) -> float:
    """Wait for so long, or until `wait` returns that the source has ended, or `ending` is set; return the seconds."""
    began_ns = SYSTEM_CLOCK.now_ns()
    passed_s = 0.0
    while passed_s < seconds and not ending.is_set():
        progress(passed_s / seconds)
        ended = wait(min(_TICK_S, seconds - passed_s))
        passed_s = (SYSTEM_CLOCK.now_ns() - began_ns) / NS_PER_S
        if ended:
            break
    return passed_s


def lost_between(before: PipelineStatus, after: PipelineStatus) -> dict[str, int]:
    """Return how many frames were lost between two moments, by place."""
    return {
        place: getattr(after.losses, place) - getattr(before.losses, place)
        for place in ("camera", "transport", "ring", "publish")
    }
