"""What ends an armed loop over several cameras by itself: frames of one that come late, none of any, a record in danger."""

from __future__ import annotations

from collections.abc import Mapping

from rtface.core.decision import Reason
from rtface.core.records import TriggerInfo
from rtface.live.loop.watch import Finding, LoopWatch
from rtface.record.session.entries import FaultEntry


class MultiWatch:
    """A `LoopWatch` for each camera; a camera that is silent is no end of it while another sends frames.

    Parameters
    ----------
    watches : mapping of str to LoopWatch
        By the camera's name.
    """

    def __init__(self, watches: Mapping[str, LoopWatch]) -> None:
        self._watches = dict(watches)

    @property
    def disk_fault(self) -> FaultEntry | None:
        """As of `LoopWatch`."""
        return next(iter(self._watches.values())).disk_fault

    def disk_failed(self, fault: FaultEntry) -> None:
        """As of `LoopWatch`."""
        for watch in self._watches.values():
            watch.disk_failed(fault)

    def begin(self, triggers: Mapping[str, TriggerInfo | None], now_ns: int) -> None:
        """Watch from now on, cameras that wait for these triggers."""
        for name, watch in self._watches.items():
            watch.trigger, watch.frame_ns = triggers[name], now_ns

    def reset(self) -> None:
        """Forget the latencies so far."""
        for watch in self._watches.values():
            watch.reset()

    def came(self, now_ns: int, camera: str = "") -> None:
        """Take note of a frame of a camera."""
        self._watches[camera].came(now_ns)

    def handled(self, latency_ns: int, camera: str = "") -> Finding | None:
        """Count a frame of a camera that was handled so long after its exposure."""
        finding = self._watches[camera].handled(latency_ns)
        if finding is None or finding[0] is Reason.DISK:
            return finding
        return finding[0], f"{camera}: {finding[1]}"

    def silent(self, now_ns: int) -> dict[str, Finding]:
        """Return which cameras have sent no frame for too long, and since when in words."""
        found = {name: watch.silence(now_ns) for name, watch in self._watches.items()}
        return {name: finding for name, finding in found.items() if finding is not None}

    def idle(self, now_ns: int) -> Finding | None:
        """Find that no camera sends frames any more, or that the record is in danger."""
        silent = self.silent(now_ns)
        if len(silent) == len(self._watches):
            reason, _ = next(iter(silent.values()))
            return reason, "; ".join(f"{name}: {why}" for name, (_, why) in silent.items())
        return next(iter(self._watches.values())).disk()
