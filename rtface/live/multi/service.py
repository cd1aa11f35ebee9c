"""The service of a rig with several cameras: what `rtface.live.service.Service` is to one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from rtface.acquire.outside.passage import AVAILABLE
from rtface.config.multi import MultiRig
from rtface.core.clock import SYSTEM_CLOCK, Clock
from rtface.core.errors import UsageError
from rtface.core.geometry import whole_frame
from rtface.core.latency import StageSummary
from rtface.core.records import Crop, Losses, Pose
from rtface.core.status import Gap, PipelineStatus
from rtface.live.assembly import needs_loop
from rtface.live.multi.assembly import MultiAssembly
from rtface.live.multi.cores import own_cores, shared_out
from rtface.live.multi.pipeline import MultiPipeline
from rtface.live.multi.seat import CameraSeat
from rtface.live.served import LONGEST_ERROR, Served, describe_backend
from rtface.publish.commands import CameraHello, Hello, crop_map
from rtface.publish.control import ControlServer
from rtface.publish.pictures.publisher import PicturePublisher
from rtface.publish.publisher import Publisher
from rtface.publish.status import ServiceStatus, camera_map, camera_status_map
from rtface.publish.wire import known, losses_map
from rtface.track.backends.factory import engine_for
from rtface.track.facefinder import FoundFace
from rtface.track.rigcrop import with_crop
from rtface.track.store import Engine


class CameraSink:
    """Publishes the poses of one camera of several; a `rtface.publish.sink.PoseSink` by a publisher that all share.

    Parameters
    ----------
    publisher : Publisher
        Opened and closed elsewhere.
    camera : str
    """

    def __init__(self, publisher: Publisher, camera: str) -> None:
        self._publisher, self._camera = publisher, camera

    @property
    def lost(self) -> int:
        """Poses of it that could not be handed over."""
        return self._publisher.lost_of(self._camera)

    def open(self) -> None:
        """Nothing: the publisher is opened for all."""

    def publish(self, pose: Pose, losses: Losses) -> int:
        """Publish a pose."""
        return self._publisher.publish(pose, losses)

    def close(self) -> None:
        """Nothing: the publisher is closed for all."""


class MultiService(Served):
    """A rig of several cameras that runs, under the command of clients.

    Parameters
    ----------
    rig : MultiRig
        A checked configuration.
    clock : Clock
        Source of the stamps.

    Attributes
    ----------
    engines : dict of str to Engine
        By the camera's name.
    faces : dict of str to FoundFace
        Where the face was found, for crops that are `auto`.

    Raises
    ------
    EngineError, BackendError, AddressError
        An engine, a back end or the keys are not there.
    ConfigError
        The rules file is wrong.
    """

    def __init__(self, rig: MultiRig, *, clock: Clock = SYSTEM_CLOCK) -> None:
        if not AVAILABLE:
            raise UsageError(
                "several cameras need memory that two processes have, for which there is no way here yet: Linux"
            )
        self.engines: dict[str, Engine] = {}
        self.faces: dict[str, FoundFace] = {}
        rigs = {}
        for name in rig.cameras:
            alone = rig.of(name)
            engine = self.engines[name] = engine_for(alone.engine, alone.backend)
            rigs[name], face = with_crop(alone, engine)
            if face is not None:
                self.faces[name] = face
        super().__init__(rig, clock, tuple(rig.cameras))
        cores = shared_out(
            list(rig.cameras), {name: each.cores for name, each in rig.cameras.items()}, own_cores()
        )
        self._pictures: dict[str, PicturePublisher] = {}
        if (pictures := rig.publish.pictures) is not None:
            addresses = rig.picture_addresses.items()
            self._pictures = {name: self._publish_pictures(pictures, address) for name, address in addresses}
        pixels = bool(self._pictures) or (rig.session is not None and rig.session.frames != "none")
        seats = [
            CameraSeat(
                name,
                rigs[name],
                self.engines[name],
                cores[name],
                CameraSink(self._publisher, name),
                pixels=pixels,
                show=self._pictures[name].offer if self._pictures else None,
                clock=clock,
            )
            for name in rig.cameras
        ]
        assembly = None
        if needs_loop(rig):
            announce, feed = self._announcer(rig), self._feed(rig)
            assembly = MultiAssembly(rig, self.session, self.engines, announce, clock, feed)
        self._pipeline = MultiPipeline(
            seats,
            self._publisher,
            handler=None if assembly is None else assembly.loop,
            on_gap=self._publish_gap,
            on_tick=self._publish_statuses,
            clock=clock,
        )
        self._cameras: dict[str, dict[str, Any]] = {}
        self._arming = None if assembly is None else assembly.arming(self._pipeline)
        self._control = ControlServer(
            rig.publish.control, self, self._context, guard=self._guard, clock=clock
        )

    @property
    def processing(self) -> MultiPipeline:
        """The thread that decides, for its end."""
        return self._pipeline

    @property
    def pipeline(self) -> MultiPipeline:
        """The pipeline, for its cameras, their networks and status, and its end."""
        return self._pipeline

    def hello(self) -> Mapping[str, Any]:
        """Say what the service is; command ``hello``."""
        cameras = {
            seat.name: _camera_hello(seat, self._address_of_pictures(seat.name))
            for seat in self._pipeline.seats.values()
        }
        first = next(iter(cameras.values()))
        return Hello(
            session=self.session,
            skeleton=first.skeleton,
            width=first.width,
            height=first.height,
            crop=first.crop,
            engine=first.engine,
            engine_hash=first.engine_hash,
            score_definition=first.score_definition,
            keypoints_address=self.keypoints_address,
            control_address=self.control_address,
            camera=first.camera,
            pictures_address=self.pictures_address,
            cameras=cameras,
        ).as_map()

    def status(self) -> Mapping[str, Any]:
        """Say how the service is; command ``status``."""
        return self._service_status(self._pipeline.statuses()).as_map()

    def set_crop(self, crop: Crop | None, camera: str = "") -> Mapping[str, Any]:
        """Look at another part of a camera's frames; command ``set_crop``. Not while armed."""
        if not camera:
            raise UsageError(f"which camera? There are: {', '.join(self._pipeline.seats)}")
        with nullcontext() if self._arming is None else self._arming.disarmed("set_crop"):
            return {"camera": camera, "crop": crop_map(self._pipeline.set_crop(camera, crop))}

    def _resume(self) -> None:
        self._pipeline.resume()

    def _pause(self) -> None:
        self._pipeline.pause()

    def _state(self) -> str:
        return self._pipeline.state.value

    def _publish_statuses(self, statuses: Mapping[str, PipelineStatus]) -> None:
        self._publish(self._service_status(statuses))

    def _publish_gap(self, camera: str, gap: Gap) -> None:
        t_ns = gap.begun_ns if gap.ended_ns is None else gap.ended_ns
        self._publisher.publish_event("camera", t_ns, {"camera": camera} | gap.as_map())

    def _address_of_pictures(self, camera: str) -> str:
        return self._pictures[camera].address if self._pictures else ""

    def _camera(self, seat: CameraSeat) -> dict[str, Any]:
        """Return what a camera is, which does not change: made a map of once, not with each status."""
        if seat.name not in self._cameras:
            self._cameras[seat.name] = camera_map(seat.info)
        return self._cameras[seat.name]

    def _service_status(self, statuses: Mapping[str, PipelineStatus]) -> ServiceStatus:
        seats = self._pipeline.seats
        first = next(iter(seats.values()))
        error = self._pipeline.error
        views = [each.view_ok for each in statuses.values()]
        return ServiceStatus(
            state=self._pipeline.state,
            rate_hz=min(each.rate_hz for each in statuses.values()),
            frames=sum(each.frames for each in statuses.values()),
            losses=added([each.losses for each in statuses.values()]),
            latency=worst([each.latency for each in statuses.values()]),
            engine=first.engine.manifest.name,
            backend=describe_backend(first.backend),
            camera=self._camera(first),
            subscribers=self._subscribers,
            error=None if error is None else f"{type(error).__name__}: {error}"[:LONGEST_ERROR],
            loop={} if self._arming is None else self._arming.state(),
            view_ok=min(views, key=lambda each: (each != each, each)),
            pictures=self._pictures[first.name].state() if self._pictures else {},
            cameras={name: self._camera_status(seats[name], each) for name, each in statuses.items()},
        )

    def _camera_status(self, seat: CameraSeat, status: PipelineStatus) -> dict[str, Any]:
        said = camera_status_map(status)
        return {
            "state": status.state.value,
            "rate_hz": status.rate_hz,
            "frames": status.frames,
            "losses": losses_map(status.losses),
            "latency": {stage: summary.as_dict() for stage, summary in status.latency.items()},
            "engine": seat.engine.manifest.name,
            "backend": describe_backend(seat.backend),
            "camera": self._camera(seat),
            "error": None if status.error is None else status.error[:LONGEST_ERROR],
            **known("view_ok", status.view_ok),
            **({"camera_status": said} if said else {}),
            **({"pictures": self._pictures[seat.name].state()} if self._pictures else {}),
            **({} if status.gap is None else {"gap": status.gap.as_map()}),
        }


def added(losses: list[Losses]) -> Losses:
    """Return the losses of all cameras together."""
    missed = [each.missed_triggers for each in losses if each.missed_triggers is not None]
    return Losses(
        sum(each.camera for each in losses),
        sum(each.transport for each in losses),
        sum(each.ring for each in losses),
        sum(each.publish for each in losses),
        all(each.transport_known for each in losses),
        sum(missed) if missed else None,
    )


def worst(latencies: list[dict[str, StageSummary]]) -> dict[str, StageSummary]:
    """Return of each stage the summary with the greatest 99th percentile."""
    return {
        stage: max((each[stage] for each in latencies), key=lambda one: one.p99_ms) for stage in latencies[0]
    }


def _camera_hello(seat: CameraSeat, pictures_address: str) -> CameraHello:
    info, manifest = seat.info, seat.engine.manifest
    crop = seat.network.in_use.crop
    return CameraHello(
        skeleton=manifest.skeleton,
        width=info.width,
        height=info.height,
        crop=None if crop == whole_frame(info.width, info.height) else crop,
        engine=manifest.name,
        engine_hash=seat.engine.sha256,
        score_definition=manifest.score.definition,
        camera=camera_map(info),
        pictures_address=pictures_address,
    )
