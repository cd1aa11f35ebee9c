"""The latency certificate of a session: how late its keypoints were, on what, and by which bytes that can be checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rtface.core.latency import StageSummary
from rtface.offline.sessions.outline import Outline
from rtface.offline.sessions.stagetimes import STAGES
from rtface.record.session.entries import (
    OF_LIGHT,
    ArmingEntry,
    CameraEntry,
    LossesEntry,
    NetworkEntry,
    OutputEntry,
)
from rtface.record.session.reader import Session
from rtface.record.session.summary import blinded_trials, newest_stages

FORM = 1
"""Of the certificate as JSON; raised when a field changes its meaning or goes."""

BLINDED = "blinded: how many lights there were, and when, is in the seal"
NO_LIGHT = "no output reported a light"
_MOST_OUTPUTS = 8


@dataclass(frozen=True)
class BudgetHeld:
    """How a session held the latency budget of its rig.

    Attributes
    ----------
    text : str
        As it stands in the rig's file.
    limit_ms : float
    share : float
        Of late frames that is allowed.
    late : int
        Frames that were published as late as the limit or later. The hand-over to the output, which the budget is about,
        comes before that: no more frames were late at it.
    n : int
        Frames whose time of publishing is recorded.
    held : bool or None
        No more than the allowed share was late over the whole session; None where no frame is known. False says of the
        hand-over only that it may have been late.
    """

    text: str
    limit_ms: float
    share: float
    late: int
    n: int
    held: bool | None


@dataclass(frozen=True)
class Certificate:
    """What a session proves of its latency.

    Attributes
    ----------
    form : int
        See `FORM`.
    session, folder, state : str
        As in `rtface.record.session.summary.Summary`.
    began : str or None
        Universal time, ISO 8601.
    seconds : float
    poses, published, gaps : int
        Recorded, those with a time of publishing, and frame numbers without a pose between the first and the last.
    rate_hz : float or None
    stages : mapping of str to StageSummary
        Computed from the stamps of every recorded frame; `rtface.offline.sessions.stagetimes.STAGES` says from which to which.
    misses, deadline_ms
        Frames published later than the rig's deadline.
    budget : BudgetHeld or None
        None where the rig has none.
    light : mapping of str to mapping, or None
        Percentiles of the stages of each light, as the loop recorded them; None while blinded, and where there was none.
    light_why : str
        Why there are none; empty where there are.
    exposure : str
        Where the times of exposure come from: ``camera``, or ``arrival`` where the camera has no clock; then exposure and
        transfer are not in the latency.
    losses, unrecorded : mapping of str to int
        Frames lost by place, None where nobody knows; what the disk was too slow for.
    dropped_frames : int
        Of the recorded video.
    faults : tuple of str
    machine, camera, network : mapping
        What it ran on.
    real_time : str
        What the system gave the thread that sends the heartbeat: ``fifo`` or ``normal``; empty where it is not recorded.
    outputs : tuple of mapping
        Each output with firmware, build, protocol and limits.
    sha256 : mapping of str to str
    fingerprint : str
        The chain after the last record: it proves the log.
    missing : tuple of str
        What is not there, in words.
    """

    form: int
    session: str
    folder: str
    state: str
    began: str | None
    seconds: float
    poses: int
    published: int
    gaps: int
    rate_hz: float | None
    stages: Mapping[str, StageSummary]
    misses: int
    deadline_ms: float
    budget: BudgetHeld | None
    light: Mapping[str, Mapping[str, Any]] | None
    light_why: str
    exposure: str
    losses: Mapping[str, int | None]
    unrecorded: Mapping[str, int]
    dropped_frames: int
    faults: tuple[str, ...]
    machine: Mapping[str, Any]
    camera: Mapping[str, Any]
    network: Mapping[str, Any]
    real_time: str
    outputs: tuple[Mapping[str, Any], ...]
    sha256: Mapping[str, str]
    fingerprint: str
    missing: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for machines."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        budget = self.budget
        return values | {
            "stages": {
                name: {"from": STAGES[name][0], "to": STAGES[name][1], **stage.as_dict()}
                for name, stage in self.stages.items()
            },
            "budget": None
            if budget is None
            else {each.name: getattr(budget, each.name) for each in fields(budget)},
        }


def is_blinded(session: Session, *, unblind: bool) -> bool:
    """Return whether nothing may be told that depends on which trials were light."""
    return session.is_sealed or (not unblind and blinded_trials(session) > 0)


def certify(found: Outline, *, unblind: bool = False) -> Certificate:
    """Return the certificate of a session.

    Parameters
    ----------
    found : Outline
    unblind : bool
        Tell the latencies of light of a blinded session, whose seal was opened.
    """
    session = found.session
    summary = found.summary(unblind=unblind)
    light, why = _light(session, unblind=unblind)
    whole, camera = found.stages["end_to_end"], session.last(CameraEntry)
    losses = session.last(LossesEntry)
    outputs = tuple(_output(each) for each in session.of(OutputEntry)[:_MOST_OUTPUTS])
    return Certificate(
        form=FORM,
        session=summary.session,
        folder=summary.folder,
        state=summary.state,
        began=summary.began,
        seconds=summary.seconds,
        poses=found.rows.poses,
        published=found.rows.published,
        gaps=found.gaps,
        rate_hz=found.rows.rate_hz,
        stages=found.stages,
        misses=whole.misses or 0,
        deadline_ms=found.deadline_ms,
        budget=_budget(found, whole.n),
        light=light,
        light_why=why,
        exposure="not known" if camera is None else str(camera.info.get("exposure_source", "not known")),
        losses={} if losses is None else dict(summary.losses),
        unrecorded=dict(summary.unrecorded),
        dropped_frames=summary.dropped_frames,
        faults=_faults(session),
        machine={} if session.opened is None else dict(session.opened.machine),
        camera={} if camera is None else dict(camera.info),
        network=_network(session),
        real_time=next((each["real_time"] for each in outputs if each["real_time"]), ""),
        outputs=outputs,
        sha256=dict(sorted(summary.sha256.items())),
        fingerprint=session.fingerprint,
        missing=summary.missing,
    )


def _budget(found: Outline, n: int) -> BudgetHeld | None:
    budget = found.budget
    if budget is None:
        return None
    held = None if not n else found.over_budget <= budget.share * n + 1e-9
    return BudgetHeld(budget.text, budget.limit_ns / 1e6, round(budget.share, 9), found.over_budget, n, held)


def _light(session: Session, *, unblind: bool) -> tuple[dict[str, Mapping[str, Any]] | None, str]:
    if is_blinded(session, unblind=unblind):
        return None, BLINDED
    stages = {name: stage for name, stage in newest_stages(session).items() if name in OF_LIGHT}
    known = {name: stage for name, stage in stages.items() if stage.get("n")}
    return (known, "") if known else (None, NO_LIGHT)


def _faults(session: Session) -> tuple[str, ...]:
    """Return who or what ended light against the plan, in words."""
    began_ns = 0 if session.opened is None else session.opened.t_ns
    return tuple(
        f"{(each.t_ns - began_ns) / 1e9:.3f} s {each.event}: {each.why}"
        for each in session.of(ArmingEntry)
        if each.event in ("fault", "emergency")
    )


def _network(session: Session) -> dict[str, Any]:
    network = session.last(NetworkEntry)
    if network is None:
        return {}
    return {"engine": network.engine, "backend": dict(network.backend), "crop": dict(network.crop)}


def _output(entry: OutputEntry) -> dict[str, Any]:
    info = entry.info
    settings = info.get("settings") or {}
    names = ("kind", "label", "enforces_limits", "firmware", "build", "protocol", "limits")
    return {
        "output": entry.output,
        **{name: info.get(name) for name in names},
        "real_time": str(settings.get("priority", "")),
    }
