"""The events of a session's log as typed records; `rtface.record.session.rows` has what comes with every frame.

Every time is nanoseconds of the host's monotonic clock, unless a field says otherwise. `docs/sessions.md` is the
same for readers in other languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, TypeVar, dataclass_transform

from rtface.core.decision import Decision
from rtface.core.outputs import OutputEvent, Report

Map = Mapping[str, Any]
Inputs = tuple[tuple[str, float, float, int], ...]
Texts = tuple[str, ...]

NO_NUMBER = -1
"""Number of a decision that could not be recorded, and in a command that came of no decision."""

ANSWERS = frozenset({OutputEvent.ACK, OutputEvent.REFUSED, OutputEvent.TIMEOUT, OutputEvent.LOST})
"""What becomes of a command: events of a `GateReplyEntry`."""

OF_LIGHT = frozenset({"handover", "answer", "light"})
"""Stages of a `LatencyEntry` that there is one of for each light."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event; `kind` is its number in the log, `name` what it is called elsewhere."""

    kind: ClassVar[int]
    name: ClassVar[str]

    t_ns: int
    """When it happened."""


ENTRIES: dict[int, type[Entry]] = {}
"""Every kind of event, by its number in the log."""

_Kind = TypeVar("_Kind", bound=Entry)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _event(kind: int, name: str) -> Callable[[type[_Kind]], type[_Kind]]:
    """Make a class the record of an event, of that number and name."""

    def register(fields: type[_Kind]) -> type[_Kind]:
        entry = dataclass(frozen=True, slots=True)(fields)
        entry.kind, entry.name = kind, name
        ENTRIES[kind] = entry
        return entry

    return register


@_event(1, "opened")
class OpenedEntry(Entry):
    """The session began; with `ClosedEntry` the two anchors of its times to the calendar."""

    wall_ns: int
    """The same moment in nanoseconds since the Unix epoch."""
    session: str
    """Id of the session."""
    machine: Map
    """Processor, memory, system and the versions of rtface, Python and packages."""


@_event(2, "configuration")
class ConfigurationEntry(Entry):
    """What the session was run with, in full."""

    rig: str
    """The rig's resolved configuration as text (YAML or JSON)."""
    rules: str
    """The rules file as text; empty without rules."""
    keypoints: Texts
    """Names of the keypoints, in the order of the poses' columns."""
    trained: tuple[bool, ...]
    """Whether the network was trained to find each."""
    features: Texts = ()
    """Names of the values that the rules use, in the order of their columns: features of the poses, then `given`."""
    units: Texts = ()
    """Their units."""
    given: Texts = ()
    """Those that were not computed from the poses, such as components of neural activity: a replay takes them as they
    were recorded."""
    score_definition: str = ""
    """What a keypoint's score means."""
    resolved: str = ""
    """The rules as JSON with all that the file takes from elsewhere (pulse times of other sessions); empty without
    rules."""
    rate_hz: float | None = None
    """Frames per second that the features were made for; None where it is not known."""
    grace_ns: int = 0
    """How long after the end of a pulse its end must have been reported."""
    alike_ns: int = 0
    """How long after its planned end a blinded trial ended, light or sham; 0 where it ended with its light."""


@_event(3, "hashes")
class HashesEntry(Entry):
    """What took part, by its hash."""

    sha256: Map
    """SHA-256 in hexadecimal by name: ``rig`` and ``rules`` (of the texts of `ConfigurationEntry` in UTF-8), ``engine``,
    ``firmware`` and whatever else."""


@_event(4, "camera")
class CameraEntry(Entry):
    """What the camera is, once it was open; fields as in `rtface.core.records.CameraInfo`."""

    info: Map
    """The fields."""
    camera_name: str = ""
    """Which of several cameras; not there for the only one."""


@_event(5, "clock_fit")
class ClockFitEntry(Entry):
    """A device's clock mapped to the host's: host = device + offset_ns + slope * (device - anchor_ns)."""

    device: str
    """``camera``. A gate's clock is in its replies ``clock`` (`GateReplyEntry`)."""
    anchor_ns: int
    """Device time that the line is given at."""
    offset_ns: float
    """Host minus device time there."""
    slope: float
    """Difference of the two rates (1)."""
    details: Map = field(default_factory=dict)
    """What else belongs to the fit."""
    camera_name: str = ""
    """As of `CameraEntry`."""


