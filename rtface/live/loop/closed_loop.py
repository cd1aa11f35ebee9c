"""The closed loop in the processing thread: features, decisions, the output, and the record of all of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rtface.core.budget import BudgetWatch
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.decision import Action, Decision, Reason
from rtface.core.dose import planned_ns
from rtface.core.errors import CameraError, ControlError, OutputError
from rtface.core.features import Features
from rtface.core.outputs import OutputEvent, OutputInfo, OutputState, Report
from rtface.core.records import CameraInfo, Image, Pose, Pulse
from rtface.core.status import Gap, PipelineStatus
from rtface.decide.baseline import Baselines
from rtface.decide.evaluator import SAME_PICTURES, RuleEvaluator
from rtface.live.handler import NetworkInUse, PoseHandler
from rtface.live.loop.acts import Act, Acts
from rtface.live.loop.given import GivenValues
from rtface.live.loop.pulses import BROKEN, BY_HOST, PASSING, PUBLISHED, USED_UP, Fired, FiredPulses
from rtface.live.loop.record import Record
from rtface.live.loop.status import LoopState, LoopStatus
from rtface.live.loop.watch import Finding, LoopWatch
from rtface.live.neural import NeuralPredictor
from rtface.live.shown.features import FeatureFeed, Thresholds
from rtface.publish.events import EventKind
from rtface.record.session.entries import NO_NUMBER, FaultEntry
from rtface.stimulate.base import Output

TRIAL_NS = NS_PER_MS
"""How long a blinded trial takes to be carried out before anything is published of it or of its frame, light or sham."""

RTFACE = "rtface"
"""Who disarms when nobody does."""

SESSION_ENDED = "the session ended"
"""Why a loop is disarmed that was closed while armed, without an error."""

NOT_READY = "not_ready"
WRONG_STATE = "wrong_state"

Announce = Callable[[EventKind, int, Mapping[str, Any]], None]
Opened = tuple[RuleEvaluator, Record]

_log = logging.getLogger(__name__)


class ClosedLoop(PoseHandler):
    """Handles every pose: decides, acts and records; a `rtface.live.handler.PoseHandler`.

    All methods belong to the processing thread, but for `status`. Commands of other threads come through
    `rtface.live.arming.Arming`, which turns the light off itself before it posts them.

    Parameters
    ----------
    output : Output
        What makes light; opened and closed here.
    output_name : str
        What the record calls it.
    make : callable
        Given the open camera, the network in use and the open output, makes features and rules, and opens the record.
    announce : callable
        Publishes an event: its kind, when it happened, and its details.
    neural : NeuralPredictor or None
        Predicts neural activity from each pose, before the rules look.
    feed : FeatureFeed or None
        Publishes features and rules for who looks on, after all else of a frame.
    budget : BudgetWatch or None
        Frames over it disarm.
    frame_timeout_ns : int
        While armed, a longer time without a frame disarms.
    clock : Clock
        Source of time.
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
        self._output, self._name = output, output_name
        self._make = make
        self._announce = announce
        self._neural = neural
        self._feed, self._thresholds = feed, Thresholds()
        self._newest: Features | None = None
        self._given: GivenValues | None = None
        self._watch = LoopWatch(budget, frame_timeout_ns)
        self._clock = clock
        self._evaluator: RuleEvaluator | None = None
        self._output_info: OutputInfo | None = None
        self._record: Record | None = None
        self._pulses = FiredPulses()
        self._acts = Acts(clock)
        self._counts: Counter[str] = Counter()
        self._state, self._who, self._why = LoopState.DISARMED, "", "nobody has armed"
        self._called_ns = 0
        self._status = LoopStatus()

    @property
    def status(self) -> LoopStatus:
        """The newest snapshot; may be read from any thread."""
        return self._status

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
        evaluator, _ = self._opened()
        rules = evaluator.rules.rules
        return {name: rule.pulse.record() for name, rule in rules.items() if rule.pulse is not None}

    @property
    def baselines(self) -> Baselines:
        """What thresholds rest on; changed by the processing thread."""
        return self._opened()[0].baselines

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

    def note(self, who: str, why: str, *, stop: bool = False) -> None:
        """Note, from any thread, who is about to disarm or to stop: before the output is given it."""
        self._acts.note(who, why, stop=stop)

    def take_acts(self, until_ns: int | None = None) -> Act | None:
        """Do what was noted, up to a time, and record it with its author; return the last of it."""
        last = None
        while (act := self._acts.take(until_ns)) is not None:
            last = act
            (self.stopped if act.stop else self.disarmed)(act.who, act.why, max(self._called_ns, act.t_ns))
        return last

    def open(self, camera: CameraInfo, network: NetworkInUse) -> None:
        """Open the encoder, the output, and what `make` makes."""
        if self._neural is not None:
            self._neural.open(camera.rate_hz)
        info = self._output_info = self._output.open()
        self._evaluator, self._record = self._make(camera, network, info)
        if SAME_PICTURES in self._evaluator.names:
            self._given = GivenValues(() if self._neural is None else self._neural.names)
        self._record.output(self._name, info.as_dict())
        self._watch.trigger, self._watch.frame_ns = camera.trigger, self._clock.now_ns()
        self._refresh()

    def handle(self, pose: Pose) -> None:
        """Read the output's reports, decide, and act."""
        evaluator, record = self._opened()
        self._output.alive()
        if not evaluator.blind:
            self._read_output()
        given = None if self._neural is None else self._neural.predict(pose)
        if self._given is not None:
            given = self._given.of(pose, given)
        self._newest = given
        now_ns = self._watch.frame_ns = self._called_ns = self._clock.now_ns()
        frame, baselines = pose.frame, evaluator.baselines
        taking = baselines.wanted
        decisions = evaluator.evaluate(pose, now_ns, given)
        record.pose(pose)
        record.features(frame.frame_id, now_ns, evaluator.features, given)
        if taking and baselines.complete:
            record.baseline(baselines.found(), now_ns)
        self._carry_out(decisions, now_ns, frame.exposure_ns)
        self._fail_if_armed(self._watch.handled(self._clock.now_ns() - frame.exposure_ns))

    def published(self, image: Image, pose: Pose, published_ns: int) -> None:
        """Publish what was predicted; record when the pose was published, and the frame, where frames are recorded."""
        evaluator, record = self._opened()
        if self._neural is not None:
            self._neural.publish()
        if self._feed is not None:
            self._feed.publish(evaluator, pose, self._newest)
        record.published(pose.frame.frame_id, published_ns)
        record.frame(image, pose.frame)
        if evaluator.blind:  # last: what only light brings with it must not delay what is published
            self._read_output()

    def gap(self, gap: Gap) -> None:
        """Record that the camera was lost, or is back; one that is lost ends the light, until somebody arms again."""
        _, record = self._opened()
        record.gap(gap)
        if gap.ended_ns is None:
            self._fail_if_armed((Reason.CAMERA_LOST, gap.why))

    def idle(self) -> None:
        """Read the output's reports, and decide what time alone decides."""
        self._read_output()
        now_ns = self._clock.now_ns()
        self._call("tick", now_ns)
        self._fail_if_armed(self._watch.idle(now_ns))

    def tick(self, status: PipelineStatus) -> None:
        """Record losses, latencies and the map of the camera's clock, and renew the snapshot."""
        _, record = self._opened()
        record.losses(status.losses)
        record.camera_status(status.camera)
        if status.camera_clock is not None:
            record.clock_fit("camera", status.camera_clock)
        record.latency({**status.latency, **self._pulses.summary()})
        self._refresh()

    def close(self, error: BaseException | None) -> None:
        """Light off, then complete the record."""
        self._output.disarm("the session ends")
        if self._evaluator is not None:
            self.take_acts()
        why = SESSION_ENDED if error is None else f"{type(error).__name__}: {error}"
        if self._evaluator is not None:
            if error is None and self._state is LoopState.ARMED:
                self._end(LoopState.DISARMED, Reason.SESSION, RTFACE, why)
            elif error is not None:
                lost = isinstance(error, CameraError)
                self._fail(Reason.CAMERA_LOST if lost else Reason.ERROR, why)
        try:
            self._output.close()
        except OutputError as failure:
            _log.error("%s", failure)
        record, self._record, self._evaluator = self._record, None, None
        if record is not None:
            for report in self._output.reports():
                record.reply(report, self._name)
            record.latency(self._pulses.summary())
            if not record.close("ended" if error is None else why):
                text = "the session's record could not be completed"
                self.disk_failed(FaultEntry(self._clock.now_ns(), "write", text))

    def armed(self, who: str, findings: Sequence[Mapping[str, Any]]) -> None:
        """Let rules fire: the self-test has found nothing against it, and the output is armed.

        Raises
        ------
        ControlError
            ``wrong_state``, ``not_ready``: something has come between.
        """
        self._opened()
        act = self.take_acts()
        if self._state is not LoopState.DISARMED:
            raise ControlError(WRONG_STATE, f"the loop is {self._state}: {self._why}")
        if act is not None:
            raise ControlError(NOT_READY, f"{act.who} has disarmed meanwhile ({act.why})")
        if self._output.state is not OutputState.ARMED:
            raise ControlError(NOT_READY, f"the output is {self._output.state}, not armed")
        self._watch.reset()
        now_ns = self._clock.now_ns()
        self._enter(LoopState.ARMED, "armed", who, "asked for", now_ns, {"self_test": list(findings)})
        self._call("arm", now_ns)

    def disarmed(self, who: str, why: str, t_ns: int | None = None) -> None:
        """Let no rule fire until somebody arms again."""
        self._output.disarm(why)
        if self._state is LoopState.ARMED:
            self._end(LoopState.DISARMED, Reason.OPERATOR, who, why, t_ns)

    def stopped(self, who: str, why: str, t_ns: int | None = None) -> None:
        """Let no rule fire until somebody clears the emergency stop and arms again."""
        if self._output.state is not OutputState.STOPPED:
            self._output.stop()
        self._end(LoopState.STOPPED, Reason.EMERGENCY, who, why, t_ns)

    def cleared(self, who: str) -> None:
        """End an emergency stop or a fault, disarmed; the output is clear again.

        Raises
        ------
        ControlError
            ``wrong_state``: there is nothing to clear; ``not_ready``: the output is not clear.
        """
        evaluator, _ = self._opened()
        if self._state not in (LoopState.STOPPED, LoopState.FAULT):
            raise ControlError(WRONG_STATE, f"there is nothing to clear: the loop is {self._state}")
        if self._output.state in (OutputState.STOPPED, OutputState.FAULT, OutputState.CLOSED):
            raise ControlError(NOT_READY, f"the output is {self._output.state}")
        self._pulses.forget()
        now_ns = self._clock.now_ns()
        if evaluator.faulted:
            self._call("clear", now_ns)
        self._enter(LoopState.DISARMED, "cleared", who, "seen to", now_ns)

    def take_baseline(self, who: str) -> None:
        """Take the baseline anew, from the next frame on.

        Raises
        ------
        ControlError
            ``wrong_state``: the loop is armed, or no rule names a baseline.
        """
        evaluator, _ = self._opened()
        if not evaluator.baselines.names:
            raise ControlError(WRONG_STATE, "no rule of this service names a baseline")
        if self._state is LoopState.ARMED:
            raise ControlError(WRONG_STATE, "the baseline is refused while the loop is armed: disarm first")
        self._begin_baseline(who, "asked for")

    def _begin_baseline(self, who: str, why: str) -> None:
        _, record = self._opened()
        now_ns = self._clock.now_ns()
        record.arming("baseline", who, why, t_ns=now_ns)
        self._call("baseline", now_ns)
        self._refresh()

    def network_changed(self, network: NetworkInUse) -> None:
        """Record what finds the keypoints from here on; a baseline of another crop does not hold."""
        evaluator, record = self._opened()
        record.network(network.engine, network.backend.as_dict(), network.crop)
        if evaluator.baselines.names and self._state is not LoopState.ARMED:
            self._begin_baseline(RTFACE, "the crop was changed")

    def mark(self, who: str, text: str, details: Mapping[str, Any]) -> None:
        """Record a remark, and publish it."""
        _, record = self._opened()
        now_ns = self._clock.now_ns()
        record.mark(who, text, details, t_ns=now_ns)
        self._announce("mark", now_ns, {"who": who, "text": text, "details": dict(details)})

    def _opened(self) -> Opened:
        if self._evaluator is None or self._record is None:
            raise ControlError(WRONG_STATE, "the closed loop is not open")
        return self._evaluator, self._record

    def _call(self, name: str, now_ns: int, **arguments: Any) -> None:
        """Call the rules for what is no frame; a replay makes the same calls."""
        evaluator, record = self._opened()
        self._called_ns = now_ns
        record.call(name, now_ns, **arguments)
        self._carry_out(evaluator.call(name, now_ns, **arguments), now_ns)

    def _carry_out(self, decisions: Sequence[Decision], now_ns: int, exposure_ns: int = 0) -> None:
        evaluator, record = self._opened()
        for decision in decisions:
            begun_ns = self._clock.now_ns() if decision.secret else 0
            number = record.decision(decision)
            if decision.action is Action.FIRE and decision.pulse is not None:
                if number == NO_NUMBER:
                    self._fail(Reason.DISK, "a decision could not be recorded, and was not carried out")
                    continue
                command = self._output.fire(decision.pulse)
                self._pulses.begin(
                    command,
                    Fired(
                        decision.rule, decision.trial, exposure_ns, decision.blind, planned_ns(decision.pulse)
                    ),
                )
                record.pulse(number, command, self._name, "fire", asdict(decision.pulse))
            elif decision.action is Action.CANCEL:
                record.pulse(number, self._output.cancel(), self._name, "cancel")
            if decision.secret:
                self._pulses.dose.trial(0 if decision.pulse is None else planned_ns(decision.pulse))
                self._clock.sleep_until_ns(begun_ns + TRIAL_NS)
            public = decision.public()
            self._counts[public.action.value] += 1
            self._announce("decision", now_ns, public.as_dict())
        if evaluator.faulted and self._state in (LoopState.ARMED, LoopState.DISARMED):
            self._fail(Reason.ERROR, f"the rules are in fault: {decisions[-1].reason if decisions else ''}")

    def _read_output(self) -> None:
        self._output.alive()
        for report in self._output.reports():
            happened_ns = report.t_ns if report.host_ns is None else report.host_ns
            self.take_acts(None if report.reason in BY_HOST else happened_ns)
            self._handle_report(report)
        self.take_acts()

    def _handle_report(self, report: Report) -> None:
        _, record = self._opened()
        record.reply(report, self._name)
        fired = self._pulses.take(report)
        if report.event in BROKEN:
            self._fail(Reason.GATE, f"{BROKEN[report.event]} ({report.reason})")
        elif fired is not None:
            self._follow_pulse(report, fired)
        elif report.event is OutputEvent.STATE:
            self._follow_output(report)

    def _follow_pulse(self, report: Report, fired: Fired) -> None:
        """Call the rules when light began and ended: at the time that was known, not when this thread read it."""
        now_ns = max(self._called_ns, report.t_ns)
        if report.event is OutputEvent.LIGHT_ON:
            self._call("began", now_ns, rule=fired.rule)
        elif report.event in (OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED):
            self._call("ended", now_ns, rule=fired.rule, trial=fired.trial)
        if report.event is OutputEvent.REFUSED and report.reason not in PASSING:
            why = f"the output refused to fire: {report.reason}"
            if report.reason in USED_UP:
                self._output.disarm(why)
                self._end(LoopState.DISARMED, Reason.LIMIT, RTFACE, why)
            else:
                self._fail(Reason.LIMIT, why)
        if not fired.blind and report.event in PUBLISHED:
            self._announce("light", now_ns, {"rule": fired.rule, "trial": fired.trial, **report.as_dict()})

    def _follow_output(self, report: Report) -> None:
        """Let the loop be no more than the output is: a switch, a pin or the device itself may have ended it.

        A report may be old by now; the output's state is not.
        """
        state = self._output.state
        if state is not report.state:  # somebody may have brought it there since
            self.take_acts()
        if state is OutputState.STOPPED and self._state is not LoopState.STOPPED:
            self.stopped(self._name, f"the output was stopped ({report.reason})")
        elif state is OutputState.FAULT:
            self._fail(Reason.GATE, f"the output is in fault ({report.reason})")
        elif state is OutputState.DISARMED and self._state is LoopState.ARMED:
            self._end(
                LoopState.DISARMED, Reason.GATE, self._name, f"the output disarmed itself ({report.reason})"
            )

    def _fail_if_armed(self, finding: Finding | None) -> None:
        if finding is None:
            return
        self.take_acts()
        if self._state is LoopState.ARMED:
            self._fail(*finding)

    def _fail(self, reason: Reason, why: str) -> None:
        """Light off, and no more of it until somebody has seen to what went wrong."""
        evaluator, record = self._opened()
        self.take_acts()
        self._output.disarm(why)
        if self._state is LoopState.FAULT:
            return
        now_ns = self._clock.now_ns()
        self._enter(LoopState.FAULT, "fault", RTFACE, why, now_ns)
        record.failed(reason.value, why)
        self._announce("fault", now_ns, {"reason": reason.value, "why": why})
        if not evaluator.faulted:
            self._call("fault", now_ns, reason=reason.value)

    def _end(self, state: LoopState, reason: Reason, who: str, why: str, t_ns: int | None = None) -> None:
        """Let no rule fire any more, from `t_ns` or now on."""
        now_ns = self._clock.now_ns() if t_ns is None else t_ns
        event = "emergency" if state is LoopState.STOPPED else "disarmed"
        if state is LoopState.STOPPED or self._state is not LoopState.FAULT:
            self._enter(state, event, who, why, now_ns)
        self._call("disarm", now_ns, reason=reason.value)

    def _enter(
        self,
        state: LoopState,
        event: str,
        who: str,
        why: str,
        now_ns: int,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        _, record = self._opened()
        self._state, self._who, self._why = state, who, why
        record.arming(event, who, why, details or {}, t_ns=now_ns)
        self._refresh()
        self._announce("arming", now_ns, {"event": event, "state": state.value, "who": who, "why": why})

    def _refresh(self) -> None:
        evaluator, record = self._opened()
        hidden, state = evaluator.blind, self._output.state
        self._status = LoopStatus(
            state=self._state,
            why=self._why,
            who=self._who,
            output=(OutputState.ARMED if hidden and state is OutputState.FIRING else state).value,
            rules={} if hidden else {name: state.value for name, state in evaluator.states.items()},
            counts=dict(self._counts),
            lights=0 if hidden else self._pulses.lights,
            latency={} if hidden else self._pulses.summary(),
            session="" if record.folder is None else str(record.folder),
            seen={} if hidden else evaluator.views,
            baseline=evaluator.baselines.as_map(),
            thresholds=self._thresholds.of(evaluator),
        )
