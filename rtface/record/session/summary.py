"""What happened in a session, counted: for people, and as a map for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rtface.core.clock import NS_PER_MS, NS_PER_S, utc
from rtface.core.outputs import OutputEvent
from rtface.record.session.cameras.facts import facts_of
from rtface.record.session.entries import (
    ANSWERS,
    OF_LIGHT,
    ArmingEntry,
    DecisionEntry,
    FaultEntry,
    GapEntry,
    GateReplyEntry,
    LatencyEntry,
    LossesEntry,
    MarkEntry,
    PulseCommandEntry,
    TrackedEntry,
    UnrecordedEntry,
    VideoEntry,
)
from rtface.record.session.reader import Session
from rtface.record.session.rows import Rows

TRIAL = "trial"
"""What a blinded ``fire`` and a blinded ``sham`` are both called."""

_LIT = frozenset({"fire", "sham"})


_OF_CAMERA = frozenset(
    {
        "facts",
        "poses",
        "published",
        "features",
        "frames",
        "dropped_frames",
        "rate_hz",
        "gaps",
        "losses",
        "latency",
    }
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened once: when, in seconds since the session began, what, and by whom."""

    at_s: float
    what: str
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class PulseCounts:
    """What became of the decisions to fire.

    Attributes
    ----------
    commanded, acknowledged, lit : int
        Commands to fire, those that an output carried out, and how often it reported that the light was on.
    light_ms : float
        For how long it was on in all, as outputs reported.
    not_carried_out : mapping of str to int
        The other answers: event and reason, and how many.
    """

    commanded: int
    acknowledged: int
    lit: int
    light_ms: float
    not_carried_out: Mapping[str, int]


@dataclass(frozen=True)
class Summary:
    """What happened in a session.

    Attributes
    ----------
    session, folder, state : str
        Its id, the name of its folder, and how whole its log is (see `Session`).
    began : str or None
        In universal time, ISO 8601.
    seconds : float
        From the first to the last that is recorded.
    facts : mapping of str to str
        Engine, back end, crop, camera and its clock, machine: what it was run with.
    sha256 : mapping of str to str
        Hashes.
    poses, published, features, frames, dropped_frames : int
        Rows that are recorded, and frames that could not be.
    rate_hz : float or None
        Poses per second.
    decisions : mapping of (rule, action, reason) to int
        How many of each; those of blinded trials as ``trial``, unless asked for.
    blinded : int
        Decisions that are shown as ``trial``.
    pulses : PulseCounts or None
        None while blinded: the number of pulses would unblind.
    armings, marks, faults, gaps : tuple of Moment
    losses, unrecorded : mapping of str to int
        Frames lost by place, None where nobody knows, and what the disk was too slow for.
    latency : mapping of str to mapping
        Percentiles by stage, as they were recorded last.
    missing : tuple of str
        What is not there, in words.
    cameras : mapping of str to Summary
        Of several cameras, each as if it had been alone; what stands above is of all together, and the latency of light alone.
    """

    session: str
    folder: str
    state: str
    began: str | None
    seconds: float
    facts: Mapping[str, str]
    sha256: Mapping[str, str]
    poses: int
    published: int
    features: int
    frames: int
    dropped_frames: int
    rate_hz: float | None
    decisions: Mapping[tuple[str, str, str], int]
    blinded: int
    pulses: PulseCounts | None
    armings: tuple[Moment, ...]
    marks: tuple[Moment, ...]
    faults: tuple[Moment, ...]
    gaps: tuple[Moment, ...]
    losses: Mapping[str, int | None]
    unrecorded: Mapping[str, int]
    latency: Mapping[str, Mapping[str, Any]]
    missing: tuple[str, ...]
    cameras: Mapping[str, Summary] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for machines."""
        values = _fields(self)
        cameras = values.pop("cameras")
        if cameras:
            values["cameras"] = {
                name: {key: value for key, value in each.as_dict().items() if key in _OF_CAMERA}
                for name, each in cameras.items()
            }
        return values | {
            "decisions": [
                {"rule": rule, "action": action, "reason": reason, "count": count}
                for (rule, action, reason), count in self.decisions.items()
            ],
            "pulses": None if self.pulses is None else _fields(self.pulses),
            **{
                name: [_fields(each) for each in values[name]]
                for name in ("armings", "marks", "faults", "gaps")
            },
        }


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows of each kind a session has, and poses per second; None where that is not known."""

    poses: int
    published: int
    features: int
    frames: int
    rate_hz: float | None

    @classmethod
    def of(cls, session: Session) -> RowCounts:
        """Count the rows of a session that was read whole."""
        return cls(
            poses=len(session.poses),
            published=len(session.published),
            features=len(session.features),
            frames=len(session.frames),
            rate_hz=rate_of(session.poses, len(session.poses)),
        )