@_event(6, "arming")
class ArmingEntry(Entry):
    """Who allowed or forbade stimulation, and why."""

    event: str
    """``armed``, ``disarmed``, ``fault``, ``cleared``, ``emergency``, ``self_test`` or ``baseline`` (taken anew)."""
    who: str
    """The operator, a client or the part of rtface that did it."""
    why: str
    """The reason."""
    details: Map = field(default_factory=dict)
    """For instance the self-test's findings."""


@_event(7, "decision")
class DecisionEntry(Entry):
    """What was decided about a rule, with all that it rested on; fields as in `rtface.core.decision.Decision`."""

    number: int
    """Number of the decision in the session, from 0; what pulses refer to."""
    rule: str
    """Name of the rule."""
    frame_id: int | None
    """The frame it was decided on; None where time or a person made it."""
    session_ns: int | None
    """Session time in nanoseconds; None before it began."""
    state_before: str
    """State of the rule's machine before."""
    state_after: str
    """And after."""
    action: str
    """``fire``, ``sham``, ``catch``, ``withhold``, ``cancel`` or ``none``; ``trial`` where a seal hides which."""
    reason: str
    """Why; the names of `rtface.core.decision.Reason`."""
    pulse: Map | None
    """The pulse (train) that was decided, fields as in `rtface.core.records.Pulse`; None without one."""
    trial: int | None
    """Number of the trial in its rule, from 0; None for what is no trial."""
    inputs: Inputs
    """Name, value, score and age in nanoseconds of every value in the rule."""
    blind: bool
    """Whether ``fire`` and ``sham`` must look the same while the session lasts."""
    camera_name: str = ""
    """As of `CameraEntry`."""

    @classmethod
    def of(cls, decision: Decision, number: int) -> DecisionEntry:
        """Return a decision as it is recorded under `number`."""
        return cls(
            t_ns=decision.now_ns,
            number=number,
            rule=decision.rule,
            frame_id=decision.frame_id,
            session_ns=decision.session_ns,
            state_before=decision.state_before,
            state_after=decision.state_after,
            action=decision.action,
            reason=decision.reason,
            pulse=None if decision.pulse is None else asdict(decision.pulse),
            trial=decision.trial,
            inputs=decision.inputs,
            blind=decision.blind,
            camera_name=decision.camera,
        )


@_event(8, "pulse")
class PulseCommandEntry(Entry):
    """A command that was handed to an output."""

    decision: int
    """Number of the decision; -1 for a command that came of none, such as light off when disarming."""
    number: int
    """Number of the command, as the output gave it; what its replies refer to."""
    output: str
    """Name of the output."""
    command: str
    """``fire``, ``cancel``, ``disarm`` or ``stop``."""
    details: Map = field(default_factory=dict)
    """The pulse as it was sent."""


@_event(9, "gate")
class GateReplyEntry(Entry):
    """What an output answered or reported by itself, stamped where the host learned of it.

    Fields as in `rtface.core.outputs.Report`.
    """

    number: int | None
    """Number of the command that it belongs to; None for what came of no command."""
    output: str
    """Name of the output."""
    event: str
    """``sent``, ``ack``, ``refused``, ``timeout``, ``light_on``, ``light_off``, ``train_ended``, ``state``, ..."""
    state: str
    """State of the output afterwards, as far as the host has learned of it."""
    reason: str
    """Why; the names of `rtface.core.outputs.OutputReason`."""
    device_us: int | None
    """When, in microseconds of the device's own clock; None where it has no stamp."""
    host_ns: int | None
    """The same moment on the host's clock; None where it is not known."""
    details: Map = field(default_factory=dict)
    """What else is in the report."""

    @classmethod
    def of(cls, report: Report, output: str) -> GateReplyEntry:
        """Return an output's report as it is recorded."""
        return cls(
            t_ns=report.t_ns,
            number=report.number,
            output=output,
            event=report.event,
            state=report.state,
            reason=report.reason,
            device_us=report.device_us,
            host_ns=report.host_ns,
            details=report.details,
        )


