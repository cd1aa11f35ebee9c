"""One thing to call: opens a session's folder, log and video, records into them, closes them in order."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtface.config import SessionSettings
from rtface.core.clock import SYSTEM_CLOCK, Clock
from rtface.core.errors import DataError
from rtface.core.latency import StageSummary
from rtface.core.records import CameraInfo, Crop, FrameMeta, Image, Keypoint, Losses, Pose
from rtface.record.session import session_folder
from rtface.record.session.entries import (
    ArmingEntry,
    CallEntry,
    CameraEntry,
    ClockFitEntry,
    ConfigurationEntry,
    FaultEntry,
    HashesEntry,
    LatencyEntry,
    LossesEntry,
    Map,
    MarkEntry,
    NetworkEntry,
    OutputEntry,
    PulseCommandEntry,
)
from rtface.record.session.frames import FrameRecorder
from rtface.record.session.guests import DecisionLike, FeaturesLike, ReportLike, reply_entry
from rtface.record.session.rows import UNKNOWN
from rtface.record.session.writer import SessionWriter

_GB = 1_000_000_000
_NOTHING: Map = {}


@dataclass(frozen=True)
class Setup:
    """What a session is run with.

    Attributes
    ----------
    rig : str
        The rig's resolved configuration as text.
    keypoints : sequence of Keypoint
        In the order of the poses.
    score_definition : str
        What a keypoint's score means.
    camera : CameraInfo
        The open camera.
    engine : str
        Name of the engine.
    backend : mapping
        What runs it, as `BackendInfo.as_dict` says.
    crop : Crop
        The part of the frame that it sees.
    sha256 : mapping of str to str
        Of ``engine``, ``firmware`` and whatever else takes part; those of ``rig`` and ``rules`` are added.
    rules : str
        The rules file as text; empty without rules.
    resolved : str
        The rules as JSON that needs neither another file nor the camera; empty without rules.
    features, given : sequence of str
        Names of the features, and of further values that rules may see.
    units : sequence of str
        Of the features and the further values.
    rate_hz : float or None
        Frames per second that the features were made for.
    grace_ns : int
        As the rules were given it.
    """

    rig: str
    keypoints: Sequence[Keypoint]
    score_definition: str
    camera: CameraInfo
    engine: str
    backend: Mapping[str, Any]
    crop: Crop
    sha256: Mapping[str, str] = field(default_factory=dict)
    rules: str = ""
    resolved: str = ""
    features: Sequence[str] = ()
    given: Sequence[str] = ()
    units: Sequence[str] = ()
    rate_hz: float | None = None
    grace_ns: int = 0


class SessionRecorder:
    """Records a session; every method may be called from any thread and never waits, but `open` and `close`.

    `frame`, `pose`, `features`, `call` and `decision` come from the one thread that runs the loop, in the order in
    which things happen there: a replay makes the same calls in the same order.

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
        Tells the room left in a folder.
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
        self._writer = SessionWriter(
            self.folder,
            session,
            points=len(setup.keypoints),
            features=len(setup.features),
            given=len(setup.given),
            min_free_bytes=self._min_free_bytes,
            stall_s=settings.stall_s,
            on_fault=on_fault,
            clock=clock,
            free_bytes=free_bytes,
        )
        self._frames: FrameRecorder | None = None
        if settings.frames != "none":
            self._frames = FrameRecorder(
                self.folder,
                setup.camera.width,
                setup.camera.height,
                self._writer,
                codec=settings.frames,
                on_fault=on_fault,
                clock=clock,
            )
        self._losses = Losses()

    @property
    def fault(self) -> FaultEntry | None:
        """The first fault, of the log or the video; None while all is well. Cheap enough for every frame."""
        if self._writer.fault is not None or self._frames is None:
            return self._writer.fault
        return self._frames.fault

    @property
    def fingerprint(self) -> str:
        """The chain after the last record, hexadecimal; kept elsewhere it proves the log to be as it was written."""
        return self._writer.fingerprint

    def open(self) -> None:
        """Make the folder, say what the session is run with, and begin.

        Raises
        ------
        DataError
            There is too little room, the folder cannot be made, or frames cannot be encoded.
        """
        self._check_room()
        self._writer.open()
        setup = self._setup
        now_ns = self._clock.now_ns()
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
                setup.resolved,
                setup.rate_hz,
                setup.grace_ns,
            )
        )
        self._writer.put(HashesEntry(now_ns, {**setup.sha256, **sha256}))
        self._writer.put(CameraEntry(now_ns, asdict(setup.camera)))
        self.network(setup.engine, setup.backend, setup.crop)
        if self._frames is None:
            return
        try:
            self._frames.open()
        except DataError as error:
            self._writer.close(f"video: {error}")
            raise

    def pose(self, pose: Pose, published_ns: int = UNKNOWN) -> None:
        """Record a pose."""
        self._writer.put_pose(pose, published_ns)

    def features(
        self, frame_id: int, now_ns: int, features: FeaturesLike, given: FeaturesLike | None = None
    ) -> None:
        """Record what the rules saw of a frame and when, after its pose and before the decisions that come of it."""
        self._writer.put_features(frame_id, now_ns, features, given)

    def call(self, name: str, now_ns: int, **arguments: Any) -> None:
        """Record a call of the rules that no frame made, before the decisions that come of it."""
        self._writer.put(CallEntry(now_ns, name, arguments))

    def decision(self, decision: DecisionLike) -> int:
        """Record a decision; return its number, -1 where it could not be recorded: then it must not be acted on."""
        return self._writer.put_decision(decision)

    def pulse(
        self,
        decision: int,
        number: int,
        output: str,
        command: str,
        details: Map = _NOTHING,
        t_ns: int | None = None,
    ) -> None:
        """Record a command that is handed to an output; `decision` is -1 where none asked for it."""
        self._writer.put(PulseCommandEntry(self._at(t_ns), decision, number, output, command, details))

    def output(self, name: str, info: Map) -> None:
        """Record what an output says of itself."""
        self._writer.put(OutputEntry(self._at(None), name, info))

    def reply(self, report: ReportLike, output: str) -> None:
        """Record what an output answered, or reported by itself."""
        self._writer.put(reply_entry(report, output))

    def arming(
        self, event: str, who: str, why: str, details: Map = _NOTHING, t_ns: int | None = None
    ) -> None:
        """Record who allowed or forbade stimulation."""
        self._writer.put(ArmingEntry(self._at(t_ns), event, who, why, details))

    def mark(self, who: str, text: str, details: Map = _NOTHING, t_ns: int | None = None) -> None:
        """Record a remark."""
        self._writer.put(MarkEntry(self._at(t_ns), who, text, details))

    def frame(self, image: Image, meta: FrameMeta) -> None:
        """Record a frame, where frames are recorded."""
        if self._frames is not None:
            self._frames.put(image, meta)

    def losses(self, losses: Losses, t_ns: int | None = None) -> None:
        """Record the counts of lost frames, where they have changed."""
        if losses != self._losses:
            self._losses = losses
            self._writer.put(LossesEntry(self._at(t_ns), **asdict(losses)))

    def latency(self, stages: Mapping[str, StageSummary], t_ns: int | None = None) -> None:
        """Record the percentiles so far."""
        summaries = {name: stage.as_dict() for name, stage in stages.items()}
        self._writer.put(LatencyEntry(self._at(t_ns), summaries))

    def clock_fit(
        self, device: str, anchor_ns: int, offset_ns: float, slope: float, details: Map = _NOTHING
    ) -> None:
        """Record how a device's clock is mapped to the host's; see `ClockFitEntry`."""
        self._writer.put(ClockFitEntry(self._at(None), device, anchor_ns, offset_ns, slope, details))

    def network(self, engine: str, backend: Map, crop: Crop) -> None:
        """Record what finds the keypoints from here on."""
        self._writer.put(NetworkEntry(self._at(None), engine, backend, asdict(crop)))

    def failed(self, what: str, text: str) -> None:
        """Record a fault of the rig; those of the record itself are recorded by themselves."""
        self._writer.put(FaultEntry(self._at(None), what, text))

    def close(self, reason: str = "ended", timeout_s: float = 10.0) -> bool:
        """Complete the video and then the log; True when all was written. May be called any number of times."""
        whole = self._frames is None or self._frames.close(timeout_s)
        return self._writer.close(reason, timeout_s) and whole

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
