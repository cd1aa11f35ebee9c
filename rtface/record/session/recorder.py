"""One thing to call: opens a session's folder, log and video, records into them, closes them in order."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rtface.config import SessionSettings
from rtface.core.clock import SYSTEM_CLOCK, Clock
from rtface.core.clockfit import ClockLine
from rtface.core.decision import Decision
from rtface.core.errors import DataError
from rtface.core.features import Features
from rtface.core.latency import StageSummary
from rtface.core.outputs import Report
from rtface.core.records import Crop, FrameMeta, Image, Losses, Pose
from rtface.core.status import CameraStatus, Gap
from rtface.record.seal.merging import without_seeds
from rtface.record.session import session_folder
from rtface.record.session.cameras.record import CameraRecord
from rtface.record.session.cameras.setup import Setup, only_camera, tracked_entry
from rtface.record.session.entries import (
    NO_NUMBER,
    OF_LIGHT,
    ArmingEntry,
    BaselineEntry,
    CallEntry,
    ConfigurationEntry,
    DecisionEntry,
    FaultEntry,
    GateReplyEntry,
    HashesEntry,
    LatencyEntry,
    Map,
    MarkEntry,
    OutputEntry,
    PulseCommandEntry,
    SecretEntry,
)
from rtface.record.session.packing import Packer, widths_of
from rtface.record.session.writer import SessionWriter

_GB = 1_000_000_000
_NOTHING: Map = {}


class SessionRecorder:
    """Records a session; every method may be called from any thread and never waits, but `open` and `close`.

    `frame`, `pose`, `features`, `call`, `decision` and `published` come from the one thread that runs the loop, in the
    order in which things happen there: a replay makes the same calls in the same order.

    Parameters
    ----------
    settings : SessionSettings
        Where to, and what of the frames.
    session : str
        Id of the session.
    setup : Setup
        What it is run with.
    on_fault : callable
        Called at once with the first fault of each kind, in the thread that finds it; it must return at once.
    clock : Clock
        Source of time.
    free_bytes : callable
        Returns the room left in a folder in bytes.
    """

    def __init__(
        self,
        settings: SessionSettings,
        session: str,
        setup: Setup,
        *,
        on_fault: Callable[[FaultEntry], None] = lambda fault: None,
        clock: Clock = SYSTEM_CLOCK,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._settings, self._setup, self._clock = settings, setup, clock
        self._min_free_bytes, self._free_bytes = round(settings.min_free_gb * _GB), free_bytes
        self.folder = session_folder(settings.folder, session)
        self._named = tuple(setup.cameras) or (only_camera(setup),)
        packers = {
            each.name: Packer(len(each.keypoints), len(each.features), len(each.given))
            for each in self._named
        }
        self._writer = SessionWriter(
            self.folder,
            session,
            widths_of(list(packers.values())),
            min_free_bytes=self._min_free_bytes,
            stall_s=settings.stall_s,
            on_fault=on_fault,
            clock=clock,
            free_bytes=free_bytes,
            sealed=bool(setup.blind),
        )
        self._seals = bool(setup.blind)
        self._put_secret = self._writer.put_sealed if setup.blind else self._writer.put
        self._cameras: dict[str, CameraRecord] = {}
        for number, each in enumerate(self._named):
            record = CameraRecord(self._writer, packers[each.name], clock, each.name, number)
            record.record_frames(settings, each.camera, self.folder, on_fault)
            self._cameras[each.name] = record
        self._video = [record.frames for record in self._cameras.values() if record.frames is not None]
        self._decisions = itertools.count()

    @property
    def fault(self) -> FaultEntry | None:
        """The first fault, of the log or the video; None while all is well. Cheap enough for every frame."""
        if self._writer.fault is not None or not self._video:
            return self._writer.fault
        return next((each.fault for each in self._video if each.fault is not None), None)

    @property
    def fingerprint(self) -> str:
        """The chain after the last record, hexadecimal; kept elsewhere it proves the log to be as it was written."""
        return self._writer.fingerprint

    def open(self) -> None:
        """Make the folder, record what the session is run with, and begin.

        Raises
        ------
        DataError
            There is too little room, the folder cannot be made, or frames cannot be encoded.
        """
        self._check_room()
        self._writer.open()
        setup = self._setup
        now_ns = self._clock.now_ns()
        resolved = setup.resolved
        if self._seals:
            resolved, seeds = without_seeds(resolved)
            self._put_secret(SecretEntry(now_ns, None, {"session_seed": seeds}))
        texts = {"rig": setup.rig, "rules": setup.rules}
        sha256 = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        self._writer.put(
            ConfigurationEntry(
                now_ns,
                setup.rig,
                setup.rules,
                tuple(each.name for each in setup.keypoints),
                tuple(each.trained for each in setup.keypoints),
                (*setup.features, *setup.given),
                tuple(setup.units),
                tuple(setup.given),
                setup.score_definition,
                resolved,
                setup.rate_hz,
                setup.grace_ns,
                setup.alike_ns,
            )
        )
        self._writer.put(HashesEntry(now_ns, {**setup.sha256, **sha256}))
        for number, each in enumerate(setup.cameras):
            self._writer.put(tracked_entry(now_ns, each, number))
        for each in self._named:
            self._cameras[each.name].opened(each.camera, each.engine, each.backend, each.crop)
        for record in self._cameras.values():
            if record.frames is None:
                continue
            try:
                record.frames.open()
            except DataError as error:
                self._close_video(0.0)
                self._writer.close(f"video: {error}")
                raise
            self._writer.watch(self.folder / record.video_name)

    def pose(self, pose: Pose) -> None:
        """Record a pose, before what is decided on it, and what the camera sent beside its picture."""
        self._cameras[pose.frame.camera].pose(pose)

    def features(
        self,
        frame_id: int,
        now_ns: int,
        features: Features,
        given: Features | None = None,
        camera: str = "",
    ) -> None:
        """Record the values that rules were evaluated on, and when: after the pose, before the decisions that come of it."""
        self._cameras[camera].features(frame_id, now_ns, features, given)

    def published(self, frame_id: int, published_ns: int, camera: str = "") -> None:
        """Record when the pose of a frame, which is recorded already, had been published."""
        self._cameras[camera].published(frame_id, published_ns)

    def call(self, name: str, now_ns: int, **arguments: Any) -> None:
        """Record a call of the rules that no frame made, before the decisions that come of it."""
        of_light = arguments.get("rule") in self._setup.blind
        (self._put_secret if of_light else self._writer.put)(CallEntry(now_ns, name, arguments))

    def decision(self, decision: Decision) -> int:
        """Record a decision; return its number, -1 where it could not be recorded: then it must not be acted on."""
        number = next(self._decisions)
        if self._seals and decision.secret:
            hidden = {"action": decision.action.value, "reason": decision.reason.value}
            if not self._put_secret(SecretEntry(decision.now_ns, number, hidden)):
                return NO_NUMBER
            decision = decision.public()
        return number if self._writer.put(DecisionEntry.of(decision, number)) else NO_NUMBER

    def pulse(
        self,
        decision: int,
        number: int,
        output: str,
        command: str,
        details: Map = _NOTHING,
        t_ns: int | None = None,
    ) -> None:
        """Record a command that is handed to an output; `decision` is -1 where it came of none."""
        self._put_secret(PulseCommandEntry(self._at(t_ns), decision, number, output, command, details))

    def output(self, name: str, info: Map) -> None:
        """Record what an output is."""
        self._writer.put(OutputEntry(self._at(None), name, info))

    def reply(self, report: Report, output: str) -> None:
        """Record what an output answered, or reported by itself."""
        self._put_secret(GateReplyEntry.of(report, output))

    def arming(
        self, event: str, who: str, why: str, details: Map = _NOTHING, t_ns: int | None = None
    ) -> None:
        """Record who allowed or forbade stimulation."""
        self._writer.put(ArmingEntry(self._at(t_ns), event, who, why, details))

    def baseline(self, found: Map, t_ns: int) -> None:
        """Record the baseline, complete after the features of a frame; `found` has the fields of `BaselineEntry`."""
        self._writer.put(BaselineEntry(t_ns, **found))

    def mark(self, who: str, text: str, details: Map = _NOTHING, t_ns: int | None = None) -> None:
        """Record a remark."""
        self._writer.put(MarkEntry(self._at(t_ns), who, text, details))

    def frame(self, image: Image, meta: FrameMeta) -> None:
        """Record a frame, where frames are recorded."""
        self._cameras[meta.camera].frame(image, meta)

    def losses(self, losses: Losses, t_ns: int | None = None, camera: str = "") -> None:
        """Record the counts of lost frames, where they have changed."""
        self._cameras[camera].losses(losses, t_ns)

    def camera_status(self, status: CameraStatus, camera: str = "") -> None:
        """Record how the camera does, where that has changed; a PTP offset alone changes nothing for `CLOCK_FIT_NS`."""
        self._cameras[camera].status(status)

    def latency(self, stages: Mapping[str, StageSummary], t_ns: int | None = None, camera: str = "") -> None:
        """Record the percentiles so far: of the loop, or of a camera of several."""
        summaries = {name: stage.as_dict() for name, stage in stages.items()}
        now_ns = self._at(t_ns)
        if self._seals and not camera:
            of_light = {name: summaries.pop(name) for name in OF_LIGHT if name in summaries}
            self._put_secret(LatencyEntry(now_ns, of_light))
        if summaries or not self._seals:
            self._writer.put(LatencyEntry(now_ns, summaries, camera))

    def clock_fit(self, device: str, line: ClockLine, camera: str = "") -> None:
        """Record how a device's clock maps to the host's, where that has changed or `CLOCK_FIT_NS` has passed."""
        self._cameras[camera].clock_fit(device, line)

    def network(self, engine: str, backend: Map, crop: Crop, camera: str = "") -> None:
        """Record what finds the keypoints from here on."""
        self._cameras[camera].network(engine, backend, crop)

    def gap(self, gap: Gap, camera: str = "") -> None:
        """Record that the camera was lost, or is back."""
        self._cameras[camera].gap(gap)

    def failed(self, what: str, text: str) -> None:
        """Record a fault of the rig; those of the record itself are recorded by themselves."""
        self._writer.put(FaultEntry(self._at(None), what, text))

    def close(self, reason: str = "ended", timeout_s: float = 10.0) -> bool:
        """Complete the video and then the log; True when all was written. May be called any number of times."""
        whole = self._close_video(timeout_s)
        return self._writer.close(reason, timeout_s) and whole

    def _close_video(self, timeout_s: float) -> bool:
        closed = [each.close(timeout_s) for each in self._video]
        return all(closed)

    def _at(self, t_ns: int | None) -> int:
        return self._clock.now_ns() if t_ns is None else t_ns

    def _check_room(self) -> None:
        folder = self._settings.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = self._free_bytes(folder)
        except OSError as error:
            raise DataError(f"cannot record into {folder}: {error.strerror or error}") from error
        if free < self._min_free_bytes:
            raise DataError(
                f"{folder} has {free / _GB:.1f} GB left, a session begins with {self._min_free_bytes / _GB:g} "
                "(session.min_free_gb)"
            )
