"""A rig's closed loop put together from its configuration: rules, output, record and arming."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rtface.config import AnimalSettings, GateOutputSettings, Rig, RigSettings, SessionSettings
from rtface.core.budget import Budget, BudgetWatch
from rtface.core.clock import NS_PER_MS, NS_PER_S, Clock, wall_ns
from rtface.core.outputs import OutputInfo
from rtface.core.records import CameraInfo
from rtface.core.status import PipelineStatus
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.multi import Evaluator
from rtface.decide.rulebank import ALIKE_NS, GRACE_NS
from rtface.decide.rules import RulesFile
from rtface.decide.unknowable import all_in_words
from rtface.live.arming import Arming
from rtface.live.handler import NetworkInUse
from rtface.live.loop.closed_loop import ClosedLoop
from rtface.live.loop.core import LoopCore
from rtface.live.loop.given import UNITS, GivenValues
from rtface.live.loop.record import Announce, NoRecord, Record
from rtface.live.loop.standing import Opened
from rtface.live.loopthread import LoopThread
from rtface.live.neural import NeuralPredictor
from rtface.live.pipeline import Pipeline
from rtface.live.rulesfile import Rules
from rtface.live.selftest import AnimalLight, Circumstances, Verdict, self_test
from rtface.live.shown.features import FeatureFeed
from rtface.record.session.animal import earlier_light
from rtface.record.session.cameras.setup import CameraSetup, Setup
from rtface.record.session.recorder import SessionRecorder
from rtface.stimulate.factory import make_output
from rtface.track.recheck import require_as_verified
from rtface.track.store import Engine
from rtface.track.view import view_hash

_log = logging.getLogger(__name__)


def needs_loop(rig: RigSettings) -> bool:
    """Return whether a rig decides, acts or records at all."""
    return rig.rules is not None or rig.session is not None or rig.output.kind != "null"


class LoopAssembly:
    """What a rig's closed loop is put together of, whatever its cameras.

    Parameters
    ----------
    rig : RigSettings
    session : str
        Id of the session.
    clock : Clock

    Attributes
    ----------
    loop : LoopCore

    Raises
    ------
    ConfigError
        The rules file is wrong; with file and line.
    """

    loop: LoopCore

    def __init__(self, rig: RigSettings, session: str, clock: Clock) -> None:
        self._settings, self._session, self._clock = rig, session, clock
        self._rules = None if rig.rules is None else Rules(rig.rules)
        if self._rules is not None:
            self._rules.draw_session()
        self._never_known: tuple[str, ...] = ()
        self._animal: AnimalLight | None = None
        self._output = make_output(rig.output, clock)
        self._frame_timeout_ns = round(rig.arming.frame_timeout_ms * NS_PER_MS)

    def _budget_watch(self) -> BudgetWatch | None:
        """Return what watches a camera's latency, where the rig has a budget."""
        latency = self._settings.latency
        return (
            None
            if latency.budget is None
            else BudgetWatch(Budget.parse(latency.budget), latency.budget_frames)
        )

    def _arming(self, pipeline: LoopThread, test: Callable[[], Verdict]) -> Arming:
        return Arming(self.loop, self._output, pipeline, test, clients=self._settings.arming.clients)

    def _circumstances(
        self,
        camera: CameraInfo,
        status: PipelineStatus,
        parity: Callable[[], str],
        budget: BudgetWatch | None,
        *,
        keeps_view: bool,
    ) -> Circumstances:
        """Return what the self-test asks of a camera, and of what it shares with others."""
        disk = self.loop.disk_fault
        return Circumstances(
            camera=camera,
            status=status,
            parity=parity,
            output=self.loop.output_info,
            output_checks=self._output.self_test,
            settings=self._settings.output,
            pulses=self.loop.pulses,
            budget=budget,
            session=self.loop.status.session,
            disk_fault="" if disk is None else disk.text,
            never_known=self._never_known,
            any_view=self._settings.arming.any_view,
            keeps_view=keeps_view,
            animal=None if self._animal is None else replace(self._animal, now_s=self.loop.light_s),
            baselines=self.loop.baselines,
        )

    def _say_never_known(self, found: tuple[str, ...]) -> None:
        """Take note of values that can never be known, and log them."""
        self._never_known = found
        for each in found:
            _log.warning("%s", each)

    @property
    def _grace_ns(self) -> int:
        return end_grace_ns(self._settings, None if self._rules is None else self._rules.spec)

    def _opened_record(
        self,
        settings: SessionSettings,
        evaluator: Evaluator,
        sha256: Mapping[str, str],
        first: CameraSetup,
        cameras: Sequence[CameraSetup] = (),
    ) -> Record:
        """Return the record, opened.

        Parameters
        ----------
        settings : SessionSettings
        evaluator : Evaluator
        sha256 : mapping of str to str
            As of `Setup`.
        first : CameraSetup
            The only camera, or the first one.
        cameras : sequence of CameraSetup
            All, where there are several.
        """
        self._animal = animal_light(settings, self._settings.arming.animal)
        recorder = SessionRecorder(
            settings,
            self._session,
            Setup(
                rig=self._settings.model_dump_json(indent=2),
                keypoints=first.keypoints,
                score_definition=first.score_definition,
                camera=first.camera,
                engine=first.engine,
                backend=first.backend,
                crop=first.crop,
                sha256=sha256,
                rules="" if self._rules is None else self._rules.text,
                resolved="" if self._rules is None else evaluator.rules.model_dump_json(),
                features=first.features,
                given=first.given,
                units=first.units,
                rate_hz=first.rate_hz,
                grace_ns=self._grace_ns,
                alike_ns=ALIKE_NS,
                blind=evaluator.blind_rules,
                cameras=cameras,
            ),
            on_fault=self.loop.disk_failed,
            clock=self._clock,
        )
        recorder.open()
        return recorder


