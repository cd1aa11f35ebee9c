"""The closed loop over one camera, in the processing thread."""

from __future__ import annotations

from collections.abc import Callable

from rtface.core.budget import BudgetWatch
from rtface.core.clock import NS_PER_MS, SYSTEM_CLOCK, Clock
from rtface.core.decision import Reason
from rtface.core.outputs import OutputInfo
from rtface.core.records import CameraInfo
from rtface.core.status import Gap, PipelineStatus
from rtface.decide.evaluator import SAME_PICTURES
from rtface.live.handler import NetworkInUse, PoseHandler
from rtface.live.loop.core import SESSION_ENDED, LoopCore
from rtface.live.loop.given import GivenValues
from rtface.live.loop.record import Announce
from rtface.live.loop.standing import RTFACE, Opened
from rtface.live.loop.status import LoopState
from rtface.live.loop.watch import LoopWatch
from rtface.live.neural import NeuralPredictor
from rtface.live.shown.features import FeatureFeed
from rtface.stimulate.base import Output

__all__ = ["SESSION_ENDED", "ClosedLoop"]


class ClosedLoop(LoopCore, PoseHandler):
    """Handles every pose of one camera: decides, acts and records; a `rtface.live.handler.PoseHandler`.

    All belongs to the processing thread, as of `LoopCore`.

    Parameters
    ----------
    output, output_name, announce, neural, feed, clock
        As of `LoopCore`.
    make : callable
        Given the open camera, the network in use and the open output, makes features and rules, and opens the record.
    budget : BudgetWatch or None
        Frames over it disarm.
    frame_timeout_ns : int
        While armed, a longer time without a frame disarms.
    """

    def __init__(
        self,
        output: Output,
        output_name: str,
        make: Callable[[CameraInfo, NetworkInUse, OutputInfo], Opened],
        announce: Announce,
        *,
        neural: NeuralPredictor | None = None,
        feed: FeatureFeed | None = None,
        budget: BudgetWatch | None = None,
        frame_timeout_ns: int = 500 * NS_PER_MS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        watch = self._own_watch = LoopWatch(budget, frame_timeout_ns)
        super().__init__(output, output_name, announce, neural=neural, feed=feed, watch=watch, clock=clock)
        self._make = make

    def open(self, camera: CameraInfo, network: NetworkInUse) -> None:
        """Open the encoder, the output, and what `make` makes."""
        if self._neural is not None:
            self._neural.open(camera.rate_hz)
        info = self._open_output()
        evaluator, record = self._make(camera, network, info)
        self._take(evaluator, record, info)
        if SAME_PICTURES in evaluator.names:
            self._given = GivenValues(() if self._neural is None else self._neural.names)
        self._own_watch.trigger, self._own_watch.frame_ns = camera.trigger, self._clock.now_ns()
        self.standing.refresh()

    def gap(self, gap: Gap) -> None:
        """Record that the camera was lost, or is back; one that is lost ends the light, until somebody arms again."""
        _, record = self.standing.opened()
        record.gap(gap)
        if gap.ended_ns is None:
            self.standing.fail_if_armed((Reason.CAMERA_LOST, gap.why))

    def tick(self, status: PipelineStatus) -> None:
        """Record losses, latencies and the map of the camera's clock, and renew the snapshot."""
        _, record = self.standing.opened()
        record.losses(status.losses)
        record.camera_status(status.camera)
        if status.camera_clock is not None:
            record.clock_fit("camera", status.camera_clock)
        record.latency({**status.latency, **self._pulses.summary()})
        self.standing.refresh()

    def network_changed(self, network: NetworkInUse) -> None:
        """Record what finds the keypoints from here on; a baseline of another crop does not hold."""
        evaluator, record = self.standing.opened()
        record.network(network.engine, network.backend.as_dict(), network.crop)
        if evaluator.baselines.names and self.standing.state is not LoopState.ARMED:
            self._begin_baseline(RTFACE, "the crop was changed")
