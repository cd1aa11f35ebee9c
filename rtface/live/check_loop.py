"""Whether a rig's encoder, rules, output and record are ready, before the rig is run; the light stays off."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from rtface.config import EncoderSettings, Rig, RigSettings, SessionSettings
from rtface.core.check import Check
from rtface.core.clock import Clock
from rtface.core.errors import DataError, OutputError, RtfaceError
from rtface.core.records import CameraInfo, Keypoint
from rtface.decide.description import describe_baseline
from rtface.decide.expression import names_in
from rtface.decide.rules import RuleSpec
from rtface.decide.syntax import parse
from rtface.decide.unknowable import all_in_words
from rtface.live.answers import guard
from rtface.live.neural import PREFIX, NeuralPredictor
from rtface.live.rulesfile import Rules, check_rules
from rtface.stimulate.factory import make_output

_GB = 1e9


def check_loop(
    rig: Rig, skeleton: tuple[Keypoint, ...] | None, camera: CameraInfo | None, clock: Clock
) -> Iterator[Check]:
    """Check what a rig decides by, acts through and records into; nothing where it does none of it.

    Parameters
    ----------
    rig : Rig
    skeleton : tuple of Keypoint or None
        The engine's; None where it could not be had.
    camera : CameraInfo or None
        Likewise.
    clock : Clock

    Yields
    ------
    Check
        One after another, as they are found.
    """
    neural = None
    if rig.encoder is not None:
        check, neural = _encoder(rig.encoder, skeleton, camera)
        yield check
    if rig.rules is not None and (neural is not None or rig.encoder is None):
        yield _rules(rig.rules, skeleton, camera, neural)
    yield from check_act_and_record(rig, clock)


def check_act_and_record(rig: RigSettings, clock: Clock) -> Iterator[Check]:
    """Check what a rig acts through and records into, whatever its cameras."""
    if rig.rules is not None or rig.output.kind != "null":
        yield from _output(rig, clock)
    if rig.session is not None:
        yield _record(rig.session)
    if rig.arming.alert is not None:
        yield _alert(rig.arming.alert)


def _alert(command: tuple[str, ...]) -> Check:
    program = command[0]
    if shutil.which(program) is None:
        return Check("alert", "fail", f"arming.alert: {program} is no program here")
    return Check("alert", "ok", f"{' '.join(command)}, when the loop ends by itself")


def _encoder(
    settings: EncoderSettings, skeleton: tuple[Keypoint, ...] | None, camera: CameraInfo | None
) -> tuple[Check, NeuralPredictor | None]:
    """Check the encoder; it is None where it cannot be had, and what rests on it cannot be checked."""
    if skeleton is None or camera is None:
        text = f"{settings.path}: not held against engine and camera, which are not there"
        return Check("encoder", "warn", text), None
    try:
        neural = NeuralPredictor(settings, skeleton)
        neural.open(camera.rate_hz)
    except RtfaceError as error:
        return Check("encoder", "fail", str(error), exit_code=error.exit_code), None
    manifest, states = neural.bundle.manifest, neural.stream.states
    simulated = "SIMULATED, says nothing of a brain; " if manifest.simulated else ""
    text = (
        f"{manifest.name}: {simulated}{manifest.targets.count} {manifest.targets.kind} at "
        f"{manifest.frame_rate_hz:g} Hz, look-ahead {manifest.look_ahead_s:g} s, {states or 'no'} states; "
        f"rules may name {neural.names[0]} ... {neural.names[-1]}"
    )
    if not camera.live:
        return (
            Check(
                "encoder",
                "warn",
                f"{text}; the frames come faster than they were filmed, so the encoder takes every movement for a faster one",
                "camera.paced: true",
            ),
            neural,
        )
    return Check("encoder", "ok", text), neural


def _rules(
    path: Path,
    skeleton: tuple[Keypoint, ...] | None,
    camera: CameraInfo | None,
    neural: NeuralPredictor | None,
) -> Check:
    try:
        if skeleton is None or camera is None:
            text = f"{path.name}: {', '.join(Rules(path).spec.rules) or 'no rules'}"
            return Check("rules", "warn", f"{text}; not held against engine and camera, which are not there")
        names = tuple(point.name for point in skeleton)
        given = () if neural is None else neural.names
        rules, evaluator = check_rules(path, names, camera.rate_hz, extra_names=given)
        lacking = all_in_words(evaluator.rules, names, camera.rate_hz)
    except RtfaceError as error:
        return Check("rules", "fail", str(error), exit_code=error.exit_code)
    text = f"{path.name}: {', '.join(rules.spec.rules) or 'no rules'}"
    if baseline := describe_baseline(rules.spec.baseline, evaluator.baselines.names):
        text += f"; {baseline}"
    points = evaluator.bank.points
    needed = {
        point for name, spec in rules.spec.features.items() if spec.needs_all_points for point in points[name]
    }
    untrained = needed & {point.name for point in skeleton if not point.trained}
    if untrained:
        return Check(
            "rules",
            "warn",
            f"{text}; {', '.join(sorted(untrained))}: the engine was never trained to find that, so what rests on it "
            "never fires",
        )
    if lacking:
        return Check("rules", "warn", "; ".join((text, *lacking)), "leave max_gap_ms out, or a faster camera")
    if neural is not None and (late := _too_old(rules.spec.rules, neural)):
        return Check(
            "rules",
            "warn",
            f"{text}; {', '.join(late)}: neural values are up to {neural.oldest_ms:g} ms old when a frame comes, so "
            "they are mostly stale for it",
            f"set max_age_ms above {neural.oldest_ms:g} and what the rig takes for a frame",
        )
    return Check("rules", "ok", text)


def _too_old(rules: Mapping[str, RuleSpec], neural: NeuralPredictor) -> list[str]:
    """Return the rules that rest on neural values and ask for newer ones than there are."""
    return [
        name
        for name, spec in rules.items()
        if spec.pulse is not None and spec.max_age_ms <= neural.oldest_ms and _rests_on_neurons(spec)
    ]


def _rests_on_neurons(spec: RuleSpec) -> bool:
    return any(name.startswith(PREFIX) for text in spec.conditions for name in names_in(parse(text)))


def _output(rig: RigSettings, clock: Clock) -> Iterator[Check]:
    output = make_output(rig.output, clock)
    try:
        info = output.open()
        limits = ", ".join(f"{name} {value}" for name, value in info.limits.items()) or "no limits"
        yield Check("output", "ok", f"{info.kind}: {info.label}; {limits}")
        if info.drives_light and "clients" not in rig.arming.model_fields_set:
            yield Check(
                "arming",
                "warn",
                "any client may arm this light, and nobody has said that it may",
                "write arming: {clients: true}, or false for the operator at the terminal alone",
            )
        for check in (*output.self_test(), *guard(info, rig.output)):
            yield replace(check, exit_code=OutputError.exit_code)
    except RtfaceError as error:
        yield Check("output", "fail", str(error), exit_code=error.exit_code)
    finally:
        output.close()


def _record(settings: SessionSettings) -> Check:
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        free_gb = shutil.disk_usage(settings.folder).free / _GB
    except OSError as error:
        return Check("record", "fail", f"{settings.folder}: {error.strerror}", exit_code=DataError.exit_code)
    text = f"{settings.folder}: {free_gb:.1f} GB free, frames: {settings.frames}"
    if free_gb < settings.min_free_gb:
        return Check(
            "record",
            "fail",
            text,
            f"make room: session.min_free_gb is {settings.min_free_gb:g}",
            DataError.exit_code,
        )
    return Check("record", "ok", text)