class Assembly(LoopAssembly):
    """Makes the parts of a rig's closed loop: `loop` before the pipeline, which calls it, and `arming` after.

    Parameters
    ----------
    rig : Rig
    session : str
        Id of the session.
    engine : Engine
    announce : callable
        Publishes an event, in the processing thread.
    clock : Clock
    neural : NeuralPredictor or None
        Predicts neural activity, which rules may name.
    feed : FeatureFeed or None
        Publishes features and rules for who looks on.

    Attributes
    ----------
    loop : ClosedLoop

    Raises
    ------
    ConfigError
        The rules file is wrong; with file and line.
    """

    loop: ClosedLoop

    def __init__(
        self,
        rig: Rig,
        session: str,
        engine: Engine,
        announce: Announce,
        clock: Clock,
        neural: NeuralPredictor | None = None,
        feed: FeatureFeed | None = None,
    ) -> None:
        super().__init__(rig, session, clock)
        self._engine, self._neural = engine, neural
        self._budget = self._budget_watch()
        self.loop = ClosedLoop(
            self._output,
            rig.output.kind,
            self._open,
            announce,
            neural=neural,
            feed=feed,
            budget=self._budget,
            frame_timeout_ns=self._frame_timeout_ns,
            clock=clock,
        )

    def arming(self, pipeline: Pipeline) -> Arming:
        """Return what arms and disarms the loop, which reacts in `pipeline`."""

        def test() -> Verdict:
            return self_test(
                self._circumstances(
                    pipeline.camera,
                    pipeline.status(),
                    lambda: require_as_verified(self._engine, pipeline.backend, pipeline.recheck),
                    self._budget,
                    keeps_view=pipeline.keeps_view,
                )
            )

        return self._arming(pipeline, test)

    def _open(self, camera: CameraInfo, network: NetworkInUse, output: OutputInfo) -> Opened:
        keypoints = tuple(point.name for point in self._engine.manifest.skeleton)
        given = () if self._neural is None else self._neural.names
        units = () if self._neural is None else self._neural.units
        if self._rules is None:
            evaluator = RuleEvaluator(RulesFile(), keypoints, camera.rate_hz, extra_names=given)
        else:
            if self._rules.spec.input is not None:
                given, units = GivenValues(given).names, (*units, *UNITS)
            evaluator = self._rules.evaluator(
                keypoints,
                camera.rate_hz,
                extra_names=given,
                grace_ns=self._grace_ns,
                alike_ns=ALIKE_NS,
                frame=(camera.width, camera.height),
            )
            self._say_never_known(all_in_words(evaluator.rules, keypoints, camera.rate_hz))
        return evaluator, self._record(camera, network, output, evaluator, given, units)

    def _record(
        self,
        camera: CameraInfo,
        network: NetworkInUse,
        output: OutputInfo,
        evaluator: RuleEvaluator,
        given: tuple[str, ...],
        units: tuple[str, ...],
    ) -> Record:
        settings = self._settings.session
        if settings is None:
            return NoRecord()
        manifest, neural = self._engine.manifest, self._neural
        sha256 = engine_hashes(self._engine)
        if output.build:
            sha256["firmware"] = output.build
        if neural is not None:
            sha256 |= neural.sha256
        return self._opened_record(
            settings,
            evaluator,
            sha256,
            CameraSetup(
                "",
                manifest.skeleton,
                manifest.score.definition,
                camera,
                network.engine,
                network.backend.as_dict(),
                network.crop,
                evaluator.bank.names,
                given,
                evaluator.bank.units + units,
                camera.rate_hz,
            ),
        )


def engine_hashes(engine: Engine, camera: str = "") -> dict[str, str]:
    """Return the hashes of an engine and of the view that it keeps, by name; of one of several cameras with its name."""
    of = f"{camera}." if camera else ""
    found = {f"{of}engine": engine.sha256}
    if (view := view_hash(engine)) is not None:
        found[f"{of}view"] = view
    return found


def animal_light(settings: SessionSettings, limits: AnimalSettings | None) -> AnimalLight | None:
    """Return what the session's animal has had so far, where the rig limits it."""
    if settings.subject is None or limits is None:
        return None
    since_ns = wall_ns() - round(limits.hours * 3600 * NS_PER_S)
    earlier = earlier_light(settings.folder, settings.subject, since_ns)
    return AnimalLight(settings.subject, limits, earlier, now_s=0.0)


def end_grace_ns(rig: RigSettings, rules: RulesFile | None) -> int:
    """Return how long after a pulse its end must have been reported; later is a fault.

    As long as an answer may take, of a gate that is given longer for it. With a blinded rule longer by the pause between
    frames at which a loop disarms: its output is heard when a frame has been published, not before it is decided on.

    Parameters
    ----------
    rig : RigSettings
    rules : RulesFile or None
        What decides.
    """
    answer_ms = rig.output.answer_ms if isinstance(rig.output, GateOutputSettings) else 0.0
    grace_ns = max(GRACE_NS, round(answer_ms * NS_PER_MS))
    if rules is not None and any(
        each.schedule is not None and each.schedule.blind for each in rules.rules.values()
    ):
        grace_ns += round(rig.arming.frame_timeout_ms * NS_PER_MS)
    return grace_ns