@_event(10, "losses")
class LossesEntry(Entry):
    """Frames lost since the start, by place; fields as in `rtface.core.records.Losses`."""

    camera: int
    """Not delivered by the camera, or damaged."""
    transport: int
    """Gaps in the frame number between camera and host."""
    ring: int
    """Displaced by a newer one before the network could take them."""
    publish: int
    """Messages that could not be handed to the socket."""
    transport_known: bool = True
    """Whether the frame numbers could show gaps."""
    missed_triggers: int | None = None
    """Triggers that began no exposure, and so no lost frames; None where the camera sends no count of triggers."""
    camera_name: str = ""
    """As of `CameraEntry`."""


@_event(11, "mark")
class MarkEntry(Entry):
    """A remark by a client or the operator."""

    who: str
    """Who set it."""
    text: str
    """The remark."""
    details: Map = field(default_factory=dict)
    """What else came with it."""


@_event(12, "latency")
class LatencyEntry(Entry):
    """Percentiles of the latency so far, in milliseconds."""

    stages: Map
    """By stage, fields as in `rtface.core.latency.StageSummary`."""
    camera_name: str = ""
    """As of `CameraEntry`."""


@_event(13, "fault")
class FaultEntry(Entry):
    """Something of which the session's owner is notified: the record or the rig is no longer what it should be.

    Of the record itself `what` is ``space`` (little room left on the disk; recording goes on), ``stalled`` (the disk
    does not answer), ``lost`` (an event found no room), ``video`` (frames are no longer recorded), ``gone`` (the log or the
    video is no longer at its path), ``write`` (the disk is full or broken: no more room can be allocated, or recording has
    ended) or ``internal``.
    """

    what: str
    """Its kind."""
    text: str
    """What happened, for a person."""


@_event(14, "unrecorded")
class UnrecordedEntry(Entry):
    """What the recorder could not keep since the session began, because the disk was too slow."""

    poses: int
    """Rows of poses."""
    features: int
    """Rows of features."""
    frames: int
    """Rows of the frame index."""
    events: int
    """Events; each is a fault, too."""
    published: int = 0
    """Stamps of publishing."""
    chunks: int = 0
    """Rows of what the camera sent beside a picture."""


@_event(15, "video")
class VideoEntry(Entry):
    """How far the recording of frames has come."""

    file: str
    """Name of the file in the session's folder."""
    codec: str
    """How its frames are encoded."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    offered: int
    """Frames that were to be recorded."""
    encoded: int
    """Frames that are in the file and in the frame index."""
    dropped: int
    """Frames that found no room in the queue, or came after the recording of frames had failed."""
    ended: bool
    """The file is complete; False for counts in between."""
    camera_name: str = ""
    """As of `CameraEntry`."""


@_event(16, "closed")
class ClosedEntry(Entry):
    """The session ended, and this is the log's last record."""

    wall_ns: int
    """The same moment in nanoseconds since the Unix epoch."""
    reason: str
    """Why: ``ended``, or the fault that ended it."""
    totals: Map
    """How many of everything are in the log, by name: events, and rows of each kind."""


@_event(17, "call")
class CallEntry(Entry):
    """A call of the rules that no frame made, and before it stand all calls that came before it.

    `t_ns` is the time that the engine was given. With poses and rows of features, the calls of frames, it is all that
    decisions rest on.
    """

    call: str
    """Name of the method of `rtface.decide.evaluator.RuleEvaluator`: ``tick``, ``arm``, ``ended``, ..."""
    arguments: Map
    """Its arguments beside the time, by name."""


@_event(18, "network")
class NetworkEntry(Entry):
    """What finds the keypoints from here on: at the beginning, and again whenever the crop changes."""

    engine: str
    """Name of the engine."""
    backend: Map
    """What runs it; fields as in `rtface.track.backends.base.BackendInfo`."""
    crop: Map
    """The part of the frame that it is given: ``x``, ``y``, ``width`` and ``height`` in pixels."""
    camera_name: str = ""
    """As of `CameraEntry`."""


