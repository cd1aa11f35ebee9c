"""The pipeline: wires camera, ring, tracker and outputs, and owns the two threads of the hot path.

The acquisition thread fills the ring. The processing thread opens and owns everything else: it takes the newest
frame, finds the keypoints, hands them to the sink and has the frame counted. Other threads only ask it to do
something between two frames, or read the last snapshot of its state.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rtface.acquire.base import Camera
from rtface.acquire.lasting import LastingStream
from rtface.acquire.ring import Slot
from rtface.acquire.stream import Silence
from rtface.acquire.thread import POLL_S
from rtface.acquire.timing.exposures import Warner
from rtface.core.clock import NS_PER_MS, SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraLostError, UsageError
from rtface.core.records import CameraInfo, Crop, Image, Pose
from rtface.core.status import Gap, PipelineState, PipelineStatus
from rtface.live.handler import NetworkInUse, PoseHandler
from rtface.live.loopthread import LoopThread
from rtface.live.tally import Tally
from rtface.publish.sink import PoseSink
from rtface.track.backends.base import BackendInfo
from rtface.track.recheck import Recheck
from rtface.track.tracker import Tracker


class Pipeline(LoopThread):
    """From a camera to a sink.

    Parameters
    ----------
    camera : Camera
        Where frames come from; opened, started, stopped and closed by the pipeline.
    tracker : Tracker
        What finds the keypoints; opened and closed by the pipeline.
    sink : PoseSink
        Where poses go; opened, used and closed by the processing thread.
    handler : PoseHandler or None
        What acts on each pose before it is published, and records it after; likewise.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    slots : int
        Frames the ring can hold.
    deadline_ns : int
        From exposure to published; later ones are counted.
    silence_ns : int or None
        A live camera that delivers nothing for longer is lost; None to wait for ever.
    reconnect_ns : int
        How long a live camera that is lost is tried to be opened anew; 0: never.
    show : callable or None
        Given each frame, its pose and the crop as soon as the pose is published; must neither wait nor fail.
    on_gap : callable
        Given, in the processing thread, each `Gap` as it begins and as it ends.
    on_tick : callable
        Called in the processing thread with a `PipelineStatus` about once a second, and once more at the end.
    clock : Clock
        Source of the stamps.
    """

    def __init__(
        self,
        camera: Camera,
        tracker: Tracker,
        sink: PoseSink,
        *,
        handler: PoseHandler | None = None,
        crop: Crop | None = None,
        slots: int = 6,
        deadline_ns: int = 10 * NS_PER_MS,
        silence_ns: int | None = None,
        reconnect_ns: int = 0,
        show: Callable[[Image, Pose, Crop], None] | None = None,
        on_gap: Callable[[Gap], None] = lambda gap: None,
        on_tick: Callable[[PipelineStatus], None] = lambda status: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__()
        self._camera = camera
        self._tracker = tracker
        self._sink = sink
        self._handler: PoseHandler = handler or PoseHandler()
        self._crop = crop
        self._stream = LastingStream(camera, slots, reconnect_ns, clock)
        self._show, self._on_gap, self._on_tick = show, on_gap, on_tick
        self._silence = Silence(self._stream, silence_ns, clock)
        self._clock = clock
        self._tally = Tally(self._stream, sink, deadline_ns)
        self._warner = Warner()
        self._backend_info: BackendInfo | None = None

    @property
    def camera(self) -> CameraInfo:
        """The camera as it was opened; `UsageError` before that."""
        return self._stream.info

    @property
    def backend(self) -> BackendInfo:
        """The back end as it was opened; `UsageError` before that."""
        if self._backend_info is None:
            raise UsageError("the back end has not been opened")
        return self._backend_info

    @property
    def recheck(self) -> Recheck:
        """How the frames of the parity record came out when the back end was last prepared."""
        return self._tracker.recheck

    @property
    def keeps_view(self) -> bool:
        """Whether the engine can tell a view that it knows."""
        return self._tracker.keeps_view

    @property
    def crop(self) -> Crop:
        """The crop in force."""
        return self._tracker.crop

    def pause(self) -> None:
        """Stop the camera and keep everything else open."""
        self.ask(self._pause)

    def resume(self) -> None:
        """Start the camera again after `pause`."""
        self.ask(self._resume)

    def reset_latency(self) -> None:
        """Forget the latencies so far: those of the warm-up, before a measurement."""
        self.ask(self._tally.latency.reset)

    def latency_distribution(self) -> dict[str, list[tuple[float, int]]]:
        """Return the distribution of every stage in milliseconds; may be called from any thread."""
        return self._tally.latency.distribution()

    def set_crop(self, crop: Crop | None) -> Crop:
        """Look at another part of the frame (None: the whole frame) and return it.

        A crop of another size makes the back end compile anew: frames that arrive meanwhile are dropped and
        counted.

        Raises
        ------
        UsageError
            The crop reaches beyond the frame; the one in force stays.
        """
        return self.ask(lambda: self._set_crop(crop))

    def status(self) -> PipelineStatus:
        """Return a snapshot; may be called from any thread once the pipeline has started."""
        return self._tally.status(self._state, self._camera, self._silence, self._error)

    def _begin(self, opened: ExitStack) -> None:
        self._open(opened)
        opened.callback(self._finish)
        opened.callback(lambda: self._handler.close(self._error))  # before all else, which may take time
        self._handler.open(self.camera, self._network())
        self._resume()

    def _finish(self) -> None:
        """End the acquisition, tell waiting commands and say so, while the sink is still open."""
        try:
            self._stream.stop()
        except Exception as error:
            self._fail(error)
        self._mailbox.close()
        self._on_tick(self.status())

    def _open(self, opened: ExitStack) -> None:
        opened.callback(self._stream.close)
        info = self._stream.open()
        self._silence.trigger = info.trigger
        opened.callback(self._tracker.close)
        self._tracker.open()
        self._tracker.prepare((info.height, info.width), self._crop)
        self._backend_info = self._tracker.backend
        opened.callback(self._sink.close)
        self._sink.open()

    def _loop(self) -> None:
        self._tally.begin(self._clock.now_ns())
        while not self._stopping.is_set():
            if self._stream.running:
                self._mailbox.serve(0)
                self._process()
            else:
                self._mailbox.serve(POLL_S)
                self._handler.idle()
            self._follow_gaps()
            if self._error is not None:
                raise self._error
            self._tick()
            if self._stream.ended:
                return

    def _process(self) -> None:
        if not self._stream.running:  # a command has paused it
            return
        was_opening = self._stream.opening
        slot = self._stream.take(POLL_S)
        if was_opening and not self._stream.opening:
            self._silence.begin(self._clock.now_ns())
        if slot is not None:
            self._follow_gaps()
            self._track(slot)
        elif not self._stream.ended:
            self._handler.idle()
            if self.camera.live and not self._stream.opening:
                try:
                    self._silence.check()
                except CameraLostError as error:
                    self._stream.lose(error)

    def _follow_gaps(self) -> None:
        """Let everybody know that the camera was lost, or is back."""
        while (gap := self._stream.news()) is not None:
            lost = gap.ended_ns is None
            self._state = (
                PipelineState.RUNNING if self._stream.running and not lost else PipelineState.STOPPED
            )
            self._silence.begin(self._clock.now_ns())
            self._tally.forget_rate()
            self._tally.forget_view()
            self._handler.gap(gap)
            self._on_gap(gap)

    def _track(self, slot: Slot) -> None:
        taken_ns = self._clock.now_ns()
        self._silence.begin(taken_ns)
        meta = slot.meta
        if meta is None:
            raise UsageError("a frame without an identity was handed on")
        pose = self._tracker.track(slot.pixels, meta, taken_ns)
        self._handler.handle(pose)
        handled_ns = self._clock.now_ns()
        published_ns = self._sink.publish(pose, self._tally.losses())
        if self._show is not None:
            self._show(slot.pixels, pose, self._tracker.crop)
        self._handler.published(slot.pixels, pose, published_ns)
        self._stream.release(slot)
        self._tally.add(pose, handled_ns, published_ns)

    def _tick(self) -> None:
        if not self._tally.tick(self._clock.now_ns()):
            return
        status = self.status()
        self._warner.look(status.camera)
        self._handler.tick(status)
        self._on_tick(status)

    def _resume(self) -> None:
        if self._stream.running:
            return
        try:
            self._stream.start(self._tracker.host_memory)
        except CameraLostError as error:
            self._fail(error)
            raise
        self._silence.begin(self._clock.now_ns())
        self._tally.exposures.begin(self.camera)
        self._state = PipelineState.RUNNING if self._stream.gap is None else PipelineState.STOPPED

    def _pause(self) -> None:
        if not self._stream.running:
            return
        frames = self._stream.drain()
        while (slot := next(frames, None)) is not None:
            try:
                self._track(slot)
            except Exception as error:  # not of the command, which only came at that moment
                self._fail(error)
                raise
        try:
            self._stream.stop()
        except CameraLostError as error:
            self._fail(error)
            raise
        self._state = PipelineState.STOPPED

    def _set_crop(self, crop: Crop | None) -> Crop:
        self._tracker.prepare((self.camera.height, self.camera.width), crop)
        self._backend_info = self._tracker.backend
        self._tally.forget_view()
        self._handler.network_changed(self._network())
        return self._tracker.crop

    def _network(self) -> NetworkInUse:
        return NetworkInUse(self._tracker.engine.manifest.name, self.backend, self._tracker.crop)
