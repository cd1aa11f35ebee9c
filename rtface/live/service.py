"""The service: a rig's configuration brought to life.

Opens the control socket, the pipeline and the closed loop, answers commands, publishes the status, and closes everything in the
right order. Used by `rtface run`, `rtface demo` and the benchmarks.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import zmq

from rtface.acquire.base import Camera
from rtface.acquire.factory import make_camera
from rtface.config import Rig
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import ConfigError, ControlError, UsageError
from rtface.core.geometry import whole_frame
from rtface.core.records import Crop
from rtface.core.status import Gap, PipelineStatus
from rtface.live.alert import Alert
from rtface.live.arming import Arming
from rtface.live.assembly import Assembly, needs_loop
from rtface.live.handler import PoseHandler
from rtface.live.loop.record import Announce
from rtface.live.loop.standing import RTFACE
from rtface.live.neural import NeuralHandler, NeuralPredictor
from rtface.live.pipeline import Pipeline
from rtface.live.shown.features import FeatureFeed
from rtface.publish.address import check_address
from rtface.publish.bridges.processes import BridgeProcesses
from rtface.publish.commands import NO_LOOP, Hello, crop_map
from rtface.publish.control import ControlServer
from rtface.publish.keys import Guard, load_server_keys, with_own_client
from rtface.publish.pictures.publisher import PicturePublisher
from rtface.publish.publisher import Publisher
from rtface.publish.status import ServiceStatus, camera_map, camera_status_map
from rtface.track.backends.base import BackendInfo
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.rigcrop import with_crop
from rtface.track.store import Engine
from rtface.track.tracker import Tracker

_LONGEST_ERROR = 2_000
_UNNAMED = "an unnamed client"

_log = logging.getLogger(__name__)


class Service:
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
        self.session = secrets.token_hex(8)
        self.engine: Engine = engine_for(rig.engine, rig.backend)
        rig, self.face = with_crop(rig, self.engine)
        self._rig = rig
        tracker = Tracker(self.engine, make_backend(self.engine, rig.backend), clock)
        keys = None if rig.publish.keys is None else load_server_keys(rig.publish.keys)
        for setting, address in rig.publish.addresses.items():
            check_address(address, ".".join(("publish", *setting)), keys is not None)
        own = None
        if keys is not None and rig.publish.bridges:
            keys, own = with_own_client(keys)
        self._bridges, self._own_keys = BridgeProcesses(rig.publish.bridges), own
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._guard = None if keys is None else Guard(self._context, keys)
        self._publisher = Publisher(
            rig.publish.keypoints,
            self.session,
            self._context,
            queue=rig.publish.queue,
            guard=self._guard,
            clock=clock,
        )
        self._pictures: PicturePublisher | None = None
        if (pictures := rig.publish.pictures) is not None:
            self._pictures = PicturePublisher(
                pictures.address,
                self.session,
                self._context,
                per_second=pictures.per_second,
                quality=pictures.quality,
                longest=pictures.width,
                guard=self._guard,
                clock=clock,
            )
        self.neural: NeuralPredictor | None = None
        handler: PoseHandler | None = None
        if rig.encoder is not None:
            skeleton = self.engine.manifest.skeleton
            self.neural = NeuralPredictor(rig.encoder, skeleton, self._publisher.publish_neural)
            handler = NeuralHandler(self.neural)
        assembly = None
        if needs_loop(rig):
            announce: Announce = self._publisher.publish_event
            if rig.arming.alert is not None:
                announce = Alert(announce, rig.arming.alert, rig.output.kind, self.session)
            feed = FeatureFeed(
                self._publisher.publish_features, self._publisher.takes_features, rig.publish.features_hz
            )
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
        self._subscribers = 0
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Open everything; see `open`."""
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close everything; see `close`."""
        self.close()

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline, for its camera, back end, status and end."""
        return self._pipeline

    @property
    def has_loop(self) -> bool:
        """Whether the rig decides, acts or records."""
        return self._arming is not None

    @property
    def arming(self) -> Arming:
        """The commands of the closed loop; `ControlError` ``no_loop`` where there is none."""
        if self._arming is None:
            raise ControlError(
                NO_LOOP,
                "this service decides nothing: its rig's file has neither rules: nor output: nor session:",
            )
        return self._arming

    @property
    def record_fault(self) -> str:
        """Why the session's record is not what it should be; empty while it is. Complete once the service is closed."""
        return "" if self._arming is None else self._arming.record_fault

    @property
    def keypoints_address(self) -> str:
        """Where keypoints are published, with the port that was taken."""
        return self._publisher.address

    @property
    def control_address(self) -> str:
        """Where commands are taken, with the port that was taken."""
        return self._control.address

    @property
    def pictures_address(self) -> str:
        """Where pictures are published, with the port that was taken; empty where there are none."""
        return "" if self._pictures is None else self._pictures.address

    @property
    def bridge_addresses(self) -> Mapping[str, str]:
        """Where bridges publish, with the ports that were taken, by kind."""
        return self._bridges.addresses()

    def open(self) -> None:
        """Open the sockets, the camera and the network, and begin.

        Raises
        ------
        RtfaceError
            What could not be opened; everything else is closed again.
        """
        with ExitStack() as opened:
            opened.callback(self._end_context)
            if self._guard is not None:
                self._guard.open()
                opened.callback(self._guard.close)
            if self._pictures is not None:
                opened.callback(self._pictures.close)
                self._pictures.open()
            opened.callback(self._bridges.close)
            opened.callback(self._pipeline.stop)
            self._start_pipeline()
            names = (point.name for point in self.engine.manifest.skeleton)
            self._bridges.open(self.keypoints_address, names, self._rig.publish.keys, self._own_keys)
            opened.callback(self._control.close)
            self._control.open()
            opened.callback(self._pipeline.ask_to_stop)
            self._opened = opened.pop_all()

    def _start_pipeline(self) -> None:
        try:
            self._pipeline.start()
        except UsageError as error:  # of the pipeline's parts only the crop can be at odds with the camera
            raise ConfigError(str(error)) from error

    def _end_context(self) -> None:
        """End ZeroMQ's threads, unless the processing thread still uses a socket: that would crash both."""
        if self._pipeline.ended:
            self._context.destroy()
        else:
            _log.error("the processing thread did not end; its sockets stay open until this process ends")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the source or a failure; True when it has come."""
        return self._pipeline.wait(timeout_s)

    def close(self) -> None:
        """Stop and close everything; may be called any number of times."""
        self._opened.close()

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

    def start(self) -> Mapping[str, Any]:
        """Start the camera again; command ``start``."""
        self._pipeline.resume()
        return {"state": self._pipeline.status().state.value}

    def stop(self, who: str = "") -> Mapping[str, Any]:
        """Stop the camera and keep everything open, disarmed by whoever it was; command ``stop``."""
        if self._arming is not None:
            self._arming.disarm(who or _UNNAMED, "the camera is stopped")
        self._pipeline.pause()
        return {"state": self._pipeline.status().state.value}

    def set_crop(self, crop: Crop | None) -> Mapping[str, Any]:
        """Look at another part of the frame; command ``set_crop``. Not while armed."""
        with nullcontext() if self._arming is None else self._arming.disarmed("set_crop"):
            return {"crop": crop_map(self._pipeline.set_crop(crop))}

    @cached_property
    def _camera(self) -> dict[str, Any]:
        """The camera, which does not change: made a map of once, not with each status."""
        return camera_map(self._pipeline.camera)

    def _publish_status(self, status: PipelineStatus) -> None:
        arming = self._arming
        if self._control.deaf and arming is not None and arming.state()["state"] == "armed":
            arming.disarm(RTFACE, "commands from the network, an emergency stop too, are not taken any more")
        self._subscribers = self._publisher.count_subscribers()
        self._publisher.publish_status(self._service_status(status))

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
            error=None if status.error is None else status.error[:_LONGEST_ERROR],
            loop={} if self._arming is None else self._arming.state(),
            view_ok=status.view_ok,
            gap={} if status.gap is None else status.gap.as_map(),
            pictures={} if self._pictures is None else self._pictures.state(),
            camera_status=camera_status_map(status),
            bridges=self._bridges.state(),
        )


def describe_backend(info: BackendInfo) -> str:
    """Return one line that names back end, version, precision, threads and device."""
    threads = "" if info.threads is None else f", {info.threads} threads"
    plan = "" if info.plan is None else f", plan {info.plan}"
    return f"{info.name} {info.version} ({info.precision}{threads}{plan}) on {info.device}"
