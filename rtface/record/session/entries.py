"""What a session's log holds: the events as typed records, and rows of poses, features and frames in batches.

Every time is nanoseconds of the host's monotonic clock, unless a field says otherwise. `docs/sessions.md` is the
same for readers in other languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

Map = Mapping[str, Any]
Inputs = tuple[tuple[str, float, float, int], ...]
Texts = tuple[str, ...]

NO_NUMBER = -1
"""Number of a decision that could not be recorded, and in a command that no decision asked for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event; `kind` is its number in the log, `name` what it is called elsewhere."""

    kind: ClassVar[int]
    name: ClassVar[str]

    t_ns: int
    """When it happened."""


@dataclass(frozen=True, slots=True)
class OpenedEntry(Entry):
    """The session began; with `ClosedEntry` the two anchors of its times to the calendar."""

    kind: ClassVar[int] = 1
    name: ClassVar[str] = "opened"

    wall_ns: int
    """The same moment in nanoseconds since the Unix epoch."""
    session: str
    """Id of the session."""
    machine: Map
    """Processor, memory, system and the versions of rtface, Python and packages."""


@dataclass(frozen=True, slots=True)
class ConfigurationEntry(Entry):
    """What the session was run with, in full."""

    kind: ClassVar[int] = 2
    name: ClassVar[str] = "configuration"

    rig: str
    """The rig's resolved configuration as text (YAML or JSON)."""
    rules: str
    """The rules file as text; empty without rules."""
    keypoints: Texts
    """Names of the keypoints, in the order of the poses' columns."""
    trained: tuple[bool, ...]
    """Whether the network was trained to find each."""
    features: Texts = ()
    """Names of the values that the rules see, in the order of their columns: features of the poses, then `given`."""
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
    """How long after the end of a pulse its end must have been told."""


@dataclass(frozen=True, slots=True)
class HashesEntry(Entry):
    """What took part, by its hash."""

    kind: ClassVar[int] = 3
    name: ClassVar[str] = "hashes"

    sha256: Map
    """SHA-256 in hexadecimal by name: ``rig`` and ``rules`` (of the texts of `ConfigurationEntry` in UTF-8), ``engine``,
    ``firmware`` and whatever else."""


@dataclass(frozen=True, slots=True)
class CameraEntry(Entry):
    """What the camera said of itself once it was open; fields as in `rtface.core.records.CameraInfo`."""

    kind: ClassVar[int] = 4
    name: ClassVar[str] = "camera"

    info: Map
    """The fields."""


@dataclass(frozen=True, slots=True)
class ClockFitEntry(Entry):
    """A device's clock mapped to the host's: host = device + offset_ns + slope * (device - anchor_ns)."""

    kind: ClassVar[int] = 5
    name: ClassVar[str] = "clock_fit"

    device: str
    """``camera``, ``gate``, ..."""
    anchor_ns: int
    """Device time that the line is given at."""
    offset_ns: float
    """Host minus device time there."""
    slope: float
    """Difference of the two rates (1)."""
    details: Map = field(default_factory=dict)
    """What else the fit says, such as its residuals."""


@dataclass(frozen=True, slots=True)
class ArmingEntry(Entry):
    """Who allowed or forbade stimulation, and why."""

    kind: ClassVar[int] = 6
    name: ClassVar[str] = "arming"

    event: str
    """``armed``, ``disarmed``, ``fault``, ``cleared``, ``emergency`` or ``self_test``."""
    who: str
    """The operator, a client or the part of rtface that did it."""
    why: str
    """The reason."""
    details: Map = field(default_factory=dict)
    """For instance the self-test's findings."""


@dataclass(frozen=True, slots=True)
class DecisionEntry(Entry):
    """What was decided about a rule, with all that it rested on; fields as in `rtface.core.decision.Decision`."""

    kind: ClassVar[int] = 7
    name: ClassVar[str] = "decision"

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
    """``fire``, ``sham``, ``catch``, ``withhold``, ``cancel`` or ``none``: what it is, also of a blinded trial."""
    reason: str
    """Why; the names of `rtface.core.decision.Reason`."""
    pulse: Map | None
    """The pulse (train) that was decided, fields as in `rtface.core.records.Pulse`; None without one."""
    trial: int | None
    """Number of the trial in its rule, from 0; None for what is no trial."""
    inputs: Inputs
    """Name, value, score and age in nanoseconds of every value in the rule."""
    blind: bool
    """Whether ``fire`` and ``sham`` are not to be told apart while the session lasts."""


@dataclass(frozen=True, slots=True)
class PulseCommandEntry(Entry):
    """A command that was handed to an output."""

    kind: ClassVar[int] = 8
    name: ClassVar[str] = "pulse"

    decision: int
    """Number of the decision; -1 for one that no decision asked for, such as light off when disarming."""
    number: int
    """Number of the command, as the output gave it; what its replies refer to."""
    output: str
    """Name of the output."""
    command: str
    """``fire``, ``cancel``, ``disarm`` or ``stop``."""
    details: Map = field(default_factory=dict)
    """The pulse as it was sent."""


