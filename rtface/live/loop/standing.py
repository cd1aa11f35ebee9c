"""Where the loop stands, and what goes with each change of it: the output, the record, the rules, the event.

Disarmed, armed, stopped, in fault. Every change takes the output along first, is recorded with its author, and is made
known to the rules by a call that a replay makes again; what the rules decide on it is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rtface.core.clock import Clock
from rtface.core.decision import Decision, Reason
from rtface.core.errors import ControlError
from rtface.core.outputs import OutputState
from rtface.decide.multi import Evaluator
from rtface.live.loop.acts import Act, Acts
from rtface.live.loop.firing import Firing
from rtface.live.loop.multiwatch import MultiWatch
from rtface.live.loop.record import Announce, Record
from rtface.live.loop.status import LoopState, LoopStatus
from rtface.live.loop.watch import Finding, LoopWatch
from rtface.live.shown.features import Thresholds
from rtface.stimulate.base import Output

RTFACE = "rtface"
"""Who disarms when nobody does."""

NOT_READY = "not_ready"
WRONG_STATE = "wrong_state"

Opened = tuple[Evaluator, Record]


class Standing:
    """Whether light may come, who brought that about, and why.

    All belongs to the processing thread, but for `note` and `status`.

    Parameters
    ----------
    output : Output
        What makes light; open while rules and record are here.
    firing : Firing
        What carries decisions out.
    watch : LoopWatch or MultiWatch
        What begins anew with each arming.
    announce : Announce
    clock : Clock
        Source of time.

    Attributes
    ----------
    state : LoopState
    status : LoopStatus
        The newest snapshot; may be read from any thread.
    called_ns : int
        When the rules were called last; set it with each frame that they are given.
    """

    def __init__(
        self, output: Output, firing: Firing, watch: LoopWatch | MultiWatch, announce: Announce, clock: Clock
    ) -> None:
        self._output, self._firing, self._watch = output, firing, watch
        self._announce = announce
        self._clock = clock
        self._opened: Opened | None = None
        self._acts = Acts(clock)
        self._thresholds = Thresholds()
        self.state, self._who, self._why = LoopState.DISARMED, "", "nobody has armed"
        self.status = LoopStatus()
        self.called_ns = 0

    @property
    def is_open(self) -> bool:
        """Whether rules and record are here."""
        return self._opened is not None

    def open(self, evaluator: Evaluator, record: Record) -> None:
        """Take the rules, and what is recorded into."""
        self._opened = evaluator, record

    def opened(self) -> Opened:
        """Return the rules, and what is recorded into.

        Raises
        ------
        ControlError
            ``wrong_state``: they are not here yet, or no more.
        """
        if self._opened is None:
            raise ControlError(WRONG_STATE, "the closed loop is not open")
        return self._opened

    def close(self) -> None:
        """Let go of rules and record."""
        self._opened = None

    def note(self, who: str, why: str, *, stop: bool = False) -> None:
        """Note, from any thread, who is about to disarm or to stop: before the output is given it."""
        self._acts.note(who, why, stop=stop)

    def take_acts(self, until_ns: int | None = None) -> Act | None:
        """Do what was noted, up to a time, and record it with its author; return the last of it."""
        last = None
        while (act := self._acts.take(until_ns)) is not None:
            last = act
            (self.stopped if act.stop else self.disarmed)(act.who, act.why, max(self.called_ns, act.t_ns))
        return last

    def armed(self, who: str, findings: Sequence[Mapping[str, Any]]) -> None:
        """Let rules fire: the self-test has found nothing against it, and the output is armed.

        Raises
        ------
        ControlError
            ``wrong_state``, ``not_ready``: something has come between.
        """
        self.opened()
        act = self.take_acts()
        if self.state is not LoopState.DISARMED:
            raise ControlError(WRONG_STATE, f"the loop is {self.state}: {self._why}")
        if act is not None:
            raise ControlError(NOT_READY, f"{act.who} has disarmed meanwhile ({act.why})")
        if self._output.state is not OutputState.ARMED:
            raise ControlError(NOT_READY, f"the output is {self._output.state}, not armed")
        self._watch.reset()
        now_ns = self._clock.now_ns()
        self._enter(LoopState.ARMED, "armed", who, "asked for", now_ns, {"self_test": list(findings)})
        self.call("arm", now_ns)

    def disarmed(self, who: str, why: str, t_ns: int | None = None) -> None:
        """Let no rule fire until somebody arms again."""
        self._output.disarm(why)
        if self.state is LoopState.ARMED:
            self.end(LoopState.DISARMED, Reason.OPERATOR, who, why, t_ns)

    def stopped(self, who: str, why: str, t_ns: int | None = None) -> None:
        """Let no rule fire until somebody clears the emergency stop and arms again."""
        if self._output.state is not OutputState.STOPPED:
            self._output.stop()
        self.end(LoopState.STOPPED, Reason.EMERGENCY, who, why, t_ns)

    def cleared(self, who: str) -> None:
        """End an emergency stop or a fault, disarmed; the output is clear again.

        Raises
        ------
        ControlError
            ``wrong_state``: there is nothing to clear; ``not_ready``: the output is not clear.
        """
        evaluator, _ = self.opened()
        if self.state not in (LoopState.STOPPED, LoopState.FAULT):
            raise ControlError(WRONG_STATE, f"there is nothing to clear: the loop is {self.state}")
        if self._output.state in (OutputState.STOPPED, OutputState.FAULT, OutputState.CLOSED):
            raise ControlError(NOT_READY, f"the output is {self._output.state}")
        self._firing.pulses.forget()
        now_ns = self._clock.now_ns()
        if evaluator.faulted:
            self.call("clear", now_ns)
        self._enter(LoopState.DISARMED, "cleared", who, "seen to", now_ns)

    def fail_if_armed(self, finding: Finding | None) -> None:
        """Go into fault for a finding, unless nobody has armed."""
        if finding is None:
            return
        self.take_acts()
        if self.state is LoopState.ARMED:
            self.fail(*finding)

    def fail(self, reason: Reason, why: str) -> None:
        """Light off, and no more of it until somebody has seen to what went wrong."""
        evaluator, record = self.opened()
        self.take_acts()
        self._output.disarm(why)
        if self.state is LoopState.FAULT:
            return
        now_ns = self._clock.now_ns()
        self._enter(LoopState.FAULT, "fault", RTFACE, why, now_ns)
        record.failed(reason.value, why)
        self._announce("fault", now_ns, {"reason": reason.value, "why": why})
        if not evaluator.faulted:
            self.call("fault", now_ns, reason=reason.value)

    def end(self, state: LoopState, reason: Reason, who: str, why: str, t_ns: int | None = None) -> None:
        """Let no rule fire any more, from `t_ns` or now on; the output makes no light."""
        now_ns = self._clock.now_ns() if t_ns is None else t_ns
        event = "emergency" if state is LoopState.STOPPED else "disarmed"
        if state is LoopState.STOPPED or self.state is not LoopState.FAULT:
            self._enter(state, event, who, why, now_ns)
        self.call("disarm", now_ns, reason=reason.value)

    def call(self, name: str, now_ns: int, **arguments: Any) -> None:
        """Call the rules for what is no frame; a replay makes the same calls."""
        evaluator, record = self.opened()
        self.called_ns = now_ns
        record.call(name, now_ns, **arguments)
        self.carry_out(evaluator.call(name, now_ns, **arguments), now_ns)

    def carry_out(self, decisions: Sequence[Decision], now_ns: int, exposure_ns: int = 0) -> None:
        """Carry decisions out; go into fault where one cannot be recorded, or the rules are in fault."""
        evaluator, record = self.opened()
        for decision in decisions:
            if not self._firing.carry_out(decision, record, now_ns, exposure_ns):
                self.fail(Reason.DISK, "a decision could not be recorded, and was not carried out")
        if evaluator.faulted and self.state in (LoopState.ARMED, LoopState.DISARMED):
            self.fail(Reason.ERROR, f"the rules are in fault: {decisions[-1].reason if decisions else ''}")

    def refresh(self) -> None:
        """Renew the snapshot."""
        evaluator, record = self.opened()
        hidden, state, pulses = evaluator.blind, self._output.state, self._firing.pulses
        self.status = LoopStatus(
            state=self.state,
            why=self._why,
            who=self._who,
            output=(OutputState.ARMED if hidden and state is OutputState.FIRING else state).value,
            rules={} if hidden else {name: state.value for name, state in evaluator.states.items()},
            counts=dict(self._firing.counts),
            lights=0 if hidden else pulses.lights,
            latency={} if hidden else pulses.summary(),
            session="" if record.folder is None else str(record.folder),
            seen={} if hidden else evaluator.views,
            baseline=evaluator.baselines.as_map(),
            thresholds=self._thresholds.of(evaluator),
        )

    def _enter(
        self,
        state: LoopState,
        event: str,
        who: str,
        why: str,
        now_ns: int,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        _, record = self.opened()
        self.state, self._who, self._why = state, who, why
        record.arming(event, who, why, details or {}, t_ns=now_ns)
        self.refresh()
        self._announce("arming", now_ns, {"event": event, "state": state.value, "who": who, "why": why})
