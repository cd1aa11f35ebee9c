"""What the pipeline counts of its frames: their rate, latencies and losses, the exposures, and how well the view is known."""

from __future__ import annotations

import math
from statistics import median

from rtface.acquire.base import Camera
from rtface.acquire.lasting import LastingStream
from rtface.acquire.stream import Silence
from rtface.acquire.timing.exposures import ExposureRate
from rtface.core.clock import NS_PER_S
from rtface.core.latency import LatencyRecorder
from rtface.core.records import Losses, Pose
from rtface.core.status import PipelineState, PipelineStatus
from rtface.publish.sink import PoseSink

TICK_NS = NS_PER_S


class Tally:
    """Counts frames, and sums them up about once a second.

    `add` and all else that changes it belong to the processing thread; the attributes and `losses` may be read from any.

    Parameters
    ----------
    stream : LastingStream
        Where frames are lost on their way in.
    sink : PoseSink
        Where poses are lost on their way out.
    deadline_ns : int
        As of `rtface.core.latency.LatencyRecorder`.

    Attributes
    ----------
    frames : int
        Published so far.
    rate_hz : float
        Frames per second, of the second before the last tick; 0 before that, and after a gap.
    view_ok : float
        Median of `Pose.view_ok` of the same frames; NaN where nothing is known of the view.
    latency : LatencyRecorder
    exposures : ExposureRate
    displaced : int
        Frames that a newer one displaced elsewhere, before they came to `stream`; set it.
    """

    def __init__(self, stream: LastingStream, sink: PoseSink, deadline_ns: int) -> None:
        self._stream, self._sink = stream, sink
        self.latency = LatencyRecorder(deadline_ns)
        self.exposures = ExposureRate()
        self.frames = self.displaced = 0
        self.rate_hz = 0.0
        self.view_ok = math.nan
        self._views: list[float] = []
        self._exposure_ns = 0
        self._tick_frames = 0
        self._tick_ns = 0
        self._tick_exposure_ns: int | None = None

    def begin(self, now_ns: int) -> None:
        """Begin the first second."""
        self._tick_ns = now_ns

    def add(self, pose: Pose, handled_ns: int, published_ns: int) -> None:
        """Count a frame that was handled and published at these times."""
        frame = pose.frame
        self.latency.add(pose.stamps, handled_ns, published_ns)
        self._exposure_ns = frame.exposure_ns
        self.exposures.add(frame.frame_id, frame.exposure_ns)
        self._views.append(pose.view_ok)
        self.frames += 1

    def forget_rate(self) -> None:
        """Take the rate for 0 until the next tick: the camera was lost, or is back."""
        self.rate_hz = 0.0
        self.exposures.interrupt()

    def forget_view(self) -> None:
        """Forget how well the view was known: it may be another from here on."""
        self._views.clear()
        self.view_ok = math.nan

    def tick(self, now_ns: int) -> bool:
        """Sum up what was counted since the last time; False, and nothing is done, where that is less than a second ago."""
        elapsed_ns = now_ns - self._tick_ns
        if elapsed_ns < TICK_NS:
            return False
        camera = self._stream.info
        frames = self.frames - self._tick_frames
        before_ns, exposure_ns = self._tick_exposure_ns, self._exposure_ns
        if camera.live and frames and before_ns is not None and exposure_ns > before_ns:
            elapsed_ns = exposure_ns - before_ns  # frames that a busy host takes late are no other rate
        self.rate_hz = frames * NS_PER_S / elapsed_ns
        self._tick_exposure_ns = exposure_ns if frames else None
        self._tick_frames, self._tick_ns = self.frames, now_ns
        if self._views or camera.trigger is None:
            self.view_ok = float(median(self._views)) if self._views else math.nan
        self._views.clear()
        self.exposures.tick()
        return True

    def losses(self) -> Losses:
        """Return the frames lost so far, by the place where they were lost."""
        stream = self._stream
        return Losses(
            stream.lost_at_camera,
            stream.lost_in_transport,
            stream.dropped + self.displaced,
            self._sink.lost,
            stream.transport_known,
            stream.missed_triggers,
        )

    def status(
        self, state: PipelineState, camera: Camera, silence: Silence, error: BaseException | None
    ) -> PipelineStatus:
        """Return a snapshot of the camera's way; may be called from any thread.

        Parameters
        ----------
        state : PipelineState
            What it is doing.
        camera : Camera
        silence : Silence
            What watches for its frames.
        error : BaseException or None
            What ended it.
        """
        return PipelineStatus(
            state=state,
            rate_hz=self.rate_hz,
            frames=self.frames,
            losses=self.losses(),
            latency=self.latency.summary(),
            error=None if error is None else f"{type(error).__name__}: {error}",
            camera_clock=camera.clock_line,
            view_ok=self.view_ok,
            camera=self.exposures.status(camera.status),
            camera_hz=self.exposures.hz,
            waits_s=silence.waits_s(),
            gap=self._stream.gap,
        )