def summarise(session: Session, *, unblind: bool = False, rows: RowCounts | None = None) -> Summary:
    """Count what happened.

    Parameters
    ----------
    session : Session
        As it was read.
    unblind : bool
        Show light and sham of blinded trials as what they are.
    rows : RowCounts, optional
        Of a session whose rows are not all in memory.
    """
    if session.cameras and rows is None:
        return _of_several(session, unblind=unblind)
    rows = RowCounts.of(session) if rows is None else rows
    began_ns, ended_ns = _span(session)
    seconds = (ended_ns - began_ns) / NS_PER_S
    opened, video = session.opened, session.last(VideoEntry)
    actions = [shown(each, unblind=unblind) for each in session.decisions]
    decisions = Counter((each.rule, *action) for each, action in zip(session.decisions, actions, strict=True))
    blinded = sum(action == TRIAL for action, _ in actions)
    losses, unrecorded = session.last(LossesEntry), session.last(UnrecordedEntry)

    def moment(t_ns: int, what: str, who: str, text: str) -> Moment:
        return Moment((t_ns - began_ns) / NS_PER_S, what, who, text)

    return Summary(
        session="" if opened is None else opened.session,
        folder=session.folder.name,
        state=session.state,
        began=None if opened is None else _iso(opened.wall_ns),
        seconds=seconds,
        facts=facts_of(session),
        sha256={} if session.hashes is None else dict(session.hashes.sha256),
        poses=rows.poses,
        published=rows.published,
        features=rows.features,
        frames=rows.frames,
        dropped_frames=0 if video is None else video.dropped,
        rate_hz=rows.rate_hz,
        decisions=dict(sorted(decisions.items())),
        blinded=blinded,
        pulses=None if blinded or session.is_sealed else _pulses(session),
        armings=tuple(moment(each.t_ns, each.event, each.who, each.why) for each in session.of(ArmingEntry)),
        marks=tuple(moment(each.t_ns, "mark", each.who, each.text) for each in session.of(MarkEntry)),
        faults=tuple(moment(each.t_ns, each.what, "", each.text) for each in session.of(FaultEntry)),
        gaps=tuple(
            moment(each.t_ns, each.event, each.camera_name, each.why) for each in session.of(GapEntry)
        ),
        losses={} if losses is None else _losses(losses),
        unrecorded={} if unrecorded is None else _counts(unrecorded),
        latency=_latency(session, blinded=not unblind and hides_counts(session)),
        missing=session.missing,
    )


def _of_several(session: Session, *, unblind: bool) -> Summary:
    """Return what happened with all cameras together, and with each."""
    each = {name: summarise(session.of_camera(name), unblind=unblind) for name in session.cameras}
    kept = tuple(
        entry
        for entry in session.events
        if isinstance(entry, DecisionEntry | GapEntry)
        or (not isinstance(entry, TrackedEntry) and not getattr(entry, "camera_name", ""))
    )
    whole = summarise(replace(session, events=kept), unblind=unblind)
    losses: dict[str, int | None] = {}
    for one in each.values():
        for place, count in one.losses.items():
            before = losses.get(place, 0)
            losses[place] = None if count is None or before is None else before + count
    return replace(
        whole,
        poses=session.row_count("poses"),
        published=session.row_count("published"),
        features=session.row_count("features"),
        frames=session.row_count("frames"),
        dropped_frames=sum(one.dropped_frames for one in each.values()),
        rate_hz=None,
        losses=losses,
        cameras=each,
    )


