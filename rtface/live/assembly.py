"""A rig's closed loop: rules, output, record and arming put together for a running service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtface.config import GateOutputSettings, Rig
from rtface.core.budget import Budget, BudgetWatch
from rtface.core.clock import NS_PER_MS, Clock
from rtface.core.errors import ControlError
from rtface.core.outputs import OutputInfo
from rtface.core.records import CameraInfo, Pulse
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.rulebank import GRACE_NS
from rtface.decide.rules import RulesFile
from rtface.live.arming import Arming
from rtface.live.closed_loop import WRONG_STATE, Announce, ClosedLoop, Opened
from rtface.live.loop_record import NoRecord, Record
from rtface.live.loop_status import LoopState
from rtface.live.neural import NeuralPredictor
from rtface.live.pipeline import Pipeline
from rtface.live.rulesfile import Rules
from rtface.live.selftest import Circumstances, Verdict
from rtface.record.session.recorder import SessionRecorder, Setup
from rtface.stimulate.factory import make_output
from rtface.track.parity import require_parity
from rtface.track.store import Engine

NO_LOOP = "no_loop"


class Assembly:
    """Everything of a service that decides, acts and records; made before the pipeline, which it reacts in.

    Parameters
    ----------
    rig : Rig
    session : str
        Id of the session.
    engine : Engine
    announce : callable
        Publishes an event, in the processing thread.
    clock : Clock
    neural : NeuralSight or None
        Predicts neural activity, which rules may name.

    Raises
    ------
    ConfigError
        The rules file is wrong; with file and line.
    """

    def __init__(
        self,
        rig: Rig,
        session: str,
        engine: Engine,
        announce: Announce,
        clock: Clock,
        neural: NeuralPredictor | None = None,
    ) -> None:
        self._rig, self._session, self._engine, self._clock = rig, session, engine, clock
        self._rules = None if rig.rules is None else Rules(rig.rules)
        self._neural = neural
        self._output = make_output(rig.output, clock)
        self._info: OutputInfo | None = None
        self._pulses: dict[str, Pulse] = {}
        budget = None if rig.latency.budget is None else Budget.parse(rig.latency.budget)
        self._budget = None if budget is None else BudgetWatch(budget, rig.latency.budget_frames)
        self.loop = ClosedLoop(
            self._output,
            rig.output.kind,
            self._make,
            announce,
            neural=neural,
            budget=self._budget,
            frame_timeout_ns=round(rig.arming.frame_timeout_ms * NS_PER_MS),
            clock=clock,
        )
        self._pipeline: Pipeline | None = None
        self._arming: Arming | None = None

    @classmethod
    def wanted(cls, rig: Rig) -> bool:
        """Tell whether a rig decides, acts or records at all."""
        return rig.rules is not None or rig.session is not None or rig.output.kind != "null"

    def join(self, pipeline: Pipeline) -> None:
        """Take the pipeline that the loop reacts in; before it starts."""
        self._pipeline = pipeline
        self._arming = Arming(
            self.loop, self._output, pipeline, self._circumstances, clients=self._rig.arming.clients
        )

    @property
    def arming(self) -> Arming:
        """Who may allow light."""
        if self._arming is None:
            raise ControlError(NO_LOOP, "the closed loop has no pipeline")
        return self._arming

    def check_disarmed(self, command: str) -> None:
        """Refuse a command while light may come; `ControlError` ``wrong_state``."""
        if self.loop.status.state is LoopState.ARMED:
            raise ControlError(WRONG_STATE, f"{command} is refused while the loop is armed: disarm first")

    def network_changed(self) -> None:
        """Record what finds the keypoints from now on; in the processing thread."""
        pipeline = self._running()
        self.loop.network(self._engine.manifest.name, pipeline.backend.as_dict(), pipeline.crop)

    def _running(self) -> Pipeline:
        if self._pipeline is None:
            raise ControlError(NO_LOOP, "the closed loop has no pipeline")
        return self._pipeline

    def _make(self, camera: CameraInfo, output: OutputInfo) -> Opened:
        keypoints = tuple(point.name for point in self._engine.manifest.skeleton)
        given = () if self._neural is None else self._neural.names
        if self._rules is None:
            reflex = RuleEvaluator(RulesFile(), keypoints, camera.rate_hz, extra_names=given)
        else:
            reflex = self._rules.reflex(
                keypoints, camera.rate_hz, extra_names=given, grace_ns=self._grace_ns
            )
        self._info = output
        self._pulses = {
            name: rule.pulse.record() for name, rule in reflex.rules.rules.items() if rule.pulse is not None
        }
        return reflex, self._record(camera, output, reflex)

    @property
    def _grace_ns(self) -> int:
        """How long the word of a pulse's end may take: as long as an answer, for a gate that is given longer for it."""
        output = self._rig.output
        answer_ms = output.answer_ms if isinstance(output, GateOutputSettings) else 0.0
        return max(GRACE_NS, round(answer_ms * NS_PER_MS))

    def _record(self, camera: CameraInfo, output: OutputInfo, reflex: RuleEvaluator) -> Record:
        settings, pipeline = self._rig.session, self._running()
        if settings is None:
            return NoRecord()
        manifest, neural = self._engine.manifest, self._neural
        sha256 = {"engine": self._engine.sha256}
        if output.build:
            sha256["firmware"] = output.build
        if neural is not None:
            sha256 |= neural.sha256
        recorder = SessionRecorder(
            settings,
            self._session,
            Setup(
                rig=self._rig.model_dump_json(indent=2),
                keypoints=manifest.skeleton,
                score_definition=manifest.score.definition,
                camera=camera,
                engine=manifest.name,
                backend=pipeline.backend.as_dict(),
                crop=pipeline.crop,
                sha256=sha256,
                rules="" if self._rules is None else self._rules.text,
                resolved="" if self._rules is None else self._rules.resolved,
                features=reflex.bank.names,
                given=() if neural is None else neural.names,
                units=reflex.bank.units + (() if neural is None else neural.units),
                rate_hz=camera.rate_hz,
                grace_ns=self._grace_ns,
            ),
            on_fault=self.loop.disk_failed,
            clock=self._clock,
        )
        recorder.open()
        return recorder

    def _circumstances(self) -> Circumstances:
        pipeline, output, disk = self._running(), self._info, self.loop.disk_fault
        if output is None:
            raise ControlError(NO_LOOP, "the output is not open")
        return Circumstances(
            camera=pipeline.camera,
            status=pipeline.status(),
            parity=lambda: require_parity(self._engine, pipeline.backend).in_words(),
            output=output,
            output_checks=self._output.self_test,
            allow_unguarded=getattr(self._rig.output, "allow_unguarded", False),
            pulses=self._pulses,
            budget=self._budget,
            session=self.loop.status.session,
            disk_fault="" if disk is None else disk.text,
        )


