"""What the closed loop does with a pose, whichever camera it is of, and with each time without one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.decision import Reason
from rtface.core.errors import CameraError, ControlError, OutputError
from rtface.core.features import Features
from rtface.core.outputs import OutputInfo
from rtface.core.records import Image, Pose, Pulse
from rtface.decide.baseline import Baselines
from rtface.decide.multi import Evaluator
from rtface.live.loop.firing import Firing
from rtface.live.loop.given import GivenValues
from rtface.live.loop.multiwatch import MultiWatch
from rtface.live.loop.record import Announce, Record
from rtface.live.loop.reports import OutputReports
from rtface.live.loop.standing import RTFACE, WRONG_STATE, Standing
from rtface.live.loop.status import LoopState, LoopStatus
from rtface.live.loop.watch import LoopWatch
from rtface.live.neural import NeuralPredictor
from rtface.live.shown.features import FeatureFeed
from rtface.record.session.entries import FaultEntry
from rtface.stimulate.base import Output

SESSION_ENDED = "the session ended"
"""Why a loop is disarmed that was closed while armed, without an error."""

_log = logging.getLogger(__name__)


class LoopCore:
    """What is done with each pose, of whichever camera, and with each time without one.

    All belongs to the processing thread, but for `status` and what is said to be for any. Commands of other threads come
    through `rtface.live.arming.Arming`, which turns the light off itself before it posts them.

    Parameters
    ----------
    output : Output
        What makes light; opened and closed here.
    output_name : str
        What the record calls it.
    announce : Announce
    neural : NeuralPredictor or None
        Predicts neural activity from each pose, before the rules look.
    feed : FeatureFeed or None
        Publishes features and rules for who looks on, after all else of a frame.
    watch : LoopWatch or MultiWatch
        What ends an armed loop by itself.
    clock : Clock
        Source of time.

    Attributes
    ----------
    standing : Standing
        Whether light may come; what arms, disarms, stops and clears the loop.
    """

    def __init__(
        self,
        output: Output,
        output_name: str,
        announce: Announce,
        *,
        neural: NeuralPredictor | None = None,
        feed: FeatureFeed | None = None,
        watch: LoopWatch | MultiWatch,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._output, self._name = output, output_name
        self._announce = announce
        self._neural = neural
        self._feed = feed
        self._newest: Features | None = None
        self._given: GivenValues | None = None
        self._watch = watch
        self._clock = clock
        self._output_info: OutputInfo | None = None
        firing = Firing(output, output_name, announce, clock)
        self._pulses = firing.pulses
        self.standing = Standing(output, firing, self._watch, announce, clock)
        self._reports = OutputReports(output, output_name, self._pulses, self.standing, announce)

    @property
    def status(self) -> LoopStatus:
        """The newest snapshot; may be read from any thread."""
        return self.standing.status

    @property
    def output_info(self) -> OutputInfo:
        """What the output is, once it is open.

        Raises
        ------
        ControlError
            ``wrong_state``: it is not open yet.
        """
        if self._output_info is None:
            raise ControlError(WRONG_STATE, "the output is not open")
        return self._output_info

    @property
    def pulses(self) -> dict[str, Pulse]:
        """What each rule fires, by the rule's name."""
        evaluator, _ = self.standing.opened()
        rules = evaluator.rules.rules
        return {name: rule.pulse.record() for name, rule in rules.items() if rule.pulse is not None}

    @property
    def baselines(self) -> Baselines:
        """What thresholds rest on; changed by the processing thread."""
        return self.standing.opened()[0].baselines

    @property
    def light_s(self) -> float:
        """Seconds of light in this session, as `rtface.core.dose.LightDose` counts."""
        return self._pulses.dose.total_ns / NS_PER_S

    @property
    def disk_fault(self) -> FaultEntry | None:
        """Why the session can no longer be recorded, None while it can; may be read from any thread."""
        return self._watch.disk_fault

    def disk_failed(self, fault: FaultEntry) -> None:
        """Take note, from any thread, that the record is in danger; as `LoopWatch.disk_failed`."""
        self._watch.disk_failed(fault)

    def handle(self, pose: Pose) -> None:
        """Read the output's reports, decide, and act."""
        evaluator, record = self.standing.opened()
        self._output.alive()
        if not evaluator.blind:
            self._reports.read()
        given = None if self._neural is None else self._neural.predict(pose)
        if self._given is not None:
            given = self._given.of(pose, given)
        self._newest = given
        now_ns = self.standing.called_ns = self._clock.now_ns()
        self._watch.came(now_ns, pose.frame.camera)
        frame, baselines = pose.frame, evaluator.baselines
        taking = baselines.wanted
        decisions = evaluator.evaluate(pose, now_ns, given)
        record.pose(pose)
        record.features(
            frame.frame_id, now_ns, evaluator.features_of(frame.camera), given, camera=frame.camera
        )
        if taking and baselines.complete:
            record.baseline(baselines.found(), now_ns)
        self.standing.carry_out(decisions, now_ns, frame.exposure_ns)
        self.standing.fail_if_armed(
            self._watch.handled(self._clock.now_ns() - frame.exposure_ns, frame.camera)
        )

    def published(self, image: Image, pose: Pose, published_ns: int) -> None:
        """Publish what was predicted; record when the pose was published, and the frame, where frames are recorded."""
        evaluator, record = self.standing.opened()
        if self._neural is not None:
            self._neural.publish()
        if self._feed is not None:
            self._feed.publish(evaluator, pose, evaluator.given_of(self._newest))
        record.published(pose.frame.frame_id, published_ns, camera=pose.frame.camera)
        record.frame(image, pose.frame)
        if evaluator.blind:  # last: what only light brings with it must not delay what is published
            self._reports.read()

    def _open_output(self) -> OutputInfo:
        """Open the output."""
        info = self._output_info = self._output.open()
        return info

    def _take(self, evaluator: Evaluator, record: Record, info: OutputInfo) -> None:
        """Take rules and record, which were made for the cameras and the open output."""
        self.standing.open(evaluator, record)
        record.output(self._name, info.as_dict())

    def idle(self) -> None:
        """Read the output's reports, and decide what time alone decides."""
        self._reports.read()
        now_ns = self._clock.now_ns()
        self.standing.call("tick", now_ns)
        self.standing.fail_if_armed(self._watch.idle(now_ns))

    def close(self, error: BaseException | None) -> None:
        """Light off, then complete the record."""
        standing = self.standing
        self._output.disarm("the session ends")
        why = SESSION_ENDED if error is None else f"{type(error).__name__}: {error}"
        opened = standing.opened() if standing.is_open else None
        if opened is not None:
            standing.take_acts()
            if error is None and standing.state is LoopState.ARMED:
                standing.end(LoopState.DISARMED, Reason.SESSION, RTFACE, why)
            elif error is not None:
                lost = isinstance(error, CameraError)
                standing.fail(Reason.CAMERA_LOST if lost else Reason.ERROR, why)
        try:
            self._output.close()
        except OutputError as failure:
            _log.error("%s", failure)
        standing.close()
        if opened is not None:
            _, record = opened
            for report in self._output.reports():
                record.reply(report, self._name)
            record.latency(self._pulses.summary())
            if not record.close("ended" if error is None else why):
                text = "the session's record could not be completed"
                self.disk_failed(FaultEntry(self._clock.now_ns(), "write", text))

    def take_baseline(self, who: str) -> None:
        """Take the baseline anew, from the next frame on.

        Raises
        ------
        ControlError
            ``wrong_state``: the loop is armed, or no rule names a baseline.
        """
        evaluator, _ = self.standing.opened()
        if not evaluator.baselines.names:
            raise ControlError(WRONG_STATE, "no rule of this service names a baseline")
        if self.standing.state is LoopState.ARMED:
            raise ControlError(WRONG_STATE, "the baseline is refused while the loop is armed: disarm first")
        self._begin_baseline(who, "asked for")

    def _begin_baseline(self, who: str, why: str) -> None:
        _, record = self.standing.opened()
        now_ns = self._clock.now_ns()
        record.arming("baseline", who, why, t_ns=now_ns)
        self.standing.call("baseline", now_ns)
        self.standing.refresh()

    def mark(self, who: str, text: str, details: Mapping[str, Any]) -> None:
        """Record a remark, and publish it."""
        _, record = self.standing.opened()
        now_ns = self._clock.now_ns()
        record.mark(who, text, details, t_ns=now_ns)
        self._announce("mark", now_ns, {"who": who, "text": text, "details": dict(details)})