def blinded_trials(session: Session) -> int:
    """Return how many trials of a session must not be told apart."""
    return sum(shown(each, unblind=False)[0] == TRIAL for each in session.decisions)


def hides_counts(session: Session) -> bool:
    """Return whether no number that depends on which trials were light may be shown.

    Sessions made before a blinded trial ended alike, light or sham, told such numbers then, and are shown as they were.
    """
    said = session.configuration
    return said is not None and said.alike_ns > 0 and blinded_trials(session) > 0


def shown(decision: DecisionEntry, *, unblind: bool) -> tuple[str, str]:
    """Return action and reason of a decision as they may be shown."""
    if decision.action == TRIAL or (decision.blind and decision.action in _LIT and not unblind):
        return TRIAL, "rule"
    return decision.action, decision.reason


def _span(session: Session) -> tuple[int, int]:
    """Return the first and the last moment that is recorded."""
    times = [each.t_ns for each in session.events]
    for rows, name in ((session.poses, "decided_ns"), (session.features, "now_ns")):
        if len(rows):
            times += [int(rows[name][0]), int(rows[name][-1])]
    began_ns = session.opened.t_ns if session.opened is not None else min(times, default=0)
    return began_ns, max(times, default=began_ns)


def rate_of(poses: Rows, count: int) -> float | None:
    """Return poses per second of `count` poses, of which the first and the last are given; None where that is not known."""
    taken = poses["taken_ns"]
    if count < 2 or taken[-1] <= taken[0]:
        return None
    return float((count - 1) * NS_PER_S / (taken[-1] - taken[0]))


def _pulses(session: Session) -> PulseCounts:
    fires = {(each.output, each.number) for each in session.of(PulseCommandEntry) if each.command == "fire"}
    replies = session.of(GateReplyEntry)
    answers = Counter(
        each.event if each.reason in ("", "none") else f"{each.event}: {each.reason}"
        for each in replies
        if each.event in ANSWERS - {OutputEvent.ACK} and (each.output, each.number) in fires
    )
    return PulseCounts(
        commanded=len(fires),
        acknowledged=sum(each.event == "ack" and (each.output, each.number) in fires for each in replies),
        lit=sum(each.event == "light_on" for each in replies),
        light_ms=sum(each.details.get("on_ns", 0) for each in replies if each.event == "light_off")
        / NS_PER_MS,
        not_carried_out=dict(answers),
    )


def newest_stages(session: Session) -> dict[str, Mapping[str, Any]]:
    """Return the newest percentiles of each stage: what is recorded at the end is of the light alone."""
    return {name: stage for each in session.of(LatencyEntry) for name, stage in each.stages.items()}


def _latency(session: Session, *, blinded: bool) -> dict[str, Mapping[str, Any]]:
    """Return the newest percentiles; while blinded without those of the light, which count it."""
    return {
        name: stage for name, stage in newest_stages(session).items() if not (blinded and name in OF_LIGHT)
    }


def _losses(entry: LossesEntry) -> dict[str, int | None]:
    """Return the lost frames by place; None for what nobody knows."""
    counts: dict[str, int | None] = dict(_counts(entry))
    if not counts.pop("transport_known"):
        counts["transport"] = None
    del counts["missed_triggers"]  # which are no frames
    return counts


def _counts(entry: LossesEntry | UnrecordedEntry) -> dict[str, int]:
    return {name: value for name, value in _fields(entry).items() if name not in ("t_ns", "camera_name")}


def _fields(record: Any) -> dict[str, Any]:
    return {each.name: getattr(record, each.name) for each in fields(record)}


def _iso(wall_ns: int) -> str:
    return utc(wall_ns).isoformat(timespec="milliseconds")
