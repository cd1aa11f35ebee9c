"""The closed loop of a rig with several cameras, put together from its configuration; what `Assembly` is to one camera."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from rtface.config import SessionSettings
from rtface.config.multi import MultiRig
from rtface.core.budget import Budget, BudgetWatch
from rtface.core.clock import NS_PER_MS, Clock
from rtface.core.outputs import OutputInfo
from rtface.core.records import CameraInfo
from rtface.decide.multi import OF_POSE, MultiEvaluator, RuleCamera
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.decide.unknowable import never_known_in_words, never_known_of
from rtface.live.arming import Arming
from rtface.live.assembly import animal_light, end_grace_ns, engine_hashes
from rtface.live.handler import NetworkInUse
from rtface.live.loop.multiwatch import MultiWatch
from rtface.live.loop.record import Announce, NoRecord, Record
from rtface.live.loop.watch import LoopWatch
from rtface.live.multi.closed_loop import MultiClosedLoop, MultiOpened
from rtface.live.multi.handler import OpenCamera
from rtface.live.multi.pipeline import MultiPipeline
from rtface.live.multi.seat import CameraSeat
from rtface.live.rulesfile import Rules
from rtface.live.selftest import AnimalLight, Circumstances, Verdict, multi_self_test
from rtface.live.shown.features import FeatureFeed
from rtface.record.session.cameras.forecast import VideoForecast
from rtface.record.session.cameras.setup import CameraSetup, Setup
from rtface.record.session.recorder import SessionRecorder
from rtface.stimulate.factory import make_output
from rtface.track.recheck import require_as_verified
from rtface.track.store import Engine

_log = logging.getLogger(__name__)


class MultiAssembly:
    """Makes the parts of a closed loop: `loop` before the pipeline, which calls it, and `arming` after.

    Parameters
    ----------
    rig : MultiRig
    session : str
        Id of the session.
    engines : mapping of str to Engine
        By the camera's name.
    announce : Announce
        Publishes an event, in the processing thread.
    clock : Clock
    feed : FeatureFeed or None
        Publishes features and rules for who looks on.

    Attributes
    ----------
    loop : MultiClosedLoop

    Raises
    ------
    ConfigError
        The rules file is wrong; with file and line.
    """

    def __init__(
        self,
        rig: MultiRig,
        session: str,
        engines: Mapping[str, Engine],
        announce: Announce,
        clock: Clock,
        feed: FeatureFeed | None = None,
    ) -> None:
        self._rig, self._session, self._engines, self._clock = rig, session, engines, clock
        self._rules = None if rig.rules is None else Rules(rig.rules)
        if self._rules is not None:
            self._rules.draw_session()
        self._animal: AnimalLight | None = None
        self._never_known: tuple[str, ...] = ()
        self._evaluator: MultiEvaluator | None = None
        self._output = make_output(rig.output, clock)
        budget = None if rig.latency.budget is None else Budget.parse(rig.latency.budget)
        self._budgets = {
            name: None if budget is None else BudgetWatch(budget, rig.latency.budget_frames)
            for name in engines
        }
        timeout_ns = round(rig.arming.frame_timeout_ms * NS_PER_MS)
        watch = MultiWatch({name: LoopWatch(each, timeout_ns) for name, each in self._budgets.items()})
        self.loop = MultiClosedLoop(
            self._output, rig.output.kind, self._open, announce, watch, feed=feed, clock=clock
        )

    def arming(self, pipeline: MultiPipeline) -> Arming:
        """Return what arms and disarms the loop, which reacts in `pipeline`."""
        return Arming(
            self.loop,
            self._output,
            pipeline,
            lambda: self._tested(pipeline),
            clients=self._rig.arming.clients,
        )

    def _tested(self, pipeline: MultiPipeline) -> Verdict:
        pulses, evaluator = self.loop.pulses, self._evaluator
        lost = () if evaluator is None else evaluator.lost_cameras
        needs = {} if evaluator is None else {rule: evaluator.needs[rule] for rule in pulses}
        found = {name: self._circumstances(seat) for name, seat in pipeline.seats.items()}
        return multi_self_test(found, lost, needs)

    def _circumstances(self, seat: CameraSeat) -> Circumstances:
        disk, network = self.loop.disk_fault, seat.network
        return Circumstances(
            camera=seat.info,
            status=seat.status(),
            parity=lambda: require_as_verified(seat.engine, seat.backend, network.recheck),
            output=self.loop.output_info,
            output_checks=self._output.self_test,
            settings=self._rig.output,
            pulses=self.loop.pulses,
            budget=self._budgets[seat.name],
            session=self.loop.status.session,
            disk_fault="" if disk is None else disk.text,
            never_known=self._never_known,
            any_view=self._rig.arming.any_view,
            keeps_view=network.keeps_view,
            animal=None if self._animal is None else replace(self._animal, now_s=self.loop.light_s),
            baselines=self.loop.baselines,
        )

    def _open(self, cameras: Mapping[str, OpenCamera], output: OutputInfo) -> MultiOpened:
        of_rules = [
            RuleCamera(
                name,
                tuple(point.name for point in self._engines[name].manifest.skeleton),
                camera.rate_hz,
                (camera.width, camera.height),
            )
            for name, (camera, _) in cameras.items()
        ]
        rules, grace_ns = self._rules, self._grace_ns
        if rules is None:
            evaluator = MultiEvaluator(RulesFile(), of_rules)
        else:
            evaluator = rules.multi_evaluator(of_rules, grace_ns=grace_ns, alike_ns=ALIKE_NS)
        self._never_known = tuple(
            never_known_in_words(rule, values, camera.rate_hz)
            for camera in of_rules
            if camera.rate_hz is not None
            for rule, values in never_known_of(
                evaluator.rules, evaluator.bank_of(camera.name), camera.name, camera.rate_hz
            ).items()
        )
        for each in self._never_known:
            _log.warning("%s", each)
        self._evaluator = evaluator
        return evaluator, self._record(cameras, evaluator, output)

    @property
    def _grace_ns(self) -> int:
        return end_grace_ns(self._rig, None if self._rules is None else self._rules.spec)

    def _record(
        self, cameras: Mapping[str, OpenCamera], evaluator: MultiEvaluator, output: OutputInfo
    ) -> Record:
        settings = self._rig.session
        if settings is None:
            return NoRecord()
        self._animal = animal_light(settings, self._rig.arming.animal)
        sha256 = {"firmware": output.build} if output.build else {}
        for name, engine in self._engines.items():
            sha256 |= engine_hashes(engine, name)
        if settings.frames != "none":
            _say_forecast(settings, {name: camera for name, (camera, _) in cameras.items()})
        each = [self._setup(name, *cameras[name], evaluator) for name in cameras]
        first = each[0]
        recorder = SessionRecorder(
            settings,
            self._session,
            Setup(
                rig=self._rig.model_dump_json(indent=2),
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
                cameras=each,
            ),
            on_fault=self.loop.disk_failed,
            clock=self._clock,
        )
        recorder.open()
        return recorder

    def _setup(
        self, name: str, camera: CameraInfo, network: NetworkInUse, evaluator: MultiEvaluator
    ) -> CameraSetup:
        manifest, bank = self._engines[name].manifest, evaluator.bank_of(name)
        given = tuple(f"{name}.{each}" for each in OF_POSE) if evaluator.given_names else ()
        return CameraSetup(
            name,
            manifest.skeleton,
            manifest.score.definition,
            camera,
            network.engine,
            network.backend.as_dict(),
            network.crop,
            bank.names,
            given,
            (*bank.units, *["1"] * len(given)),
            camera.rate_hz,
        )


def _say_forecast(settings: SessionSettings, cameras: Mapping[str, CameraInfo]) -> None:
    """Log how much video there will be, and for how long there is room."""
    forecast = VideoForecast.room_in(settings, cameras)
    if forecast is not None:
        level = logging.WARNING if forecast.short else logging.INFO
        _log.log(level, "%s", forecast.in_words(settings.frames))
