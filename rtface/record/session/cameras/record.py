"""What a session records of one camera: its frames' rows, its video, and how it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtface.config import SessionSettings
from rtface.core.clock import NS_PER_S, NS_PER_US, Clock
from rtface.core.clockfit import ClockLine
from rtface.core.features import Features
from rtface.core.records import CameraInfo, Crop, FrameMeta, Image, Losses, Pose
from rtface.core.status import CameraStatus, Gap
from rtface.record.session import VIDEO_NAME
from rtface.record.session.entries import (
    CameraEntry,
    CameraStatusEntry,
    ClockFitEntry,
    FaultEntry,
    GapEntry,
    LossesEntry,
    Map,
    NetworkEntry,
)
from rtface.record.session.frames import FrameRecorder
from rtface.record.session.packing import Packer, chunk_row
from rtface.record.session.rows import CAMERA_STEP, CHUNKS, FEATURES, PUBLISHED, pack_published_row
from rtface.record.session.writer import SessionWriter

CLOCK_FIT_NS = 60 * NS_PER_S
"""A clock's map is recorded anew after this long,"""
CLOCK_FIT_CHANGE_NS = 100 * NS_PER_US
"""or when the one in the record is wrong by more than this."""


class CameraRecord:
    """Records of one camera; methods as of `rtface.record.session.recorder.SessionRecorder`.

    Parameters
    ----------
    writer : SessionWriter
        Of the session.
    packer : Packer
        Of the camera's rows.
    clock : Clock
    name : str
        Of the camera among several; empty for the only one.
    number : int
        Its number from 0.
    """

    def __init__(
        self, writer: SessionWriter, packer: Packer, clock: Clock, name: str = "", number: int = 0
    ) -> None:
        self._writer, self._packer, self._clock = writer, packer, clock
        self._name, self._shift = name, number * CAMERA_STEP
        self._frames: FrameRecorder | None = None
        self._losses = Losses()
        self._status: tuple[int, tuple[Any, ...]] = 0, ((), "", 0, None)
        self._clock_fits: dict[str, tuple[int, ClockLine]] = {}

    @property
    def frames(self) -> FrameRecorder | None:
        """What records its frames; None where they are not recorded."""
        return self._frames

    @property
    def video_name(self) -> str:
        """Of the file in the session's folder."""
        return VIDEO_NAME if not self._name else f"frames-{self._name}.mkv"

    def record_frames(
        self,
        settings: SessionSettings,
        camera: CameraInfo,
        folder: Path,
        on_fault: Callable[[FaultEntry], None],
    ) -> None:
        """Have its frames recorded, if the settings say so."""
        if settings.frames != "none":
            self._frames = FrameRecorder(
                folder,
                camera.width,
                camera.height,
                self._writer,
                codec=settings.frames,
                on_fault=on_fault,
                clock=self._clock,
                file=self.video_name,
                camera_name=self._name,
                shift=self._shift,
            )

    def opened(self, camera: CameraInfo, engine: str, backend: Map, crop: Crop) -> None:
        """Record what camera and network are."""
        self._writer.put(CameraEntry(self._clock.now_ns(), asdict(camera), self._name))
        self.network(engine, backend, crop)

    def pose(self, pose: Pose) -> None:
        """Record a pose, and what the camera sent beside its picture."""
        kind, row = self._packer.pose(pose)
        self._writer.put_row(kind + self._shift, row)
        if (chunk := chunk_row(pose.frame)) is not None:
            self._writer.put_row(CHUNKS + self._shift, chunk)

    def features(self, frame_id: int, now_ns: int, features: Features, given: Features | None) -> None:
        """Record the values that rules were evaluated on."""
        self._writer.put_row(FEATURES + self._shift, self._packer.features(frame_id, now_ns, features, given))

    def published(self, frame_id: int, published_ns: int) -> None:
        """Record when a pose had been published."""
        self._writer.put_row(PUBLISHED + self._shift, pack_published_row(frame_id, published_ns))

    def frame(self, image: Image, meta: FrameMeta) -> None:
        """Record a frame, where frames are recorded."""
        if self._frames is not None:
            self._frames.put(image, meta)

    def losses(self, losses: Losses, t_ns: int | None = None) -> None:
        """Record the counts of lost frames, where they have changed."""
        if losses != self._losses:
            self._losses = losses
            now_ns = self._clock.now_ns() if t_ns is None else t_ns
            self._writer.put(LossesEntry(now_ns, **asdict(losses), camera_name=self._name))

    def status(self, status: CameraStatus) -> None:
        """Record how the camera does, where that has changed; a PTP offset alone changes nothing for `CLOCK_FIT_NS`."""
        now_ns = self._clock.now_ns()
        state = None if status.ptp is None else status.ptp.state
        known = status.problems, status.clock, status.clock_steps, state
        recorded_ns, recorded = self._status
        if known == recorded and (state is None or now_ns - recorded_ns < CLOCK_FIT_NS):
            return
        self._status = now_ns, known
        ptp = None if status.ptp is None else asdict(status.ptp)
        self._writer.put(
            CameraStatusEntry(now_ns, status.problems, status.clock, status.clock_steps, ptp, self._name)
        )

    def clock_fit(self, device: str, line: ClockLine) -> None:
        """Record how a device's clock maps to the host's, where that has changed or `CLOCK_FIT_NS` has passed."""
        now_ns = self._clock.now_ns()
        recorded_ns, recorded = self._clock_fits.get(device, (0, None))
        if recorded is not None and now_ns - recorded_ns < CLOCK_FIT_NS:
            device_ns = now_ns - round(line.offset_ns)
            if abs(line.at(device_ns) - recorded.at(device_ns)) <= CLOCK_FIT_CHANGE_NS:
                return
        self._clock_fits[device] = now_ns, line
        self._writer.put(ClockFitEntry(now_ns, device, *line, camera_name=self._name))

    def network(self, engine: str, backend: Mapping[str, Any], crop: Crop) -> None:
        """Record what finds the keypoints from here on."""
        self._writer.put(NetworkEntry(self._clock.now_ns(), engine, backend, asdict(crop), self._name))

    def gap(self, gap: Gap) -> None:
        """Record that the camera was lost, or is back."""
        t_ns = gap.begun_ns if gap.ended_ns is None else gap.ended_ns
        frame_id = gap.last_frame_id if gap.ended_ns is None else gap.first_frame_id
        self._writer.put(GapEntry(t_ns, gap.event, gap.why, frame_id, gap.begun_ns, gap.tries, self._name))
