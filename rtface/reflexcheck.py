"""Whether a rig's rules, output and record are ready, before the rig is run; the light stays off."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from rtface.clock import Clock
from rtface.config import Rig, SessionSettings
from rtface.decide.specs import (
    FeatureSpec,
    GroomSpec,
    MotionSpec,
    PositionSpec,
    SpeedSpec,
    VelocitySpec,
)
from rtface.errors import RtfaceError
from rtface.records import CameraInfo, Keypoint
from rtface.rulesfile import Rules
from rtface.stimulate.base import Check
from rtface.stimulate.factory import make_output

_GB = 1e9


def check_reflexes(
    rig: Rig, skeleton: tuple[Keypoint, ...] | None, camera: CameraInfo | None, clock: Clock
) -> Iterator[tuple[Check, int]]:
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
    (Check, int)
        Each with the exit code that it means where it is the first failure.
    """
    if rig.rules is not None:
        yield _rules(rig.rules, skeleton, camera)
    if rig.rules is not None or rig.output.kind != "null":
        yield from _output(rig, clock)
    if rig.session is not None:
        yield _record(rig.session), 8


def _rules(path: Path, skeleton: tuple[Keypoint, ...] | None, camera: CameraInfo | None) -> tuple[Check, int]:
    try:
        rules = Rules(path)
        text = f"{path.name}: {', '.join(rules.spec.rules) or 'no rules'}"
        if skeleton is None or camera is None:
            return Check(
                "rules", "warn", f"{text}; not held against engine and camera, which are not there"
            ), 3
        rules.reflex(tuple(point.name for point in skeleton), camera.rate_hz)
    except RtfaceError as error:
        return Check("rules", "fail", str(error)), error.exit_code
    needed = {point for spec in rules.spec.features.values() for point in _points(spec)}
    untrained = needed & {point.name for point in skeleton if not point.trained}
    if untrained:
        return Check(
            "rules",
            "warn",
            f"{text}; {', '.join(sorted(untrained))}: the engine was never trained to find that, so what rests on it "
            "never fires",
        ), 3
    return Check("rules", "ok", text), 3


def _points(spec: FeatureSpec) -> tuple[str, ...]:
    """Return the keypoints that a feature cannot do without."""
    if isinstance(spec, MotionSpec):
        return ()
    if isinstance(spec, GroomSpec):
        return spec.paw, spec.mouth
    if isinstance(spec, PositionSpec | VelocitySpec | SpeedSpec):
        return (spec.point,)
    return tuple(spec.points)


def _output(rig: Rig, clock: Clock) -> Iterator[tuple[Check, int]]:
    output = make_output(rig.output, clock)
    try:
        info = output.open()
        limits = ", ".join(f"{name} {value}" for name, value in info.limits.items()) or "no limits"
        yield Check("output", "ok", f"{info.kind}: {info.label}; {limits}"), 9
        for check in output.self_test():
            yield check, 9
        if not info.guarded and not getattr(rig.output, "allow_unguarded", False):
            yield (
                Check(
                    "guard",
                    "fail",
                    f"{info.label} has no dead-man of its own: it will not be armed",
                    "use the safety gate, or set output.allow_unguarded: true",
                ),
                9,
            )
    except RtfaceError as error:
        yield Check("output", "fail", str(error)), error.exit_code
    finally:
        output.close()


def _record(settings: SessionSettings) -> Check:
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        free_gb = shutil.disk_usage(settings.folder).free / _GB
    except OSError as error:
        return Check("record", "fail", f"{settings.folder}: {error.strerror}")
    text = f"{settings.folder}: {free_gb:.1f} GB free, frames: {settings.frames}"
    if free_gb < settings.min_free_gb:
        return Check("record", "fail", text, f"make room: session.min_free_gb is {settings.min_free_gb:g}")
    return Check("record", "ok", text)