@_event(19, "output")
class OutputEntry(Entry):
    """What an output is, once it was open; fields as in `rtface.core.outputs.OutputInfo`."""

    output: str
    """Name of the output."""
    info: Map
    """The fields."""


@_event(20, "synced")
class SyncedEntry(Entry):
    """The log was on the disk: how it was written, not what happened, so it stands in no totals."""

    bytes: int
    """Bytes from the log's beginning that were on the disk."""
    reserved: int
    """Bytes that the file had: with the room that was allocated ahead."""


@_event(21, "baseline")
class BaselineEntry(Entry):
    """The baseline that thresholds rest on was complete, after the row of features of the frame that completed it.

    It holds from the next frame on, until another one.
    """

    seconds: float
    """How long it was taken, from frame to frame."""
    frames: int
    """That were taken."""
    statistic: str
    """``mean and sd`` or ``median and MAD``."""
    values: Map
    """By name: ``mean`` (or median), ``sd`` (or 1.4826 times the MAD) and ``frames``, on which the value was known; NaN
    where the frames do not allow it to be said."""
    problems: Texts = ()
    """What they do not allow, in words; nobody can arm then."""


@_event(22, "seal")
class SealEntry(Entry):
    """The session is blinded: what tells light from sham is in `SealedEntry` from here on."""

    cipher: str
    """What it is sealed with."""
    key_sha256: str
    """SHA-256 of ``rtface seal key`` and the key, hexadecimal: which key opens it."""


@_event(23, "sealed")
class SealedEntry(Entry):
    """A block of sealed entries: of one size, and one at each visit of the writer, whether anything happened or not."""

    number: int
    """From 0, without a gap."""
    data: bytes
    """As of `rtface.record.seal`."""


@_event(24, "secret")
class SecretEntry(Entry):
    """Only sealed: what was left out of an entry in the clear, or how many entries were sealed."""

    decision: int | None
    """Number of the decision whose fields they are; None for the session."""
    hidden: Map
    """``action`` and ``reason`` of a decision; of the session ``session_seed`` by rule, or ``totals`` by kind."""


@_event(25, "gap")
class GapEntry(Entry):
    """The camera was lost and is being opened anew, or is back; the session went on without frames."""

    event: str
    """``lost`` or ``back``."""
    why: str
    """What was lost, and how."""
    frame_id: int | None
    """The last frame before, or the first after it; None where there was none."""
    begun_ns: int
    """When it was lost."""
    tries: int = 0
    """How often it was opened until it was back."""
    camera_name: str = ""
    """As of `CameraEntry`."""


@_event(26, "camera_status")
class CameraStatusEntry(Entry):
    """How the camera does from here on, where that has changed; fields as in `rtface.core.status.CameraStatus`."""

    problems: Texts
    """What does not hold of what was asked for."""
    clock: str
    """Why exposures are times of arrival though the camera has a clock; empty while its stamps are believed."""
    clock_steps: int
    """How often its clock was set to another time so far."""
    ptp: Map | None
    """``state`` and ``offset_ns``; None where it is not watched."""
    camera_name: str = ""
    """As of `CameraEntry`."""


@_event(27, "tracked")
class TrackedEntry(Entry):
    """A camera of a session that has several: one entry for each at the beginning, the first camera's too.

    `ConfigurationEntry` has the first one's keypoints, features and given values, as of a session with one camera.
    """

    camera_name: str
    """Its name in the rig's file, and in rules."""
    number: int
    """From 0: its rows are of the kinds 64 to 79, those of number 1 of the kinds 80 to 95, and so on."""
    keypoints: Texts
    """Names of the keypoints, in the order of the poses."""
    trained: tuple[bool, ...]
    """Whether the network was trained to find each."""
    features: Texts
    """Names of the values in its rows of features."""
    units: Texts
    """Of each."""
    given: Texts
    """The last of these values: not features of the pose."""
    score_definition: str
    """What a keypoint's score means."""
    rate_hz: float | None
    """Frames per second that its features were made for."""
    width: int
    """Pixels of its frames."""
    height: int
    """Pixels of its frames."""