@dataclass(frozen=True, slots=True)
class GateReplyEntry(Entry):
    """What an output answered or reported by itself, stamped where the host learned of it.

    Fields as in `rtface.core.outputs.Report`.
    """

    kind: ClassVar[int] = 9
    name: ClassVar[str] = "gate"

    number: int | None
    """Number of the command that it belongs to; None for what no command asked for."""
    output: str
    """Name of the output."""
    event: str
    """``sent``, ``ack``, ``refused``, ``timeout``, ``light_on``, ``light_off``, ``train_ended``, ``state``, ..."""
    state: str
    """Where the output stands afterwards, as far as the host knows."""
    reason: str
    """Why; the names of `rtface.core.outputs.OutputReason`."""
    device_us: int | None
    """When, in microseconds of the device's own clock; None where it does not say."""
    host_ns: int | None
    """The same moment on the host's clock; None where it is not known."""
    details: Map = field(default_factory=dict)
    """What else it says."""


@dataclass(frozen=True, slots=True)
class LossesEntry(Entry):
    """Frames lost since the start, by place; fields as in `rtface.core.records.Losses`."""

    kind: ClassVar[int] = 10
    name: ClassVar[str] = "losses"

    camera: int
    """Not delivered by the camera, or damaged."""
    transport: int
    """Gaps in the frame number between camera and host."""
    ring: int
    """Displaced by a newer one before the network could take them."""
    publish: int
    """Messages that could not be handed to the socket."""


@dataclass(frozen=True, slots=True)
class MarkEntry(Entry):
    """A remark by a client or the operator."""

    kind: ClassVar[int] = 11
    name: ClassVar[str] = "mark"

    who: str
    """Who set it."""
    text: str
    """What it says."""
    details: Map = field(default_factory=dict)
    """What else came with it."""


@dataclass(frozen=True, slots=True)
class LatencyEntry(Entry):
    """Percentiles of the latency so far, in milliseconds."""

    kind: ClassVar[int] = 12
    name: ClassVar[str] = "latency"

    stages: Map
    """By stage, fields as in `rtface.core.latency.StageSummary`."""


@dataclass(frozen=True, slots=True)
class FaultEntry(Entry):
    """Something that the session's owner has to know, because the record or the rig is no longer what it should be.

    Of the record itself `what` is ``space`` (little room left on the disk; recording goes on), ``stalled`` (the disk
    does not answer), ``lost`` (an event found no room in the queue), ``video`` (frames are no longer recorded),
    ``write`` (the disk is full or broken; recording has ended) or ``internal``.
    """

    kind: ClassVar[int] = 13
    name: ClassVar[str] = "fault"

    what: str
    """Its kind."""
    text: str
    """What happened, for a person."""


@dataclass(frozen=True, slots=True)
class UnrecordedEntry(Entry):
    """What the recorder could not keep since the session began, because the disk was too slow."""

    kind: ClassVar[int] = 14
    name: ClassVar[str] = "unrecorded"

    poses: int
    """Rows of poses."""
    features: int
    """Rows of features."""
    frames: int
    """Rows of the frame index."""
    events: int
    """Events; each is a fault, too."""


@dataclass(frozen=True, slots=True)
class VideoEntry(Entry):
    """How far the recording of frames has come."""

    kind: ClassVar[int] = 15
    name: ClassVar[str] = "video"

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
    """The file is complete; False for what is said in between."""


@dataclass(frozen=True, slots=True)
class ClosedEntry(Entry):
    """The session ended, and this is the log's last record."""

    kind: ClassVar[int] = 16
    name: ClassVar[str] = "closed"

    wall_ns: int
    """The same moment in nanoseconds since the Unix epoch."""
    reason: str
    """Why: ``ended``, or the fault that ended it."""
    totals: Map
    """How many of everything are in the log, by name: events, and rows of poses, features and frames."""


@dataclass(frozen=True, slots=True)
class CallEntry(Entry):
    """A call of the rules that no frame made, and before it stand all calls that came before it.

    `t_ns` is the time that the engine was told. With poses and rows of features, the calls of frames, it is all that
    decisions rest on.
    """

    kind: ClassVar[int] = 17
    name: ClassVar[str] = "call"

    call: str
    """Name of the method of `rtface.decide.evaluator.RuleEvaluator`: ``tick``, ``arm``, ``ended``, ..."""
    arguments: Map
    """Its arguments beside the time, by name."""


@dataclass(frozen=True, slots=True)
class NetworkEntry(Entry):
    """What finds the keypoints from here on: said at the beginning, and again whenever the crop changes."""

    kind: ClassVar[int] = 18
    name: ClassVar[str] = "network"

    engine: str
    """Name of the engine."""
    backend: Map
    """What runs it; fields as in `rtface.track.backends.base.BackendInfo`."""
    crop: Map
    """The part of the frame that it sees: ``x``, ``y``, ``width`` and ``height`` in pixels."""


@dataclass(frozen=True, slots=True)
class OutputEntry(Entry):
    """What an output said of itself once it was open; fields as in `rtface.core.outputs.OutputInfo`."""

    kind: ClassVar[int] = 19
    name: ClassVar[str] = "output"

    output: str
    """Name of the output."""
    info: Map
    """The fields."""


ENTRIES: dict[int, type[Entry]] = {
    each.kind: each
    for each in (
        OpenedEntry,
        ConfigurationEntry,
        HashesEntry,
        CameraEntry,
        ClockFitEntry,
        ArmingEntry,
        DecisionEntry,
        PulseCommandEntry,
        GateReplyEntry,
        LossesEntry,
        MarkEntry,
        LatencyEntry,
        FaultEntry,
        UnrecordedEntry,
        VideoEntry,
        ClosedEntry,
        CallEntry,
        NetworkEntry,
        OutputEntry,
    )
}
"""Every kind of event, by its number in the log."""
