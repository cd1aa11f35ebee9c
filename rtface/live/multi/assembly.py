"""The closed loop of a rig with several cameras, put together from its configuration; what `Assembly` is to one camera."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from rtface.config import SessionSettings
from rtface.config.multi import MultiRig
from rtface.core.clock import Clock
from rtface.core.outputs import OutputInfo
from rtface.core.records import CameraInfo
from rtface.decide.multi import OF_POSE, MultiEvaluator, RuleCamera
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.decide.unknowable import never_known_in_words, never_known_of
from rtface.live.arming import Arming
from rtface.live.assembly import LoopAssembly, engine_hashes
from rtface.live.handler import NetworkInUse
from rtface.live.loop.multiwatch import MultiWatch
from rtface.live.loop.record import Announce, NoRecord, Record
from rtface.live.loop.watch import LoopWatch
from rtface.live.multi.closed_loop import MultiClosedLoop, MultiOpened
from rtface.live.multi.handler import OpenCamera
from rtface.live.multi.pipeline import MultiPipeline
from rtface.live.multi.seat import CameraSeat
from rtface.live.selftest import Circumstances, Verdict, multi_self_test
from rtface.live.shown.features import FeatureFeed
from rtface.record.session.cameras.forecast import VideoForecast
from rtface.record.session.cameras.setup import CameraSetup
from rtface.track.recheck import require_as_verified
from rtface.track.store import Engine

_log = logging.getLogger(__name__)


class MultiAssembly(LoopAssembly):
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

    loop: MultiClosedLoop

    def __init__(
        self,
        rig: MultiRig,
        session: str,
        engines: Mapping[str, Engine],
        announce: Announce,
        clock: Clock,
        feed: FeatureFeed | None = None,
    ) -> None:
        super().__init__(rig, session, clock)
        self._engines = engines
        self._evaluator: MultiEvaluator | None = None
        self._budgets = {name: self._budget_watch() for name in engines}
        watch = MultiWatch(
            {name: LoopWatch(each, self._frame_timeout_ns) for name, each in self._budgets.items()}
        )
        self.loop = MultiClosedLoop(
            self._output, rig.output.kind, self._open, announce, watch, feed=feed, clock=clock
        )

    def arming(self, pipeline: MultiPipeline) -> Arming:
        """Return what arms and disarms the loop, which reacts in `pipeline`."""
        return self._arming(pipeline, lambda: self._tested(pipeline))

    def _tested(self, pipeline: MultiPipeline) -> Verdict:
        pulses, evaluator = self.loop.pulses, self._evaluator
        lost = () if evaluator is None else evaluator.lost_cameras
        needs = {} if evaluator is None else {rule: evaluator.needs[rule] for rule in pulses}
        found = {name: self._of_seat(seat) for name, seat in pipeline.seats.items()}
        return multi_self_test(found, lost, needs)

    def _of_seat(self, seat: CameraSeat) -> Circumstances:
        network = seat.network
        return self._circumstances(
            seat.info,
            seat.status(),
            lambda: require_as_verified(seat.engine, seat.backend, network.recheck),
            self._budgets[seat.name],
            keeps_view=network.keeps_view,
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
        self._say_never_known(
            tuple(
                never_known_in_words(rule, values, camera.rate_hz)
                for camera in of_rules
                if camera.rate_hz is not None
                for rule, values in never_known_of(
                    evaluator.rules, evaluator.bank_of(camera.name), camera.name, camera.rate_hz
                ).items()
            )
        )
        self._evaluator = evaluator
        return evaluator, self._record(cameras, evaluator, output)

    def _record(
        self, cameras: Mapping[str, OpenCamera], evaluator: MultiEvaluator, output: OutputInfo
    ) -> Record:
        settings = self._settings.session
        if settings is None:
            return NoRecord()
        sha256 = {"firmware": output.build} if output.build else {}
        for name, engine in self._engines.items():
            sha256 |= engine_hashes(engine, name)
        if settings.frames != "none":
            _say_forecast(settings, {name: camera for name, (camera, _) in cameras.items()})
        each = [self._setup(name, *cameras[name], evaluator) for name in cameras]
        return self._opened_record(settings, evaluator, sha256, each[0], each)

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