class Commands:
    """The commands of the closed loop as the control socket takes them; those of a service without one say so."""

    def __init__(self, reflexes: Assembly | None) -> None:
        self._reflexes = reflexes

    @property
    def _arming(self) -> Arming:
        if self._reflexes is None:
            raise ControlError(
                NO_LOOP,
                "this service decides nothing: its rig's file has neither rules: nor output: nor session:",
            )
        return self._reflexes.arming

    def state(self) -> dict[str, Any]:
        """Return how the loop stands; empty without one."""
        return {} if self._reflexes is None else self._reflexes.loop.status.as_map()

    def self_test(self) -> dict[str, Any]:
        """Command ``self_test``."""
        return _told(self._arming.self_test())

    def arm(self, who: str, *, operator: bool = False) -> dict[str, Any]:
        """Command ``arm``; `operator` is the person at the rig's terminal."""
        return _told(self._arming.arm(who, operator=operator)) | self.state()

    def disarm(self, who: str, why: str) -> dict[str, Any]:
        """Command ``disarm``."""
        self._arming.disarm(who, why)
        return self.state()

    def emergency_stop(self, who: str) -> dict[str, Any]:
        """Command ``emergency_stop``."""
        self._arming.emergency_stop(who)
        return self.state()

    def clear(self, who: str) -> dict[str, Any]:
        """Command ``clear``."""
        self._arming.clear(who)
        return self.state()

    def mark(self, who: str, text: str, details: Mapping[str, Any]) -> dict[str, Any]:
        """Command ``mark``."""
        self._arming.mark(who, text, details)
        return {}


def _told(verdict: Verdict) -> dict[str, Any]:
    return {"ready": verdict.ready, "findings": verdict.findings()}
