"""The service: a rig's configuration brought to life.

Opens the control socket, the pipeline and the closed loop, answers commands, publishes the status, and closes everything in the
right order. Used by `rtface run`, `rtface demo` and the benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import Any

from rtface.acquire.base import Camera
from rtface.acquire.factory import make_camera
from rtface.config import Rig
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import UsageError
from rtface.core.geometry import whole_frame
from rtface.core.records import Crop
from rtface.core.status import Gap, PipelineStatus
from rtface.live.assembly import Assembly, needs_loop
from rtface.live.handler import PoseHandler
from rtface.live.neural import NeuralHandler, NeuralPredictor
from rtface.live.pipeline import Pipeline
from rtface.live.served import LONGEST_ERROR, Served, describe_backend
from rtface.publish.commands import Hello, crop_map
from rtface.publish.control import ControlServer
from rtface.publish.status import ServiceStatus, camera_map, camera_status_map
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.rigcrop import with_crop
from rtface.track.store import Engine
from rtface.track.tracker import Tracker


class Service(Served):
    """A rig that runs: camera to ZeroMQ, under the command of clients.

    Parameters
    ----------
    rig : Rig
        A checked configuration.
    camera : Camera, optional
        In place of the one that the configuration names.
    clock : Clock
        Source of the stamps.

    Attributes
    ----------
    session : str
        Id of this life of the service.
    engine : Engine
    face : FoundFace or None
        Where the face was found, for a crop that is `auto`.
    neural : NeuralPredictor or None

    Raises
    ------
    EngineError, BackendError, AddressError
        The engine, the encoder, the back end or the keys are not there.
    ConfigError
        The rules file is wrong.
    """

    def __init__(self, rig: Rig, *, camera: Camera | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.engine: Engine = engine_for(rig.engine, rig.backend)
        rig, self.face = with_crop(rig, self.engine)
        self._rig = rig
        tracker = Tracker(self.engine, make_backend(self.engine, rig.backend), clock)
        super().__init__(rig, clock)
        pictures = rig.publish.pictures
        self._pictures = None if pictures is None else self._publish_pictures(pictures, pictures.address)
        self.neural: NeuralPredictor | None = None
        handler: PoseHandler | None = None
        if rig.encoder is not None:
            skeleton = self.engine.manifest.skeleton
            self.neural = NeuralPredictor(rig.encoder, skeleton, self._publisher.publish_neural)
            handler = NeuralHandler(self.neural)
        assembly = None
        if needs_loop(rig):
            announce, feed = self._announcer(rig), self._feed(rig)
            assembly = Assembly(rig, self.session, self.engine, announce, clock, self.neural, feed)
            handler = assembly.loop
        self._pipeline = Pipeline(
            camera or make_camera(rig.camera, clock),
            tracker,
            self._publisher,
            handler=handler,
            crop=rig.fixed_crop,
            slots=rig.slots,
            deadline_ns=round(rig.latency.deadline_ms * NS_PER_MS),
            silence_ns=None if rig.silence_s is None else round(rig.silence_s * NS_PER_S),
            reconnect_ns=round(getattr(rig.camera, "reconnect_s", 0.0) * NS_PER_S),
            show=None if self._pictures is None else self._pictures.offer,
            on_gap=self._publish_gap,
            on_tick=self._publish_status,
            clock=clock,
        )
        self._arming = None if assembly is None else assembly.arming(self._pipeline)
        self._control = ControlServer(
            rig.publish.control, self, self._context, guard=self._guard, clock=clock
        )

    @property
    def processing(self) -> Pipeline:
        """The thread that decides, for its end."""
        return self._pipeline

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline, for its camera, back end, status and end."""
        return self._pipeline

    def hello(self) -> Mapping[str, Any]:
        """Say what the service is; command ``hello``."""
        camera, crop, manifest = self._pipeline.camera, self._pipeline.crop, self.engine.manifest
        return Hello(
            session=self.session,
            skeleton=manifest.skeleton,
            width=camera.width,
            height=camera.height,
            crop=None if crop == whole_frame(camera.width, camera.height) else crop,
            engine=manifest.name,
            engine_hash=self.engine.sha256,
            score_definition=manifest.score.definition,
            keypoints_address=self.keypoints_address,
            control_address=self.control_address,
            camera=camera_map(camera),
            pictures_address=self.pictures_address,
            bridges=self.bridge_addresses,
        ).as_map()

    def status(self) -> Mapping[str, Any]:
        """Say how the service is; command ``status``."""
        return self._service_status(self._pipeline.status()).as_map()

    def set_crop(self, crop: Crop | None, camera: str = "") -> Mapping[str, Any]:
        """Look at another part of the frame; command ``set_crop``. Not while armed."""
        if camera:
            raise UsageError(f"this service has one camera, without a name: leave {camera!r} out")
        with nullcontext() if self._arming is None else self._arming.disarmed("set_crop"):
            return {"crop": crop_map(self._pipeline.set_crop(crop))}

    def _bridged_names(self) -> tuple[str, ...]:
        return self.engine.manifest.names

    def _resume(self) -> None:
        self._pipeline.resume()

    def _pause(self) -> None:
        self._pipeline.pause()

    def _state(self) -> str:
        return self._pipeline.status().state.value

    @cached_property
    def _camera(self) -> dict[str, Any]:
        """The camera, which does not change: made a map of once, not with each status."""
        return camera_map(self._pipeline.camera)

    def _publish_status(self, status: PipelineStatus) -> None:
        self._publish(self._service_status(status))

    def _publish_gap(self, gap: Gap) -> None:
        t_ns = gap.begun_ns if gap.ended_ns is None else gap.ended_ns
        self._publisher.publish_event("camera", t_ns, gap.as_map())

    def _service_status(self, status: PipelineStatus) -> ServiceStatus:
        return ServiceStatus(
            state=status.state,
            rate_hz=status.rate_hz,
            frames=status.frames,
            losses=status.losses,
            latency=status.latency,
            engine=self.engine.manifest.name,
            backend=describe_backend(self._pipeline.backend),
            camera=self._camera,
            subscribers=self._subscribers,
            error=None if status.error is None else status.error[:LONGEST_ERROR],
            loop={} if self._arming is None else self._arming.state(),
            view_ok=status.view_ok,
            gap={} if status.gap is None else status.gap.as_map(),
            pictures={} if self._pictures is None else self._pictures.state(),
            camera_status=camera_status_map(status),
            bridges=self._bridges.state(),
        )
