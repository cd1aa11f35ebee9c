"""One thing to call: opens a session's folder, log and video, records into them, closes them in order."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtface.config import SessionSettings
from rtface.core.clock import NS_PER_S, NS_PER_US, SYSTEM_CLOCK, Clock
from rtface.core.clockfit import ClockLine
from rtface.core.decision import Decision
from rtface.core.errors import DataError
from rtface.core.features import Features
from rtface.core.latency import StageSummary
from rtface.core.outputs import Report
from rtface.core.records import CameraInfo, Crop, FrameMeta, Image, Keypoint, Losses, Pose
from rtface.core.status import CameraStatus, Gap
from rtface.record.seal.merging import without_seeds
from rtface.record.session import VIDEO_NAME, session_folder
from rtface.record.session.entries import (
    NO_NUMBER,
    OF_LIGHT,
    ArmingEntry,
    BaselineEntry,
    CallEntry,
    CameraEntry,
    CameraStatusEntry,
    ClockFitEntry,
    ConfigurationEntry,
    DecisionEntry,
    FaultEntry,
    GapEntry,
    GateReplyEntry,
    HashesEntry,
    LatencyEntry,
    LossesEntry,
    Map,
    MarkEntry,
    NetworkEntry,
    OutputEntry,
    PulseCommandEntry,
    SecretEntry,
)
from rtface.record.session.frames import FrameRecorder
from rtface.record.session.packing import Packer, chunk_row
from rtface.record.session.rows import CHUNKS, FEATURES, PUBLISHED, pack_published_row
from rtface.record.session.writer import SessionWriter

CLOCK_FIT_NS = 60 * NS_PER_S
"""A clock's map is recorded anew after this long,"""
CLOCK_FIT_CHANGE_NS = 100 * NS_PER_US
"""or when the one in the record is wrong by more than this."""

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
        What runs it, as of `BackendInfo.as_dict`.
    crop : Crop
        The part of the frame that it is given.
    sha256 : mapping of str to str
        Of ``engine``, ``firmware`` and whatever else takes part; those of ``rig`` and ``rules`` are added.
    rules : str
        The rules file as text; empty without rules.
    resolved : str
        The rules as JSON that needs neither another file nor the camera; empty without rules.
    features, given : sequence of str
        Names of the features, and of further values that rules may use.
    units : sequence of str
        Of the features and the further values.
    rate_hz : float or None
        Frames per second that the features were made for.
    grace_ns, alike_ns : int
        As the rules were given it.
    blind : collection of str
        The rules whose light and shams nobody may tell apart: with any, what tells them apart is sealed.
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
    alike_ns: int = 0
    blind: Collection[str] = ()


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
        self._packer = Packer(len(setup.keypoints), len(setup.features), len(setup.given))
        self._writer = SessionWriter(
            self.folder,
            session,
            self._packer.widths,
            min_free_bytes=self._min_free_bytes,
            stall_s=settings.stall_s,
            on_fault=on_fault,
            clock=clock,
            free_bytes=free_bytes,
            sealed=bool(setup.blind),
        )
        self._seals = bool(setup.blind)
        self._put_secret = self._writer.put_sealed if setup.blind else self._writer.put
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
        self._decisions = itertools.count()
        self._losses = Losses()
        self._camera_status: tuple[int, tuple[Any, ...]] = 0, ((), "", 0, None)
        self._clock_fits: dict[str, tuple[int, ClockLine]] = {}

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
        self._writer.put(CameraEntry(now_ns, asdict(setup.camera)))
        self.network(setup.engine, setup.backend, setup.crop)
        if self._frames is None:
            return
        try:
            self._frames.open()
        except DataError as error:
            self._writer.close(f"video: {error}")
            raise
        self._writer.watch(self.folder / VIDEO_NAME)

    def pose(self, pose: Pose) -> None:
        """Record a pose, before what is decided on it, and what the camera sent beside its picture."""
        self._writer.put_row(*self._packer.pose(pose))
        if (row := chunk_row(pose.frame)) is not None:
            self._writer.put_row(CHUNKS, row)

    def features(self, frame_id: int, now_ns: int, features: Features, given: Features | None = None) -> None:
        """Record the values that rules were evaluated on, and when: after the pose, before the decisions that come of it."""
        self._writer.put_row(FEATURES, self._packer.features(frame_id, now_ns, features, given))

    def published(self, frame_id: int, published_ns: int) -> None:
        """Record when the pose of a frame, which is recorded already, had been published."""
        self._writer.put_row(PUBLISHED, pack_published_row(frame_id, published_ns))

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
        if self._frames is not None:
            self._frames.put(image, meta)

    def losses(self, losses: Losses, t_ns: int | None = None) -> None:
        """Record the counts of lost frames, where they have changed."""
        if losses != self._losses:
            self._losses = losses
            self._writer.put(LossesEntry(self._at(t_ns), **asdict(losses)))

    def camera_status(self, status: CameraStatus) -> None:
        """Record how the camera does, where that has changed; a PTP offset alone changes nothing for `CLOCK_FIT_NS`."""
        now_ns = self._clock.now_ns()
        state = None if status.ptp is None else status.ptp.state
        known = status.problems, status.clock, status.clock_steps, state
        recorded_ns, recorded = self._camera_status
        if known == recorded and (state is None or now_ns - recorded_ns < CLOCK_FIT_NS):
            return
        self._camera_status = now_ns, known
        ptp = None if status.ptp is None else asdict(status.ptp)
        self._writer.put(CameraStatusEntry(now_ns, status.problems, status.clock, status.clock_steps, ptp))

    def latency(self, stages: Mapping[str, StageSummary], t_ns: int | None = None) -> None:
        """Record the percentiles so far."""
        summaries = {name: stage.as_dict() for name, stage in stages.items()}
        now_ns = self._at(t_ns)
        if self._seals:
            of_light = {name: summaries.pop(name) for name in OF_LIGHT if name in summaries}
            self._put_secret(LatencyEntry(now_ns, of_light))
        if summaries or not self._seals:
            self._writer.put(LatencyEntry(now_ns, summaries))

    def clock_fit(self, device: str, line: ClockLine) -> None:
        """Record how a device's clock maps to the host's, where that has changed or `CLOCK_FIT_NS` has passed."""
        now_ns = self._clock.now_ns()
        recorded_ns, recorded = self._clock_fits.get(device, (0, None))
        if recorded is not None and now_ns - recorded_ns < CLOCK_FIT_NS:
            device_ns = now_ns - round(line.offset_ns)
            if abs(line.at(device_ns) - recorded.at(device_ns)) <= CLOCK_FIT_CHANGE_NS:
                return
        self._clock_fits[device] = now_ns, line
        self._writer.put(ClockFitEntry(now_ns, device, *line))

    def network(self, engine: str, backend: Map, crop: Crop) -> None:
        """Record what finds the keypoints from here on."""
        self._writer.put(NetworkEntry(self._at(None), engine, backend, asdict(crop)))

    def gap(self, gap: Gap) -> None:
        """Record that the camera was lost, or is back."""
        t_ns = gap.begun_ns if gap.ended_ns is None else gap.ended_ns
        frame_id = gap.last_frame_id if gap.ended_ns is None else gap.first_frame_id
        self._writer.put(GapEntry(t_ns, gap.event, gap.why, frame_id, gap.begun_ns, gap.tries))

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
