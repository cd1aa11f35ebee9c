"""One camera of several, as the process that decides has it: what comes of its tracking process, and how it does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from rtface.acquire.lasting import LastingStream
from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.outside.patience import Patience
from rtface.acquire.ring import Slot, host_memory
from rtface.acquire.stream import Silence
from rtface.acquire.timing.exposures import Warner
from rtface.config import Rig
from rtface.core.clock import NS_PER_MS, NS_PER_S, Clock
from rtface.core.errors import CameraLostError, RtfaceError
from rtface.core.records import CameraInfo, Crop, Image, Pose
from rtface.core.status import Gap, PipelineState, PipelineStatus
from rtface.live.handler import NetworkInUse
from rtface.live.multi.cores import Cores
from rtface.live.multi.posebytes import pose_bytes, pose_in
from rtface.live.multi.tracking import make_tracking
from rtface.live.tally import Tally
from rtface.publish.sink import PoseSink
from rtface.track.backends.base import BackendInfo
from rtface.track.recheck import Recheck
from rtface.track.store import Engine

PATIENCE = Patience(begin_s=60.0, open_s=120.0, start_s=15.0, fetch_s=5.0, stop_s=8.0, close_s=8.0)
"""A network is compiled while a camera opens, and its own driver may be waited for."""

CALL_S = 60.0
"""How long a tracking process may take for another crop, in seconds: it may compile anew."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrackedNetwork:
    """What finds a camera's keypoints.

    Attributes
    ----------
    in_use : NetworkInUse
    recheck : Recheck
        How the frames of the parity record came out when it was last prepared.
    keeps_view : bool
        Whether the engine can tell a view that it knows.
    """

    in_use: NetworkInUse
    recheck: Recheck
    keeps_view: bool


