"""The closed loop over several cameras, in the processing thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rtface.core.clock import SYSTEM_CLOCK, Clock
from rtface.core.decision import Reason
from rtface.core.outputs import OutputInfo
from rtface.core.records import Pose
from rtface.core.status import Gap, PipelineStatus
from rtface.decide.multi import MultiEvaluator
from rtface.live.handler import NetworkInUse
from rtface.live.loop.core import LoopCore
from rtface.live.loop.given import GivenValues
from rtface.live.loop.multiwatch import MultiWatch
from rtface.live.loop.record import Announce, Record
from rtface.live.loop.standing import RTFACE
from rtface.live.loop.status import LoopState
from rtface.live.multi.handler import OpenCamera
from rtface.live.shown.features import FeatureFeed
from rtface.stimulate.base import Output

MultiOpened = tuple[MultiEvaluator, Record]


class MultiClosedLoop(LoopCore):
    """Handles every pose of several cameras; a `rtface.live.multi.handler.MultiHandler`.

    Parameters
    ----------
    output, output_name, announce, feed, clock
        As of `LoopCore`.
    make : callable
        Given the open cameras, the networks in use and the open output, makes features and rules, and opens the record.
    watch : MultiWatch
    """

    def __init__(
        self,
        output: Output,
        output_name: str,
        make: Callable[[Mapping[str, OpenCamera], OutputInfo], MultiOpened],
        announce: Announce,
        watch: MultiWatch,
        *,
        feed: FeatureFeed | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(output, output_name, announce, feed=feed, watch=watch, clock=clock)
        self._make, self._multi_watch, self._say = make, watch, announce
        self._absent: set[str] = set()
        self._evaluator: MultiEvaluator | None = None

    def open(self, cameras: Mapping[str, OpenCamera]) -> None:
        """Open the output, and what `make` makes."""
        info = self._open_output()
        evaluator, record = self._make(cameras, info)
        self._evaluator = evaluator
        self._take(evaluator, record, info)
        if evaluator.given_names:
            self._given = GivenValues()
        self._multi_watch.begin(
            {name: camera.trigger for name, (camera, _) in cameras.items()}, self._clock.now_ns()
        )
        self.standing.refresh()

    def handle(self, pose: Pose) -> None:
        """Decide, and act; a camera that was absent is back with its first frame."""
        if self._absent and pose.frame.camera in self._absent:
            self._absent.discard(pose.frame.camera)
            self._reports.read()  # or an end that was reported and not read yet would be overdue
            self.standing.call("back", self._clock.now_ns(), camera=pose.frame.camera)
        super().handle(pose)

    def look(self) -> None:
        """Take a camera that sends nothing while the session is armed for one that is lost, as long as another sends."""
        if self.standing.state is not LoopState.ARMED:
            return
        now_ns = self._clock.now_ns()
        silent = self._multi_watch.silent(now_ns)
        for name, (_, why) in silent.items():
            if name not in self._absent:
                self._leave_out(name)
                self._say("camera", now_ns, {"camera": name, "event": "silent", "why": why})
        if silent:
            self.standing.fail_if_armed(self._multi_watch.idle(now_ns))

    def gap(self, camera: str, gap: Gap) -> None:
        """Record that a camera was lost, or is back; what rests on one that is lost is withheld until somebody arms again.

        With the last one that sends frames the light ends as with the only camera's.
        """
        _, record = self.standing.opened()
        record.gap(gap, camera=camera)
        if gap.ended_ns is not None:
            return
        self._leave_out(camera)
        if self._evaluator is not None and len(self._absent) == len(self._evaluator.cameras):
            self.standing.fail_if_armed((Reason.CAMERA_LOST, f"{camera}: {gap.why}"))

    def network_changed(self, camera: str, network: NetworkInUse) -> None:
        """Record what finds a camera's keypoints from here on; a baseline of another crop does not hold."""
        evaluator, record = self.standing.opened()
        record.network(network.engine, network.backend.as_dict(), network.crop, camera=camera)
        if evaluator.baselines.names and self.standing.state is not LoopState.ARMED:
            self._begin_baseline(RTFACE, f"the network of camera {camera} was changed")

    def tick(self, statuses: Mapping[str, PipelineStatus]) -> None:
        """Record losses, latencies and the maps of the cameras' clocks, and renew the snapshot."""
        _, record = self.standing.opened()
        for name, status in statuses.items():
            record.losses(status.losses, camera=name)
            record.camera_status(status.camera, camera=name)
            if status.camera_clock is not None:
                record.clock_fit("camera", status.camera_clock, camera=name)
            record.latency(status.latency, camera=name)
        record.latency(self._pulses.summary())
        self.standing.refresh()

    def _leave_out(self, camera: str) -> None:
        if camera not in self._absent:
            self._absent.add(camera)
            self._reports.read()  # likewise
            self.standing.call("lost", self._clock.now_ns(), camera=camera)
