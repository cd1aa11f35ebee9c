"""The self-test of a gate: from what it reports to findings, each with its fix."""

from __future__ import annotations

from rtface.core.check import Check
from rtface.core.latency import StageSummary
from rtface.core.outputs import OutputInfo
from rtface.stimulate.gate.codes import Inputs, Reason, State
from rtface.stimulate.gate.limits import fingerprint
from rtface.stimulate.gate.protocol import Limits, Status

_SLOW_MS = 5.0
_BEATS_IN_DEADMAN = 3
_LIGHT = {
    Reason.LIGHT_UNCOMMANDED: "saw light that was not commanded, or that went on after its end",
    Reason.LIGHT_MISSING: "did not see light that was commanded",
}


def gate_checks(
    info: OutputInfo, status: Status, limits: Limits, round_trips: StageSummary, pinned: bool = True
) -> list[Check]:
    """Return the findings of a self-test.

    Parameters
    ----------
    info : OutputInfo
        Of the opened gate.
    status, limits
        The gate's newest.
    round_trips : StageSummary
        Of questions and heartbeats since it was opened.
    pinned : bool
        Whether a rig's file must name these limits.
    """
    return [
        _firmware(info),
        _line(status, round_trips),
        _limits(info, limits, pinned),
        _heartbeat(info, limits),
        _photodiode(status, limits),
        _arm_switch(status),
        _stop(status),
    ]


def _firmware(info: OutputInfo) -> Check:
    text = f"{info.label}, firmware {info.firmware} build {info.build}"
    if info.build == info.settings["packaged_build"]:
        return Check("gate", "ok", text)
    fix = f"this rtface brings build {info.settings['packaged_build']}: `rtface gate flash`, or output.build: any"
    return Check("gate", "warn", text, fix)


def _line(status: Status, round_trips: StageSummary) -> Check:
    text = (
        f"round trip p50 {round_trips.p50_ms:.2f}, p99 {round_trips.p99_ms:.2f}, max {round_trips.max_ms:.2f} ms "
        f"(n = {round_trips.n}); damaged frames {status.bad_frames}, unsent {status.unsent}"
    )
    if status.bad_frames or status.unsent:
        return Check("line", "warn", text, "a damaged frame disarms: shorten or shield the cable")
    if round_trips.p99_ms > _SLOW_MS:
        return Check("line", "warn", text, "is another program busy, or the port behind a slow USB hub?")
    return Check("line", "ok", text)


def _limits(info: OutputInfo, limits: Limits, pinned: bool) -> Check:
    text = (
        f"pulse at most {limits.max_on_us / 1e3:g} ms, off at least {limits.min_off_us / 1e3:g} ms, "
        f"{limits.window_on_us / 1e3:g} ms of light in {limits.window_ms / 1e3:g} s, {limits.session_pulses} pulses "
        f"and {limits.session_dose_us / 1e6:g} s of full light a session, amplitude at most {limits.max_amplitude}"
        f"{'' if limits.amplitude_wired else ' (not wired: all light counts as full)'}; "
        f"signed off by {limits.signed_off_by}, fingerprint {fingerprint(limits)}"
    )
    set_them = "`rtface gate limits --set ... --signed-off-by NAME`"
    match info.limits["source"]:
        case "none":
            return Check("limits", "fail", "no limits are signed: it cannot be armed", set_them)
        case "lost":
            return Check("limits", "fail", "the stored limits are damaged or older than the last", set_them)
    here, named = fingerprint(limits), info.settings["limits"]
    write = f"if these are the rig's, write under `output:` in its file:  limits: {here}"
    if pinned and named is None:
        return Check("limits", "fail", f"the rig's file names no limits; {text}", write)
    if pinned and named != here:
        return Check(
            "limits", "fail", f"limits {here} are in force, the rig's file names {named}; {text}", write
        )
    if info.limits["source"] == "one_copy":
        return Check(
            "limits", "warn", text, "one of the two stored copies was damaged or older, and is repaired"
        )
    return Check("limits", "ok", text)


def _heartbeat(info: OutputInfo, limits: Limits) -> Check:
    beat_ms = info.settings["heartbeat_ms"]
    text = f"every {beat_ms:g} ms; the light goes off {limits.deadman_ms} ms after the last"
    if limits.deadman_ms < _BEATS_IN_DEADMAN * beat_ms:
        fix = "the dead-man must last for three heartbeats: a smaller output.heartbeat_ms, or a longer limit"
        return Check("heartbeat", "fail", text, fix)
    return Check("heartbeat", "ok", text)


def _photodiode(status: Status, limits: Limits) -> Check:
    if not limits.photodiode_wired:
        return Check("photodiode", "ok", "none is wired: nothing here sees the light itself")
    text = (
        f"wired: light within {limits.light_rise_us / 1e3:g} ms of its command, "
        f"dark within {limits.light_fall_us / 1e3:g} ms of its end"
    )
    if status.inputs & Inputs.LIGHT_SEEN:
        fix = "what shines into it? A torn wire reads as light, too"
        return Check("photodiode", "fail", f"it sees light now; {text}", fix)
    return Check("photodiode", "ok", f"{text}; dark now")


def _arm_switch(status: Status) -> Check:
    if status.inputs & Inputs.ARM_SWITCH_ON:
        return Check("arm switch", "ok", "on")
    return Check("arm switch", "warn", "off: the gate refuses to be armed", "turn it on (pin 4 to ground)")


def _stop(status: Status) -> Check:
    if status.state is State.FAULT:
        if status.reason is Reason.MEMORY:
            text = "the gate lost its memory and cannot tell why (with a boot loader: at each power-on)"
            fix = "arm switch off, hold the button for 1 s and the session goes on, for 5 s and a new one begins"
            return Check("state", "fail", text, fix)
        if status.reason is Reason.LIMITS_LOST:
            return Check("state", "fail", "the gate lost its limits", "sign them anew: `rtface gate limits`")
        if status.reason in _LIGHT:
            fix = "find out why; then, once it is dark, arm switch off and hold the button for 1 s"
            return Check("state", "fail", f"a photodiode {_LIGHT[status.reason]}", fix)
        return Check("state", "fail", "the gate found a fault in itself", "switch its power off and on")
    if status.inputs & Inputs.STOP_OPEN:
        fix = "release it; a normally closed switch belongs between pin 2 and ground"
        return Check("emergency stop", "fail", "pressed, or not wired", fix)
    if status.state is State.STOPPED:
        return Check("emergency stop", "warn", "released, but still latched", "clear it before arming")
    return Check("emergency stop", "ok", "wired and not pressed")