class CameraSeat:
    """A camera with its tracking process; all belongs to the processing thread but the attributes and `status`.

    Parameters
    ----------
    name : str
    rig : Rig
        As `MultiRig.of` returns it, with a crop in numbers.
    engine : Engine
        The one that the tracking process will run.
    cores : tuple of int
        Of the tracking process; empty for any.
    sink : PoseSink
        Where its poses go.
    pixels : bool
        Whether its frames are wanted here, and not its poses alone.
    show : callable or None
        Given each frame, its pose and the crop as soon as the pose is published; must neither wait nor fail.
    clock : Clock

    Attributes
    ----------
    state : PipelineState
    error : BaseException or None
        What ended it.
    """

    def __init__(
        self,
        name: str,
        rig: Rig,
        engine: Engine,
        cores: Cores,
        sink: PoseSink,
        *,
        pixels: bool,
        show: Callable[[Image, Pose, Crop], None] | None = None,
        clock: Clock,
    ) -> None:
        self.name, self.engine, self._clock = name, engine, clock
        crop, backend = rig.fixed_crop, rig.backend
        if backend.threads is None and cores:
            backend = backend.model_copy(update={"threads": len(cores)})
        self._camera = OutsideCamera(
            rig.camera.kind,
            f"{make_tracking.__module__}:{make_tracking.__name__}",
            {
                "camera": rig.camera.model_dump(mode="json"),
                "engine": rig.engine,
                "backend": backend.model_dump(mode="json"),
                "crop": None if crop is None else asdict(crop),
                "slots": rig.slots,
                "cores": list(cores),
                "pixels": pixels,
            },
            rig.slots,
            PATIENCE,
            pose_bytes(len(engine.manifest.keypoints)),
        )
        reconnect_ns = round(getattr(rig.camera, "reconnect_s", 0.0) * NS_PER_S)
        self.stream = LastingStream(self._camera, rig.slots, reconnect_ns, clock)
        self.tally = Tally(self.stream, sink, round(rig.latency.deadline_ms * NS_PER_MS))
        self.silence = Silence(
            self.stream, None if rig.silence_s is None else round(rig.silence_s * NS_PER_S), clock
        )
        self._warner = Warner()
        self._sink, self._show = sink, show
        self._network: TrackedNetwork | None = None
        self._displaced = self._displaced_before = 0
        self.state = PipelineState.STARTING
        self.error: BaseException | None = None

    @property
    def info(self) -> CameraInfo:
        """The camera as it was opened; `UsageError` before that."""
        return self.stream.info

    @property
    def network(self) -> TrackedNetwork:
        """What finds its keypoints; known once it is open."""
        if self._network is None:
            raise CameraLostError(f"camera {self.name} has not been opened")
        return self._network

    @property
    def backend(self) -> BackendInfo:
        """What runs its network."""
        return self.network.in_use.backend

    @property
    def done(self) -> bool:
        """Whether no more frames will come of it."""
        return self.error is not None or self.stream.ended

    @property
    def waits_on(self) -> tuple[int, ...]:
        """What becomes readable when there is something to take."""
        return () if self.done or self.stream.opening else self._camera.waits_on

    def open(self) -> None:
        """Open camera and network; from any thread, before all else. Errors name the camera."""
        try:
            self.stream.open()
            self._learn_network()
        except RtfaceError as error:
            raise type(error)(f"camera {self.name}: {error}") from error
        self.silence.trigger = self.info.trigger

    def start(self) -> None:
        """Have frames come; `CameraLostError` where it was lost before it ever ran."""
        if self.stream.running or self.done:
            return
        self.stream.start(host_memory)
        self.silence.begin(self._clock.now_ns())
        self.tally.exposures.begin(self.info)
        self.state = PipelineState.RUNNING if self.stream.gap is None else PipelineState.STOPPED

    def take(self) -> Slot | None:
        """Return its newest frame, if one waits; `CameraLostError` where it is lost for good."""
        was_opening = self.stream.opening
        slot = self.stream.take(0)
        if was_opening and not self.stream.opening:
            self.silence.begin(self._clock.now_ns())
            self._displaced_before += self._displaced
            self._displaced = 0
        if slot is not None:
            self.silence.begin(self._clock.now_ns())
        elif self.info.live and not self.done and not self.stream.opening:
            try:
                self.silence.check()
            except CameraLostError as error:
                self.stream.lose(error)
        if self.stream.ended:
            self.state = PipelineState.ENDED
        return slot

    def news(self) -> Gap | None:
        """Return the next gap that has begun or ended, None without one; once it is back what runs its network is read anew."""
        gap = self.stream.news()
        if gap is None:
            return None
        back = gap.ended_ns is not None
        self.state = PipelineState.RUNNING if back and self.stream.running else PipelineState.STOPPED
        self.silence.begin(self._clock.now_ns())
        self.tally.forget_rate()
        self.tally.forget_view()
        if back:
            self._learn_network()
        return gap

    def failed(self, error: CameraLostError) -> Gap | None:
        """Take it that the camera is lost for good; return the gap that begins with it, None where one had begun."""
        self.error, self.state = error, PipelineState.FAILED
        self.tally.forget_rate()
        self.tally.forget_view()
        if self.stream.gap is not None:
            return None
        return Gap(self._clock.now_ns(), str(error))

    def pose(self, slot: Slot) -> Pose:
        """Return the pose beside a frame, which is that of this camera."""
        assert slot.meta is not None  # a slot that was taken has one
        slot.meta = replace(slot.meta, camera=self.name)
        found = pose_in(slot.beside, slot.meta)
        self._displaced = found.displaced
        self.tally.displaced = self._displaced_before + found.displaced
        return found.pose

    def published(self, slot: Slot, pose: Pose, handled_ns: int, published_ns: int) -> None:
        """Give a frame back, and count it."""
        self.stream.release(slot)
        self.tally.add(pose, handled_ns, published_ns)

    def publish(self, pose: Pose) -> int:
        """Publish a pose of it; as of `PoseSink.publish`."""
        return self._sink.publish(pose, self.tally.losses())

    def show(self, image: Image, pose: Pose) -> None:
        """Show a frame whose pose was published to who looks on."""
        if self._show is not None:
            self._show(image, pose, self.network.in_use.crop)

    def use_crop(self, crop: Crop | None) -> TrackedNetwork:
        """Look at another part of its frames; `UsageError` where that reaches beyond them."""
        plain = None if crop is None else asdict(crop)
        self._network = self._read(self._camera.call("use_crop", CALL_S, crop=plain))
        self._camera.use_arguments(crop=plain)
        self.tally.forget_view()
        return self._network

    def tick(self) -> PipelineStatus:
        """Return how it is, and log what does not hold."""
        status = self.status()
        self._warner.look(status.camera)
        return status

    def status(self) -> PipelineStatus:
        """Return a snapshot; may be called from any thread once it is open."""
        return self.tally.status(self.state, self._camera, self.silence, self.error)

    def stop(self) -> None:
        """Stop the camera; `CameraLostError` where it does not answer and is not to be opened again."""
        self.stream.stop()
        if not self.done:
            self.state = PipelineState.STOPPED

    def close(self) -> None:
        """End the tracking process."""
        self.stream.close()

    def _learn_network(self) -> None:
        before = self._network
        self._network = self._read(self._camera.call("network", CALL_S))
        if before is not None and before.in_use.backend != self._network.in_use.backend:
            _log.warning("camera %s is back with another network: %s", self.name, self._network.in_use)

    def _read(self, said: dict[str, Any]) -> TrackedNetwork:
        return TrackedNetwork(
            NetworkInUse(self.engine.manifest.name, BackendInfo(**said["backend"]), Crop(**said["crop"])),
            Recheck(**said["recheck"]),
            said["keeps_view"],
        )
