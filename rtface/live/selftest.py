"""What must be true before light may be allowed. Nothing here acts: what was found out is looked at, question by question."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rtface.config import AnimalSettings, OutputSettings
from rtface.core.budget import BudgetWatch
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS
from rtface.core.errors import RtfaceError
from rtface.core.outputs import OutputInfo
from rtface.core.records import KNOWN_VIEW, CameraInfo, Pulse, TriggerInfo
from rtface.core.status import PipelineState, PipelineStatus
from rtface.decide.baseline import Baselines
from rtface.live.answers import camera_in_words, guard
from rtface.record.session.animal import EarlierLight

_RATE_TOLERANCE = 0.05
_FRAMES_BEFORE = 200
_NS_PER = {"_us": 1_000, "_ms": NS_PER_MS}


@dataclass(frozen=True)
class AnimalLight:
    """What one animal has had, and what the rig allows.

    Attributes
    ----------
    subject : str
    limits : AnimalSettings
    earlier : EarlierLight
        Of sessions before this one.
    now_s : float
        Seconds of light in this session.
    """

    subject: str
    limits: AnimalSettings
    earlier: EarlierLight
    now_s: float


@dataclass(frozen=True)
class Circumstances:
    """All that the self-test looks at.

    Attributes
    ----------
    camera : CameraInfo
    status : Status
        Of the pipeline.
    parity : callable
        Returns in words how the engine agrees with its reference on this machine; raises `RtfaceError` where that is
        not known.
    output : OutputInfo
    output_checks : callable
        The output's own self-test; raises `RtfaceError`.
    settings : OutputSettings
        Of the output.
    pulses : mapping of str to Pulse
        What each rule fires.
    budget : BudgetWatch or None
        Held against the frames so far.
    session : str
        Folder of the record; empty without one.
    disk_fault : str
        Why the session can no longer be recorded; empty while it can.
    never_known : tuple of str
        In words, which rules rest on what can never be known at the camera's rate.
    animal : AnimalLight or None
        None where it is not limited.
    baselines : Baselines or None
        What thresholds rest on.
    any_view : bool
        Arm whatever the camera shows.
    keeps_view : bool
        Whether the engine can tell a view that it knows.
    """

    camera: CameraInfo
    status: PipelineStatus
    parity: Callable[[], str]
    output: OutputInfo
    output_checks: Callable[[], list[Check]]
    settings: OutputSettings
    pulses: Mapping[str, Pulse]
    budget: BudgetWatch | None
    session: str
    disk_fault: str
    never_known: tuple[str, ...] = ()
    animal: AnimalLight | None = None
    baselines: Baselines | None = None
    any_view: bool = False
    keeps_view: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the self-test found."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing speaks against arming."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """What speaks against it."""
        return tuple(check for check in self.checks if check.verdict == "fail")

    def as_map(self) -> dict[str, Any]:
        """Return plain values, for messages."""
        return {"ready": self.ready, "findings": self.findings()}

    def findings(self) -> list[dict[str, Any]]:
        """Return the checks as plain maps, for messages and files."""
        return [check.as_dict() for check in self.checks]


def self_test(found: Circumstances) -> Verdict:
    """Answer every question, whatever the answer to the one before."""
    return Verdict(
        (
            _camera(found),
            _frames(found),
            _engine(found),
            _view(found),
            _rules(found),
            *_baseline(found.baselines),
            *_output(found),
            *guard(found.output, found.settings),
            _latency(found),
            _record(found),
            *_animal(found.animal),
        )
    )


def multi_self_test(
    cameras: Mapping[str, Circumstances], lost: Collection[str], needs: Mapping[str, Collection[str]]
) -> Verdict:
    """Answer every question of several cameras, each about each of them, and those about the rig once.

    Parameters
    ----------
    cameras : mapping of str to Circumstances
        By the camera's name; what is not of a camera is the same in all.
    lost : collection of str
        Cameras that are lost: what needs them will be withheld.
    needs : mapping of str to collection of str
        The cameras that each rule with a pulse needs.
    """
    checks: list[Check] = []
    for name, found in cameras.items():
        of_camera = (
            [_without(name, needs)]
            if name in lost
            else [_camera(found), _frames(found), _engine(found), _view(found), _latency(found)]
        )
        checks += [replace(check, what=f"{name}: {check.what}") for check in of_camera]
    rig = next(iter(cameras.values()))
    checks += [_rules(rig), *_baseline(rig.baselines), *_output(rig)]
    checks += [*guard(rig.output, rig.settings), _record(rig), *_animal(rig.animal)]
    return Verdict(tuple(checks))


def _without(camera: str, needs: Mapping[str, Collection[str]]) -> Check:
    """Judge a camera that is lost by what is left."""
    withheld = [rule for rule, cameras in needs.items() if camera in cameras]
    text = "the camera is lost"
    if needs and len(withheld) == len(needs):
        return Check("frames", "fail", f"{text}, and every rule needs it", "wait until it is back")
    of = f"; withheld for that: {', '.join(withheld)}" if withheld else "; no rule needs it"
    return Check("frames", "warn", text + of, "wait until it is back, and arm then")


def _camera(found: Circumstances) -> Check:
    """Hold the camera against what was asked of it, as it is while frames flow."""
    status, text = found.status.camera, camera_in_words(found.camera)
    if status.problems:
        return Check(
            "camera",
            "fail",
            f"{'; '.join(status.problems)} ({text})",
            "set what the camera can do, and start anew",
        )
    if status.clock:
        return Check(
            "camera",
            "warn",
            f"{text}; exposures are times of arrival, since its time stamps cannot be believed: {status.clock}",
            "latency is counted from arrival in this computer until they can be",
        )
    return Check("camera", "ok", text)


def _triggered(found: Circumstances, trigger: TriggerInfo) -> Check:
    """Judge the frames of a camera that waits for triggers: by their rate in a trial, whatever the pauses."""
    status, pause_s = found.status, trigger.longest_pause_s
    if status.frames == 0:
        return Check(
            "frames",
            "fail",
            "no frame has come yet",
            f"is the trigger connected to {trigger.source}, and given? One frame is needed",
        )
    waits = f"waits for a trigger for {status.waits_s:.0f} s" if status.waits_s else ""
    if waits and pause_s is not None and status.waits_s > max(pause_s, 1.0):
        return Check(
            "frames", "fail", f"{waits}, and camera.trigger.longest_pause_s is {pause_s:g}", "give triggers"
        )
    rate = (
        "their rate is not known yet"
        if math.isnan(status.camera_hz)
        else f"{status.camera_hz:.1f} per second"
    )
    expected = "irregular" if trigger.rate_hz is None else f"{trigger.rate_hz:g} expected"
    return Check("frames", "ok", "; ".join(filter(None, (f"triggered: {rate}, {expected}", waits))))


def _frames(found: Circumstances) -> Check:
    status, promised = found.status, found.camera.rate_hz
    if status.gap is not None:
        return Check("frames", "fail", f"the camera is lost: {status.gap.why}", "wait until it is back")
    if status.state is not PipelineState.RUNNING:
        return Check("frames", "fail", f"the camera is {status.state.value}", "start it")
    if found.camera.trigger is not None:
        return _triggered(found, found.camera.trigger)
    if status.rate_hz == 0:
        return Check(
            "frames",
            "fail",
            "no frames come",
            "is the camera waiting for a trigger? Then say so: camera.trigger",
        )
    text = f"{status.rate_hz:.1f} per second"
    if found.camera.live and promised and abs(status.rate_hz / promised - 1) > _RATE_TOLERANCE:
        return Check(
            "frames",
            "fail",
            f"{text}, but the camera says {promised:g}",
            "frames are lost or late: see the losses by place; a smaller crop or network, or a lower rate",
        )
    return Check("frames", "ok", text)


def _engine(found: Circumstances) -> Check:
    try:
        return Check("engine", "ok", found.parity())
    except RtfaceError as error:
        return Check("engine", "fail", str(error))


def _view(found: Circumstances) -> Check:
    view_ok = found.status.view_ok
    if math.isnan(view_ok) and found.keeps_view:
        return Check(
            "view", "warn" if found.any_view else "fail", "not known yet: no full second of this crop", "wait"
        )
    if math.isnan(view_ok):
        return Check(
            "view",
            "warn",
            "the engine keeps no view, so that light may come of a picture without a face",
            "rtface engines view",
        )
    text = f"{view_ok:.2f} in the median of the last second; {KNOWN_VIEW:g} and more is a view that the engine knows"
    if view_ok >= KNOWN_VIEW:
        return Check("view", "ok", text)
    if found.any_view:
        return Check("view", "warn", f"{text}; arming.any_view lets it be")
    return Check(
        "view",
        "fail",
        text,
        "is the face in the picture, and the lamp on? `rtface cameras crop` finds the face; else adapt the engine",
    )


def _rules(found: Circumstances) -> Check:
    if not found.pulses:
        return Check("rules", "fail", "no rule has a pulse: nothing can be fired", "rules: in the rig's file")
    limits = found.output.limits
    longest, darkest = _limit_ns(limits, "max_on"), _limit_ns(limits, "min_off")
    for name, pulse in found.pulses.items():
        if longest is not None and pulse.on_ns > longest:
            return _beyond(
                name, f"a pulse of {pulse.on_ns / NS_PER_MS:g} ms", f"at most {longest / NS_PER_MS:g}"
            )
        dark_ns = pulse.period_ns - pulse.on_ns
        if darkest is not None and pulse.count > 1 and dark_ns < darkest:
            return _beyond(
                name, f"{dark_ns / NS_PER_MS:g} ms between pulses", f"at least {darkest / NS_PER_MS:g}"
            )
        most = limits.get("max_amplitude")
        if most is not None and round(pulse.amplitude * 255) > most:
            return _beyond(name, f"an amplitude of {pulse.amplitude:g}", f"at most {most / 255:.2f}")
    text = f"{', '.join(found.pulses)}: within the output's limits"
    if found.never_known:
        return Check("rules", "warn", "; ".join((text, *found.never_known)), "leave max_gap_ms out")
    return Check("rules", "ok", text)


def _baseline(baselines: Baselines | None) -> list[Check]:
    if baselines is None or not baselines.names:
        return []
    if against := baselines.against_arming:
        fix = "see to the value or its threshold, then take it anew: `rtface loop baseline`"
        return [Check("baseline", "fail", against, fix if baselines.complete else "wait")]
    return [Check("baseline", "ok", baselines.in_words())]


def _beyond(rule: str, wanted: str, allowed: str) -> Check:
    return Check(
        "rules",
        "fail",
        f"{rule} wants {wanted}, the output allows {allowed}",
        "the rule, or `rtface gate limits`",
    )


def _limit_ns(limits: Mapping[str, Any], name: str) -> int | None:
    for unit, ns in _NS_PER.items():
        if limits.get(name + unit) is not None:
            return round(float(limits[name + unit]) * ns)
    return None


def _output(found: Circumstances) -> list[Check]:
    try:
        return found.output_checks()
    except RtfaceError as error:
        return [Check("output", "fail", str(error))]


def _latency(found: Circumstances) -> Check:
    budget, end = found.budget, found.status.latency["end_to_end"]
    text = f"exposure to published p50 {end.p50_ms:.1f}, p99 {end.p99_ms:.1f} ms (n = {end.n})"
    if budget is None:
        return Check("latency", "warn", f"{text}; no budget", "set latency.budget, such as p99 < 15 ms")
    needed = min(budget.frames, _FRAMES_BEFORE)
    if end.n < needed:
        return Check(
            "latency", "fail", f"{text}: too few frames to hold against {budget.text}", "try again soon"
        )
    late = f"{budget.late} of the last {min(end.n, budget.frames)} frames were late for {budget.text}"
    if budget.missed:
        return Check("latency", "fail", f"{text}; {late}", "a faster network or computer, or another budget")
    return Check("latency", "ok", f"{text}; {late}")


def _record(found: Circumstances) -> Check:
    if found.disk_fault:
        return Check("record", "fail", found.disk_fault, "see to the disk, and start rtface anew")
    if found.session:
        return Check("record", "ok", found.session)
    if found.output.drives_light:
        return Check("record", "fail", "nothing would prove what was done", "session: in the rig's file")
    return Check("record", "warn", "nothing is recorded", "session: in the rig's file")


def _animal(light: AnimalLight | None) -> list[Check]:
    if light is None:
        return []
    limits, earlier = light.limits, light.earlier
    total_s = earlier.seconds + light.now_s
    text = (
        f"{light.subject}: {total_s:.1f} s of light in {limits.hours:g} h, in this session and {earlier.sessions} "
        f"before; the rig allows {limits.max_s:g}"
    )
    if total_s >= limits.max_s:
        return [Check("animal", "fail", text, "another day, or arming.animal")]
    warned = limits.warn_s is not None and total_s >= limits.warn_s
    if warned:
        text += f", and warns at {limits.warn_s:g}"
    if earlier.unreadable:
        names = ", ".join(earlier.unreadable)
        return [
            Check("animal", "warn", f"{text}; not or not all to be read: {names}", "rtface session verify")
        ]
    return [Check("animal", "warn" if warned else "ok", text)]
